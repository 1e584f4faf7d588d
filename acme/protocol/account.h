/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Our account at one CA: its key and URL, kept below the state directory in
 * accounts/<server>/{key.pem,account.json}, both 0600, and its registration:
 * RFC 8555 section 7.3.  Other accounts at the same CA have names, and lie in
 * accounts/<server>/<name>/.
 *
 * While its key is being replaced, there is key.next.pem, too, from before the
 * CA hears of it until it took the place of key.pem.  Who finds it asks the CA
 * which of the two it knows, so that a crash at any moment loses neither.
 */
#ifndef ACME_PROTOCOL_ACCOUNT_H
#define ACME_PROTOCOL_ACCOUNT_H

#include <stdbool.h>

#include "acme/protocol/eab.h"

#define ACCOUNT_DEFAULT  "default"
#define ACCOUNT_NAME_MAX 64

struct account;
struct ca;
struct key;
struct failure;
struct paths;

struct account_options {
	bool agree_tos; /* the user agrees to the CA's terms of service */
	bool ask_ca; /* even when the URL is known */
	bool must_exist; /* none is made */
	const char *email; /* NULL: none */
	struct eab eab; /* for a new account, where the CA wants it */
};

/*
 * Load what there is of the account `name` (NULL: the default one) at the CA
 * whose directory is at `server`; `paths` must outlive it.  0, or -1 with `failure` filled in.
 */
int account_open(struct account **ret_account, const struct paths *paths, const char *server,
		 const char *name, struct failure *failure);

/* Whether it can be an account's name: letters, digits, hyphens and underscores. */
bool account_name_is_valid(const char *name);

/* Cancels what is under way.  The CA that was given to account_ensure() must still be there. */
void account_free(struct account *account);

/*
 * See to it that the account exists and that `ca`, which is connected, uses
 * it: found again when it does, made when it does not and the user agrees to
 * the terms.  The key is on the disk before the CA hears of it.  `done` is
 * called once, perhaps before this returns, unless the account is freed.
 * `options` must live until then.
 */
void account_ensure(struct account *account, struct ca *ca, const struct account_options *options,
		    void (*done)(void *context, struct failure *failure), void *context);

/* NULL before the CA has told it. */
const char *account_url(const struct account *account);

/* Whether there is a key on the disk; what the CA knows is another thing. */
bool account_has_key(const struct account *account);

/*
 * Use the key of an account that another client made, on the disk when this returns; `key` stays
 * the caller's.  account_ensure() has the CA tell the rest.  0, -EBADMSG: accounts do not have keys
 * of this type; -EEXIST: there is a key; or -errno.
 */
int account_import_key(struct account *account, struct key *key);

/* The directory that its files are in. */
const char *account_place(const struct account *account);

/* Keep other processes from replacing the key until it is freed.  0, -EWOULDBLOCK or -errno. */
int account_lock(struct account *account);

/*
 * The key that is to replace the present one, on the disk when this returns: a
 * new one, or what an attempt has left that the CA did not hear of.  Stays the
 * account's.  The account must be locked, and account_ensure() be done.  0 or -errno.
 */
int account_next_key(struct account *account, struct key **ret_key);

/* The CA knows the next key now: use it, here and from the disk.  0 or -errno. */
int account_take_next_key(struct account *account);

/* The CA does not want it.  0 or -errno. */
int account_drop_next_key(struct account *account);

/* The account is no more: put the key aside, so that another can be made.  0 or -errno. */
int account_retire(struct account *account);

/* Whether account_ensure() made the account, instead of finding it. */
bool account_is_new(const struct account *account);

#endif
