/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Our account at one CA: its key and URL, kept below the state directory in
 * accounts/<server>/{key.pem,account.json}, both 0600, and its registration:
 * RFC 8555 section 7.3.
 */
#ifndef ACCOUNT_H
#define ACCOUNT_H

#include <stdbool.h>

#include "acme/eab.h"

struct account;
struct ca;
struct failure;
struct paths;

struct account_wish {
	bool agree_tos; /* the user agrees to the CA's terms of service */
	bool ask_ca; /* even when the URL is known */
	const char *email; /* NULL: none */
	struct eab eab; /* for a new account, where the CA wants it */
};

/*
 * Load what there is of the account at the CA whose directory is at `server`;
 * `paths` must outlive it.  0, or -1 with `failure` filled in.
 */
int account_open(struct account **ret_account, const struct paths *paths, const char *server,
		 struct failure *failure);

/* Cancels what is under way.  The CA that was given to account_ensure() must still be there. */
void account_free(struct account *account);

/*
 * See to it that the account exists and that `ca`, which is connected, uses
 * it: found again when it does, made when it does not and the user agrees to
 * the terms.  The key is on the disk before the CA hears of it.  `done` is
 * called once, perhaps before this returns, unless the account is freed.
 * `wish` must live until then.
 */
void account_ensure(struct account *account, struct ca *ca, const struct account_wish *wish,
		    void (*done)(void *context, struct failure *failure), void *context);

/* NULL before the CA has told it. */
const char *account_url(const struct account *account);

/* Whether account_ensure() made the account, instead of finding it. */
bool account_is_new(const struct account *account);

#endif
