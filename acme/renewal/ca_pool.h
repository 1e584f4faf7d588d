/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The CAs that orders go to: one session for each account (session.h), which the first order opens
 * and all share, and the pauses that a CA asks for.
 */
#ifndef ACME_RENEWAL_CA_POOL_H
#define ACME_RENEWAL_CA_POOL_H

#include <stdbool.h>
#include <sys/queue.h>

struct settings;
struct ca;
struct ca_connection;
struct ca_pool;
struct failure;
struct net;
struct state;

/* Embedded in its user; all zero: no lease. */
struct ca_lease {
	TAILQ_ENTRY(ca_lease) link;
	struct ca_connection *connection;
	bool is_waiting;
	/* Called once, perhaps from within ca_pool_lease(): `ca` has an account; NULL: `failure` tells. */
	void (*ready)(void *context, struct ca *ca, const struct failure *failure);
	void *context;
};

/* What it is given must outlive it.  0 or -ENOMEM. */
int ca_pool_new(struct ca_pool **ret_pool, const struct settings *settings, const struct net *net,
		struct state *state);

/* All leases must have ended. */
void ca_pool_free(struct ca_pool *pool);

/* Current leases keep the old settings; new leases get new sessions. */
void ca_pool_settings_changed(struct ca_pool *pool, const struct settings *settings);

/* Share our account at a CA until ca_lease_end().  0, or -1 with `failure` filled in: no lease. */
int ca_pool_lease(struct ca_pool *pool, const char *server, const char *account,
		  struct ca_lease *lease, struct failure *failure);

/* The lease's requests must be over.  Ending what is no lease does nothing. */
void ca_lease_end(struct ca_lease *lease);

/* The order succeeded: a limit that others met is not the account's. */
void ca_lease_note_success(const struct ca_lease *lease);

/*
 * The CA has asked to wait.  A CA that is overloaded means everybody.  A CA that limits does not say
 * whether the limit is the account's or one name's: so other orders wait for a minute, then for two,
 * and so on, as long as every order meets it.
 */
void ca_lease_note_pause(const struct ca_lease *lease, const struct failure *failure);

#endif
