/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Our account at one CA: finds it, creates it, or gives it another key (RFC 8555 section 7.3).
 * account_files.h stores its key and URL.  The key is on the disk before a request with it is sent.
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
	bool ask_ca; /* look the account up at the CA even when its URL is known */
	bool must_exist; /* do not create an account */
	bool is_trial; /* of a dry run, which has an account of its own */
	const char *email; /* NULL: none */
	struct eab eab; /* for a new account, if the CA requires it */
};

/* `files` must outlive it.  NULL: out of memory. */
struct account *account_new(struct account_files *files);

/* Cancels a running request.  The CA that was given to account_ensure() must still exist. */
void account_free(struct account *account);

/*
 * Make sure that the account exists and that `ca`, which is connected, uses it: find it, or create
 * it if the user agrees to the terms.  The key is on the disk before a request with it is sent.
 * `done` is called once, perhaps before this returns, unless the account is freed before.
 * `options` must live until then.
 */
void account_ensure(struct account *account, struct ca *ca, const struct account_options *options,
		    void (*done)(void *context, struct failure *failure), void *context);

/*
 * The CA knows the next key now: use it, in memory and on the disk.  account_ensure() must be done.
 * 0 or -errno.
 */
int account_take_next_key(struct account *account);

/* Whether account_ensure() created the account. */
bool account_is_new(const struct account *account);

#endif
