/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The process's connections to CAs (session.h): one for each account at each CA.  The first lease
 * opens it, all others share it.  Orders lease an account; renewal information and CAA checks only
 * need the CA's directory, and share whatever connection there is.
 */
#ifndef ACME_RENEWAL_CA_POOL_H
#define ACME_RENEWAL_CA_POOL_H

#include <stdbool.h>
#include <sys/queue.h>

struct ca;
struct ca_connection;
struct ca_pool;
struct failure;
struct net;
struct settings;

/* Embedded in its user; all zero: no lease. */
struct ca_lease {
	TAILQ_ENTRY(ca_lease) link;
	struct ca_connection *connection;
	bool is_waiting;
	bool needs_account;
	/*
	 * Called once, perhaps before the lease's function returns: the directory of `ca` is known,
	 * and it has the account that was asked for; NULL: `failure` says why not.
	 */
	void (*ready)(void *context, struct ca *ca, const struct failure *failure);
	void *context;
};

/* What it is given must outlive it.  0 or -ENOMEM. */
int ca_pool_new(struct ca_pool **ret_pool, const struct settings *settings, const struct net *net);

/* All leases must have ended. */
void ca_pool_free(struct ca_pool *pool);

/* Current leases keep what they have from the old settings; new leases get new connections. */
void ca_pool_settings_changed(struct ca_pool *pool, const struct settings *settings);

/*
 * Share our account at a CA (NULL: as settings_account() says), or the CA's directory alone, until
 * ca_lease_end().  0, or -1 with `failure` filled in: no lease.
 */
int ca_pool_lease_account(struct ca_pool *pool, const char *server, const char *account,
			  struct ca_lease *lease, struct failure *failure);
int ca_pool_lease_directory(struct ca_pool *pool, const char *server, struct ca_lease *lease,
			    struct failure *failure);

/* The lease's requests must be over.  Ending what is no lease does nothing. */
void ca_lease_end(struct ca_lease *lease);

#endif
