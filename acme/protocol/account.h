/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Our account at one CA: found, made, or given another key there (RFC 8555 section 7.3).
 * account_files.h keeps its key and URL; the key is on the disk before the CA hears of it.
 */
#ifndef ACME_PROTOCOL_ACCOUNT_H
#define ACME_PROTOCOL_ACCOUNT_H

#include <stdbool.h>

#include "acme/protocol/eab.h"

struct account;
struct account_files;
struct ca;
struct failure;

struct account_options {
	bool agree_tos; /* the user agrees to the CA's terms of service */
	bool ask_ca; /* even when the URL is known */
	bool must_exist; /* none is made */
	const char *email; /* NULL: none */
	struct eab eab; /* for a new account, where the CA wants it */
};

/* `files` must outlive it.  NULL: out of memory. */
struct account *account_new(struct account_files *files);

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

/*
 * The CA knows the next key now: use it, here and on the disk.  account_ensure() must be done.
 * 0 or -errno.
 */
int account_take_next_key(struct account *account);

/* Whether account_ensure() made the account, instead of finding it. */
bool account_is_new(const struct account *account);

#endif
