/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writes a certificate's next generation; store.h has the layout.  It writes the key, and so proves
 * that the directory is writable, before the order.  It removes what is not committed.
 */
#ifndef ACME_STORE_STORE_WRITER_H
#define ACME_STORE_STORE_WRITER_H

#include <stdint.h>

struct chain;
struct failure;
struct json_t;
struct key;
struct store_writer;
struct paths;

/*
 * Begin a generation of the certificate `name` with `key`, which is on the disk
 * when this returns; NULL: it comes later, by store_writer_set_key().  Keeps other processes away from the name until
 * store_writer_free().  0, or with `failure` filled in -1, or STORE_WRITER_BUSY.
 */
int store_writer_open(struct store_writer **ret_writer, const struct paths *paths, const char *name,
		      struct key *key, struct failure *failure);

/* The key is on the disk when this returns.  0, or -1 with `failure` filled in. */
int store_writer_set_key(struct store_writer *writer, struct key *key, struct failure *failure);

enum store_writer_found {
	STORE_WRITER_FAILED = -1, /* `failure` says why */
	STORE_WRITER_BUSY = -16, /* STORE_BUSY: another process works on the name */
	STORE_WRITER_NOTHING, /* start from the beginning: nothing is there, or it cannot be used */
	STORE_WRITER_KEY, /* the key that its order was made for */
	STORE_WRITER_COMPLETE, /* the certificate, too; it is in use now */
};

/*
 * Resume the generation that a killed process has begun.  With STORE_WRITER_KEY *ret_writer and
 * *ret_key are the caller's, as after store_writer_open().
 */
enum store_writer_found store_writer_resume(struct store_writer **ret_writer, struct key **ret_key,
					    const struct paths *paths, const char *name,
					    struct failure *failure);

/* Write a bundle with the generation. */
void store_writer_want_bundle(struct store_writer *writer);

/*
 * Complete the generation and put it to use.  `origin` says where it comes from.
 * 0, or -1 with `failure` filled in: then the previous generation is still in
 * use, whole.
 */
int store_writer_commit(struct store_writer *writer, const struct chain *chain,
			const struct json_t *origin, struct failure *failure);

/* The number of the generation that was committed. */
int64_t store_writer_generation(const struct store_writer *writer);

/* Removes what was not committed. */
void store_writer_free(struct store_writer *writer);

/* Leaves it for store_writer_resume(), and frees. */
void store_writer_suspend(struct store_writer *writer);

#endif
