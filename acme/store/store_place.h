/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One certificate's two directories, live/<name> and archive/<name>, locked against other processes.
 * Only store_*.c include this; store.h has the layout.
 *
 * `current` points to the highest generation that is not refused.  Opening completes what a killed
 * process left: the switch of `current`, and the links below live/.
 */
#ifndef ACME_STORE_STORE_PLACE_H
#define ACME_STORE_STORE_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "acme/store/store.h"

struct failure;

#define STORE_STAGING        "staging"
#define STORE_REFUSED        "refused" /* an empty file in a generation that servers refused */
#define STORE_DELETED        "deleted" /* the same in archive/<name>/: it is being removed */
#define STORE_NUMBER_MAX     24 /* of a generation, as text */
#define STORE_DIRECTORY_MODE 0755

struct store_place {
	char name[CERTIFICATE_NAME_MAX + 1];
	char path[STORE_PATH_MAX + 1]; /* of live/<name>, for messages */
	int live; /* live/ */
	int archive; /* archive/ */
	int directory; /* archive/<name>/, locked */
	bool has_advanced; /* opening has put a newer generation to use */
};

/*
 * Open, lock and complete.  With `make` the directories are made.  0; without `make` -ENOENT: there is
 * no such certificate; STORE_BUSY: another process works on it; -1: `failure` says why.
 */
int store_place_open(struct store_place *ret_place, const struct paths *paths, const char *name,
		     bool make, struct failure *failure);
void store_place_close(struct store_place *place);

/* Say why something failed there: `err` is -errno. */
void store_place_explain(const struct store_place *place, const struct paths *paths, int err,
			 struct failure *failure);

/* The numbers of all generations, the lowest first; the caller frees the array.  0 or -errno. */
int store_place_list(const struct store_place *place, int64_t **ret_list, size_t *ret_count);

bool store_place_is_refused(const struct store_place *place, int64_t number);

/* The generation in use; 0: none. */
int64_t store_place_current(const struct store_place *place);

/* One more than any that is there. */
int store_place_next(const struct store_place *place, int64_t *ret_number);

void store_place_number(char ret_text[STORE_NUMBER_MAX], int64_t number);

/* An empty file, on the disk when this returns; it may exist.  0 or -errno. */
int store_place_mark(const struct store_place *place, const char *path);
int store_place_unmark(const struct store_place *place, const char *path);

/* Remove everything of the certificate but the row in the state.  0 or -errno. */
int store_place_remove(const struct store_place *place);

/* Use this generation: one step switches all files.  Then the links below live/ follow.  0 or -errno. */
int store_place_switch(const struct store_place *place, int64_t number);

#endif
