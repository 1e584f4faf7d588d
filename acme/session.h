/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every verb that talks to a CA needs: the loop, the CA, our account there. */
#ifndef SESSION_H
#define SESSION_H

#include "acme/account.h"

struct arguments;
struct ca;
struct failure;
struct http;
struct loop;

struct session {
	struct loop *loop;
	struct http *http;
	struct ca *ca;
	struct account *account;
	struct account_wish wish;
	void (*ready)(void *context, struct failure *failure);
	void *context;
};

/* Prepare; nothing is sent yet.  0, or -1 with `failure` filled in: closed again. */
int session_open(struct session *session, const struct arguments *arguments,
		 struct failure *failure);

/*
 * Fetch the directory and see to the account; `ready` is called once, from
 * within session_run().
 */
void session_start(struct session *session, void (*ready)(void *context, struct failure *failure),
		   void *context);

/* Run the loop until it is stopped.  0, or -1 with `failure` filled in when interrupted. */
int session_run(struct session *session, struct failure *failure);

/* Everything that uses the CA must be gone. */
void session_close(struct session *session);

#endif
