/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The CAs that orders go to: one session for each account (session.h), opened when the first order
 * comes, shared by all, and the pauses that a CA asks for.  Used by engine.c.
 */
#ifndef DESK_H
#define DESK_H

#include <stdbool.h>
#include <sys/queue.h>

struct arguments;
struct ca;
struct desk;
struct desks;
struct failure;
struct net;
struct state;

/* Embedded in whoever visits; all zero: nowhere. */
struct desk_visitor {
	TAILQ_ENTRY(desk_visitor) link;
	struct desk *desk;
	bool is_waiting;
	/* Called once, perhaps from within desk_visit(): `ca` has an account; NULL: `failure` tells. */
	void (*admitted)(void *context, struct ca *ca, const struct failure *failure);
	void *context;
};

/* What it is given must outlive it.  0 or -ENOMEM. */
int desks_new(struct desks **ret_desks, const struct arguments *arguments, const struct net *net,
	      struct state *state);

/* Everybody must have left. */
void desks_free(struct desks *desks);

/* Who is there goes on with what was said to the CAs; who comes from here on finds new sessions. */
void desks_renew(struct desks *desks);

/* Come to our account at a CA, until desk_leave().  0, or -1 with `failure` filled in: nowhere. */
int desk_visit(struct desks *desks, const char *server, const char *account,
	       struct desk_visitor *visitor, struct failure *failure);

/* Nothing of the visitor's may be under way at the CA.  One that is nowhere stays there. */
void desk_leave(struct desk_visitor *visitor);

/* The visitor has got what it wanted: whatever limits others have met are not the account's. */
void desk_note_success(const struct desk_visitor *visitor);

/*
 * The CA has asked the visitor to wait.  Overloaded, it means everybody.  Of a limit it does not say
 * whose it is, the account's or one of this order's names': so others wait for a minute, then for
 * two, ... for as long as every order meets it.
 */
void desk_note_pause(const struct desk_visitor *visitor, const struct failure *failure);

#endif
