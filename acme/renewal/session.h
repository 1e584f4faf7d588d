/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One CA and our account there, on the process's net. */
#ifndef ACME_RENEWAL_SESSION_H
#define ACME_RENEWAL_SESSION_H

#include "acme/protocol/account.h"

struct settings;
struct ca;
struct failure;
struct net;

struct session {
	char *email; /* NULL: none */
	struct ca *ca;
	struct account_files *files;
	struct account *account;
	struct account_options options;
	void (*ready)(void *context, struct failure *failure);
	void *context;
};

/*
 * Prepare for the CA whose directory is at `server` and our account `name`
 * there (NULL: as settings_of_ca() says); nothing is sent yet.  `net` must outlive it.
 * 0, or -1 with `failure` filled in: closed again.
 */
int session_open(struct session *session, const struct net *net, const struct settings *settings,
		 const char *server, const char *name, struct failure *failure);

/* Fetch the directory and see to the account; `ready` is called once, from the loop. */
void session_start(struct session *session, void (*ready)(void *context, struct failure *failure),
		   void *context);

/* Everything that uses the CA must be gone. */
void session_close(struct session *session);

#endif
