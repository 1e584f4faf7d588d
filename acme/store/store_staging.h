/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The next generation of a certificate while it is written: archive/<name>/staging.  Only store_*.c
 * include this.
 */
#ifndef ACME_STORE_STORE_STAGING_H
#define ACME_STORE_STORE_STAGING_H

#include <stdbool.h>
#include <stddef.h>

#include "acme/store/store.h"

struct json_t;
struct store_place;

struct store_staging {
	const struct store_place *place;
	int fd; /* -1: there is none */
	bool has_warned; /* that an owner or a group could not be kept */
};

/* Make an empty one; what a killed process left is removed.  0 or -errno. */
int store_staging_make(struct store_staging *ret_staging, const struct store_place *place);

/* Open the one that is there.  -ENOENT: there is none. */
int store_staging_open(struct store_staging *ret_staging, const struct store_place *place);

/* Reserve the space of a whole generation, so that a full disk fails before the order. */
int store_staging_reserve(const struct store_staging *staging);

/* Free the reserved space, to be written to. */
int store_staging_release(const struct store_staging *staging);

/* Remove all files but the key, and reserve the space again. */
int store_staging_clear(const struct store_staging *staging);

/*
 * Write a file.  Owner, group and mode are those that it has in the generation in use, or else this
 * process's, with the mode of the file's kind.  0 or -errno.
 */
int store_staging_write(struct store_staging *staging, const char *name, const void *data,
			size_t size);

/* bundle.pem of the files that are written. */
int store_staging_write_bundle(struct store_staging *staging);

int store_staging_write_origin(struct store_staging *staging, const struct json_t *origin);

/*
 * All files are written: give it its number.  From here on it is a generation, complete and never
 * changed.  Closes the staging.
 */
int store_staging_finish(struct store_staging *staging, int64_t *ret_number);

/* Keeps the files. */
void store_staging_close(struct store_staging *staging);

void store_staging_remove(struct store_staging *staging);

#endif
