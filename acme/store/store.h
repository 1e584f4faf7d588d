/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The certificates on disk: where they lie, and how to read them.  store_writer.h writes.
 *
 *	live/<name>/privkey.pem		-> ../../archive/<name>/current/privkey.pem
 *	live/<name>/{cert,chain,fullchain}.pem	likewise
 *	archive/<name>/current		-> 2
 *	archive/<name>/2/{privkey,cert,chain,fullchain}.pem, origin.json, perhaps bundle.pem
 *	archive/<name>/3/refused	marks a generation that servers refused
 *
 * The paths below live/ are what servers are configured with: they are those of
 * Certbot, and never change.  A generation (2) is a directory that is complete and on
 * the disk before it gets its number, and its files are never written again.  Replacing the
 * one link "current" switches all four files in one step, so that no two paths
 * lead into different generations at any moment, and a crash leaves the old
 * generation or the new.  Only a reader that opens two of the files one after
 * the other, just then, can get one of each; a server reads them when the
 * deploy hook has it reload, which is later.
 */
#ifndef ACME_STORE_STORE_H
#define ACME_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme/crypto/certificate.h"
#include "acme/util/name.h"
#include "common/paths.h"

struct key;

#define STORE_PATH_MAX    (PATHS_MAX + CERTIFICATE_NAME_MAX + 8)
#define STORE_PEM_MAX     (256 * 1024)
#define STORE_CURRENT     "current"
#define STORE_ORIGIN_FILE "origin.json"

#define STORE_BUSY (-16) /* another process works on the certificate */

/* The files of a generation, and of a directory below live/. */
enum store_file { STORE_PRIVKEY, STORE_CERT, STORE_CHAIN, STORE_FULLCHAIN, STORE_FILES };
extern const char *const store_file_names[STORE_FILES];

/* Full chain and key in one file, as HAProxy wants it; only where it is asked for. */
#define STORE_BUNDLE_FILE "bundle.pem"

/* One certificate that is in use. */
struct stored {
	char name[CERTIFICATE_NAME_MAX + 1];
	char path[STORE_PATH_MAX + 1]; /* of its directory below live/ */
	int64_t generation; /* in use; 0: it is not of our layout */
	char *server; /* of the CA that issued it; NULL: unknown */
	struct certificate certificate;
};

/* Write the directory of `name` below live/. */
void store_live_path(char ret_path[STORE_PATH_MAX + 1], const struct paths *paths,
		     const char *name);

/* 0, -ENOENT: there is none of this name, -EBADMSG: it cannot be understood, or -errno. */
int store_read(struct stored *ret_stored, const struct paths *paths, const char *name);
void stored_done(struct stored *stored);

/* The number of the generation in use; 0: there is none. */
int64_t store_generation(const struct paths *paths, const char *name);

/* Whether the present certificate of this name is the one that this order brought. */
bool store_is_of_order(const struct paths *paths, const char *name, const char *order_url);

/*
 * Read a certificate's private key.  0, -ENOENT: there is none, -EBADMSG: it is not of our
 * types, -ENOMEM or -errno.
 */
int store_read_key(struct key **ret_key, const struct paths *paths, const char *name);

/*
 * The names of all certificates, sorted, for file_list_free().  None is no error.  0 or -errno.
 */
int store_names(char ***ret_names, size_t *ret_count, const struct paths *paths);

/* Find the certificate for exactly these names.  0, -ENOENT: there is none, or -errno. */
int store_find(struct stored *ret_stored, const struct paths *paths,
	       const struct identifier *identifiers, size_t count);

#endif
