/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One CA, and our account there where one is needed, on the process's net.  When the CA does not know
 * the account or its key any more, a session that follows its account reads the account's files again, as another process may
 * have changed them, and looks the account up by its key, or creates one where the settings agree to
 * the terms.
 */
#ifndef ACME_RENEWAL_SESSION_H
#define ACME_RENEWAL_SESSION_H

#include <stdbool.h>

#include "acme/protocol/account.h"

struct account_files;
struct ca;
struct failure;
struct net;
struct paths;
struct settings;

struct session {
	const struct settings *settings;
	struct ca *ca;
	bool is_connected; /* the CA's directory is known */
	bool follows_account; /* look for a lost account; set it before session_open_account() */
	/* NULL before session_open_account(). */
	struct account_files *files;
	struct account *account;
	char *account_name; /* NULL: the default account */
	struct paths *paths; /* a copy: the settings may go before the session */
	char *email; /* NULL: none */
	struct account_options options; /* may be changed before session_start() */
	bool asks_ca; /* what options had while the account is looked for */
	void (*connected)(void *context); /* is_connected was set; NULL: nobody asks */
	void (*ready)(void *context, struct failure *failure);
	void *context;
};

/*
 * Prepare for the CA whose directory is at `server`; nothing is sent yet.  `net` must outlive it, and
 * `settings` the call of session_open_account().  0, or -1 with `failure` filled in: closed again.
 */
int session_open(struct session *session, const struct net *net, const struct settings *settings,
		 const char *server, struct failure *failure);

/*
 * Prepare for our account `name` there (NULL: as settings_account() says), also while the session
 * starts.  0, or -1 with `failure` filled in: the session has no account.
 */
int session_open_account(struct session *session, const char *name, struct failure *failure);

/*
 * Fetch the directory where it is not known, then see to the account where there is one.  `ready` is
 * called once, perhaps before this returns.  It may be started again when it is ready.
 */
void session_start(struct session *session, void (*ready)(void *context, struct failure *failure),
		   void *context);

/* Everything that uses the CA must be gone. */
void session_close(struct session *session);

#endif
