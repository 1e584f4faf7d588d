/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing a certificate's next generation: see store.h for the layout.  The key
 * is written, and the place proven writable, before the CA is asked for
 * anything; what is not committed is removed again.
 */
#ifndef LINEAGE_H
#define LINEAGE_H

struct chain;
struct failure;
struct json_t;
struct key;
struct lineage;
struct paths;

/*
 * Begin a generation of the certificate `name` with `key`, which is on the disk
 * when this returns.  Keeps other processes away from the name until
 * lineage_free().  0, or with `failure` filled in -1, or LINEAGE_BUSY.
 */
int lineage_begin(struct lineage **ret_lineage, const struct paths *paths, const char *name,
		  struct key *key, struct failure *failure);

enum lineage_found {
	LINEAGE_FAILED = -1, /* `failure` says why */
	LINEAGE_BUSY = -16, /* so does it: another process is at work on the name */
	LINEAGE_NOTHING, /* begin anew: nothing is there, or it cannot be used */
	LINEAGE_KEY, /* the key that its order was made for */
	LINEAGE_COMPLETE, /* the certificate, too; it is in use now */
};

/*
 * Go on with the generation that a killed process has begun.  With LINEAGE_KEY *ret_lineage and
 * *ret_key are the caller's, as after lineage_begin().
 */
enum lineage_found lineage_resume(struct lineage **ret_lineage, struct key **ret_key,
				  const struct paths *paths, const char *name,
				  struct failure *failure);

/* The generation is to have a bundle, too. */
void lineage_want_bundle(struct lineage *lineage);

/*
 * Complete the generation and put it to use.  `origin` says where it comes from.
 * 0, or -1 with `failure` filled in: then the previous generation is still in
 * use, whole.
 */
int lineage_commit(struct lineage *lineage, const struct chain *chain, const struct json_t *origin,
		   struct failure *failure);

/* Removes what was not committed. */
void lineage_free(struct lineage *lineage);

/* Leaves it for lineage_resume(), and frees. */
void lineage_suspend(struct lineage *lineage);

/*
 * Put the generation before the present one to use again, for a server does not take this one; it
 * is kept as archive/<name>/refused.  0, -ENOENT: there is none before, or as lineage_begin().
 */
int lineage_roll_back(const struct paths *paths, const char *name, struct failure *failure);

/* Remove a certificate with all of its generations.  0, or as lineage_begin(). */
int lineage_delete(const struct paths *paths, const char *name, struct failure *failure);

/* The directory below live/. */
const char *lineage_path(const struct lineage *lineage);

#endif
