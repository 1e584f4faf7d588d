/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The files of an account at one CA: its key and URL, below the state directory in
 * accounts/<server>/{key.pem,account.json}, both 0600.  Other accounts at the same CA have names
 * and lie in accounts/<server>/<name>/.
 *
 * While the key is being replaced, key.next.pem exists too: from before the CA hears of it until it
 * takes the place of key.pem.  A process that finds it asks the CA which of the two it knows, so
 * that a crash at any moment loses neither.
 */
#ifndef ACME_STORE_ACCOUNT_FILES_H
#define ACME_STORE_ACCOUNT_FILES_H

struct account_files;
struct failure;
struct key;
struct paths;

/*
 * Load what there is of the account `name` (NULL: the default one) at the CA whose directory is at
 * `server`; `paths` must outlive it.  0, or -1 with `failure` filled in.
 */
int account_files_open(struct account_files **ret_files, const struct paths *paths,
		       const char *server, const char *name, struct failure *failure);
void account_files_free(struct account_files *files);

/* The files' own; NULL: there is none. */
const char *account_files_url(const struct account_files *files);
struct key *account_files_key(const struct account_files *files);
struct key *account_files_next_key(const struct account_files *files);

/* The directory that the files are in. */
const char *account_files_place(const struct account_files *files);

/*
 * Write a copy of another client's key; the key is on the disk when this returns.  0; -EBADMSG: an
 * account cannot have a key of this type; -EEXIST: there is a key already; or -errno.
 */
int account_files_import_key(struct account_files *files, struct key *key);

/* Create a key if there is none; it is on the disk when this returns.  0 or -errno. */
int account_files_make_key(struct account_files *files);

/*
 * The same for the next key, which will replace the current one.  It uses the next key that an
 * earlier attempt has left.  The files must be locked.  0 or -errno.
 */
int account_files_make_next_key(struct account_files *files);

/* Store the account's URL.  0 or -errno. */
int account_files_save_url(struct account_files *files, const char *url, const char *server);

/* Keep other processes from replacing the key until the files are freed.  0, -EWOULDBLOCK or -errno. */
int account_files_lock(struct account_files *files);

/* The CA knows the next key now: make it the current one.  0 or -errno. */
int account_files_take_next_key(struct account_files *files);

/* The CA refused the next key: remove it.  0 or -errno. */
int account_files_drop_next_key(struct account_files *files);

/* The account is deactivated: rename the key, so that a new one can be created.  0 or -errno. */
int account_files_retire(struct account_files *files);

#endif
