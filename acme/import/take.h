/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Importing one certificate, or one account, of another client: check it, copy it, record it. */
#ifndef ACME_IMPORT_TAKE_H
#define ACME_IMPORT_TAKE_H

struct failure;
struct import_found;
struct paths;
struct state;

/* What it points to must outlive the call. */
struct import_options {
	const struct paths *paths;
	struct state *state;
	const struct import_found *found;
	const char *client; /* whose it was */
	const char *server; /* directory URL of the CA, for where the tree does not say; or NULL */
	const char *
		account; /* what ours is to be called, of import_take_account(); NULL: the default */
	const char *deploy_hook; /* or NULL: the client's, where it only reloads a service */
};

enum import_result {
	IMPORT_FAILED = -1, /* `failure` says why */
	IMPORT_DONE,
	IMPORT_PRESENT, /* ours has one of this name (an account at this CA), which is left as it is */
	IMPORT_NONE, /* no account, as the client has none whose key can be used */
};

/* The URL of the CA that it is from, and will be renewed at; NULL: not known.  The options'. */
const char *import_server(const struct import_options *options);

/* The command that will be run when it is renewed; NULL: none.  The options'. */
const char *import_hook(const struct import_options *options);

/*
 * Copy the certificate and its key into live/ and archive/, and record it for renewal.  After a
 * kill the next import completes it.
 */
enum import_result import_take(const struct import_options *options, struct failure *failure);

/* Copy the account's key, if it is of a type that our accounts have; the CA tells the rest. */
enum import_result import_take_account(const struct import_options *options,
				       struct failure *failure);

#endif
