/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The generations of a certificate (store.h): going back to an earlier one, and removing old ones.
 * Every function locks the certificate: STORE_BUSY when another process works on it.
 */
#ifndef ACME_STORE_STORE_HISTORY_H
#define ACME_STORE_STORE_HISTORY_H

#include <stddef.h>
#include <stdint.h>

struct failure;
struct paths;

/*
 * Use the previous generation again, because a server refuses `generation`, which stays on the disk.
 * -EAGAIN: another one is in use by now; -ENOENT: there is no previous one; or STORE_BUSY or -1 with
 * `failure` filled in: nothing has changed, or the next process completes it.
 */
int store_go_back(const struct paths *paths, const char *name, int64_t generation,
		  struct failure *failure);

/* Use a generation again that store_go_back() has left.  As store_go_back(). */
int store_go_forward(const struct paths *paths, const char *name, int64_t generation,
		     struct failure *failure);

/*
 * Copy a generation as the newest and use it; 0 is the one before the generation in use.  -ENOENT:
 * there is none of this number.  Otherwise as store_go_back().
 */
int store_restore(const struct paths *paths, const char *name, int64_t generation,
		  int64_t *ret_generation, struct failure *failure);

/* How long old generations, and with them their keys, are kept. */
struct store_retention {
	unsigned int count; /* so many before the one in use; at least one is kept */
	unsigned int days; /* at most so long after the next one came */
};

/* Remove old generations, at most STORE_PRUNE_MAX.  0, or as store_go_back(). */
#define STORE_PRUNE_MAX 8
int store_prune(const struct paths *paths, const char *name,
		const struct store_retention *retention, struct failure *failure);

/*
 * Complete what a killed process left undone.  0 with the number of the generation in use (0: none);
 * -ENOENT: there is nothing of this name; or as store_go_back().
 */
int store_complete(const struct paths *paths, const char *name, int64_t *ret_generation,
		   struct failure *failure);

/*
 * Remove a certificate with all of its generations.  `forget` is called before that, with the name
 * locked: when it is not 0 nothing is removed, and it is returned.  It may be NULL.  -ENOENT: there is
 * none, and `forget` was called all the same; or as store_go_back().
 */
int store_delete(const struct paths *paths, const char *name,
		 int (*forget)(void *context, struct failure *failure), void *context,
		 struct failure *failure);

#endif
