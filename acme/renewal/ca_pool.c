// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/ca_pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "acme/config/settings.h"
#include "acme/renewal/session.h"
#include "acme/util/failure.h"

struct ca_connection {
	TAILQ_ENTRY(ca_connection) link;
	struct ca_pool *pool;
	char *server;
	char *account; /* of ours there */
	struct session session;
	bool is_starting;
	bool has_account; /* the CA knows the account */
	bool is_stale; /* ends with its last lease */
	size_t lease_count;
	TAILQ_HEAD(ca_leases, ca_lease) waiting;
};

struct ca_pool {
	const struct settings *settings;
	const struct net *net;
	TAILQ_HEAD(ca_connections, ca_connection) connections;
};

/* --- connections -------------------------------------------------------------------------------- */

static void connection_free(struct ca_connection *connection)
{
	session_close(&connection->session);
	free(connection->account);
	free(connection->server);
	free(connection);
}

static void connection_remove(struct ca_connection *connection)
{
	TAILQ_REMOVE(&connection->pool->connections, connection, link);
	connection_free(connection);
}

/* `account` NULL: any. */
static struct ca_connection *connection_find(const struct ca_pool *pool, const char *server,
					     const char *account)
{
	struct ca_connection *connection = TAILQ_FIRST(&pool->connections);

	for (; connection; connection = TAILQ_NEXT(connection, link))
		if (!connection->is_stale && strcmp(connection->server, server) == 0 &&
		    (!account || strcmp(connection->account, account) == 0))
			return connection;
	return NULL;
}

/* NULL: `failure` says why. */
static struct ca_connection *connection_open(struct ca_pool *pool, const char *server,
					     const char *account, struct failure *failure)
{
	struct ca_connection *connection = calloc(1, sizeof(*connection));

	if (!connection) {
		failure_set_errno(failure, ENOMEM, "preparing to talk to the CA");
		return NULL;
	}
	TAILQ_INIT(&connection->waiting);
	connection->pool = pool;
	connection->server = strdup(server);
	connection->account = strdup(account);
	if (!connection->server || !connection->account)
		failure_set_errno(failure, ENOMEM, "preparing to talk to the CA");
	else
		session_open(&connection->session, pool->net, pool->settings, server, failure);
	if (failure_is_set(failure)) {
		connection_free(connection);
		return NULL;
	}
	connection->session.follows_account = true;
	TAILQ_INSERT_TAIL(&pool->connections, connection, link);
	return connection;
}

static void connection_release(struct ca_connection *connection)
{
	if (!--connection->lease_count && connection->is_stale)
		connection_remove(connection);
}

static struct ca_lease *next_waiting(const struct ca_connection *connection, bool with_account)
{
	struct ca_lease *lease = TAILQ_FIRST(&connection->waiting);

	while (lease && lease->needs_account && !with_account)
		lease = TAILQ_NEXT(lease, link);
	return lease;
}

/* Tell the leases that wait for the directory, or all; each may end in its callback. */
static void serve_waiting(struct ca_connection *connection, bool all, const struct failure *failure)
{
	struct ca_lease *lease;
	bool has;

	while ((lease = next_waiting(connection, all))) {
		TAILQ_REMOVE(&connection->waiting, lease, link);
		lease->is_waiting = false;
		has = lease->needs_account ? connection->has_account
					   : connection->session.is_connected;
		lease->ready(lease->context, has ? connection->session.ca : NULL, failure);
	}
}

static void on_connected(void *context)
{
	struct ca_connection *connection = context;

	connection->lease_count++;
	serve_waiting(connection, false, NULL);
	connection->lease_count--;
}

static void on_session_ready(void *context, struct failure *failure)
{
	struct ca_connection *connection = context;

	/* After a failure the next lease tries again. */
	connection->is_starting = false;
	connection->has_account = connection->session.account && !failure_is_set(failure);
	connection->lease_count++;
	serve_waiting(connection, true, failure);
	failure_done(failure);
	connection_release(connection);
}

/* --- leases ------------------------------------------------------------------------------------- */

static void connection_lease(struct ca_connection *connection, struct ca_lease *lease)
{
	lease->connection = connection;
	connection->lease_count++;
	if (lease->needs_account ? connection->has_account : connection->session.is_connected) {
		lease->ready(lease->context, connection->session.ca, NULL);
		return;
	}
	lease->is_waiting = true;
	TAILQ_INSERT_TAIL(&connection->waiting, lease, link);
	if (connection->is_starting)
		return;
	connection->is_starting = true;
	connection->session.connected = on_connected;
	session_start(&connection->session, on_session_ready, connection);
}

int ca_pool_lease_account(struct ca_pool *pool, const char *server, const char *account,
			  struct ca_lease *lease, struct failure *failure)
{
	const char *name = settings_account(pool->settings, server, account);
	struct ca_connection *connection = connection_find(pool, server, name);

	if (!connection)
		connection = connection_open(pool, server, name, failure);
	if (!connection || (!connection->session.account &&
			    session_open_account(&connection->session, name, failure)))
		return -1;
	lease->needs_account = true;
	connection_lease(connection, lease);
	return 0;
}

int ca_pool_lease_directory(struct ca_pool *pool, const char *server, struct ca_lease *lease,
			    struct failure *failure)
{
	struct ca_connection *connection = connection_find(pool, server, NULL);

	if (!connection)
		connection = connection_open(
			pool, server, settings_account(pool->settings, server, NULL), failure);
	if (!connection)
		return -1;
	lease->needs_account = false;
	connection_lease(connection, lease);
	return 0;
}

void ca_lease_end(struct ca_lease *lease)
{
	struct ca_connection *connection = lease->connection;

	if (!connection)
		return;
	if (lease->is_waiting)
		TAILQ_REMOVE(&connection->waiting, lease, link);
	lease->is_waiting = false;
	lease->connection = NULL;
	connection_release(connection);
}

/* --- the pool ----------------------------------------------------------------------------------- */

int ca_pool_new(struct ca_pool **ret_pool, const struct settings *settings, const struct net *net)
{
	struct ca_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	pool->settings = settings;
	pool->net = net;
	TAILQ_INIT(&pool->connections);
	*ret_pool = pool;
	return 0;
}

void ca_pool_settings_changed(struct ca_pool *pool, const struct settings *settings)
{
	struct ca_connection *connection, *next;

	pool->settings = settings;
	for (connection = TAILQ_FIRST(&pool->connections); connection; connection = next) {
		next = TAILQ_NEXT(connection, link);
		connection->is_stale = true;
		if (!connection->lease_count)
			connection_remove(connection);
	}
}

void ca_pool_free(struct ca_pool *pool)
{
	struct ca_connection *connection;

	if (!pool)
		return;
	while ((connection = TAILQ_FIRST(&pool->connections)))
		connection_remove(connection);
	free(pool);
}
