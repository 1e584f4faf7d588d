/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/renewal/ca_pool.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "acme/protocol/problem.h"
#include "acme/util/failure.h"
#include "acme/util/output.h"
#include "acme/renewal/session.h"
#include "acme/store/state.h"

/* For how long all orders wait when one has met a limit, at first. */
#define PAUSE_BEGIN_S       INT64_C(60)
#define PAUSE_DOUBLINGS_MAX 10

struct ca_connection {
	TAILQ_ENTRY(ca_connection) link;
	struct ca_pool *pool;
	char *server;
	char *account; /* of ours there */
	struct session session;
	bool is_ready;
	bool is_stale; /* ends with its last lease */
	unsigned int refusals; /* in a row: the CA's limits were met */
	size_t lease_count;
	TAILQ_HEAD(ca_leases, ca_lease) waiting;
};

struct ca_pool {
	const struct settings *settings;
	const struct net *net;
	struct state *state;
	TAILQ_HEAD(ca_connections, ca_connection) list;
};

/* --- one ---------------------------------------------------------------------------------------- */

static void connection_free(struct ca_connection *connection)
{
	session_close(&connection->session);
	free(connection->account);
	free(connection->server);
	free(connection);
}

static void connection_remove(struct ca_connection *connection)
{
	TAILQ_REMOVE(&connection->pool->list, connection, link);
	connection_free(connection);
}

static struct ca_connection *connection_find(const struct ca_pool *pool, const char *server,
					     const char *account)
{
	struct ca_connection *connection;

	for (connection = TAILQ_FIRST(&pool->list); connection;
	     connection = TAILQ_NEXT(connection, link))
		if (!connection->is_stale && strcmp(connection->server, server) == 0 &&
		    strcmp(connection->account, account) == 0)
			return connection;
	return NULL;
}

/* NULL: `failure` tells. */
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
		session_open(&connection->session, pool->net, pool->settings, server, account,
			     failure);
	if (failure_is_set(failure)) {
		connection_free(connection);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&pool->list, connection, link);
	return connection;
}

static void on_session_ready(void *context, struct failure *failure)
{
	struct ca_connection *connection = context;
	struct ca_lease *lease;

	/* If it is not, the next who comes tries again. */
	connection->is_ready = !failure_is_set(failure);
	while ((lease = TAILQ_FIRST(&connection->waiting))) {
		TAILQ_REMOVE(&connection->waiting, lease, link);
		lease->is_waiting = false;
		lease->ready(lease->context, connection->is_ready ? connection->session.ca : NULL,
			     failure);
	}
	failure_done(failure);
}

int ca_pool_lease(struct ca_pool *pool, const char *server, const char *account,
		  struct ca_lease *lease, struct failure *failure)
{
	struct ca_connection *connection = connection_find(pool, server, account);
	bool is_first;

	if (!connection)
		connection = connection_open(pool, server, account, failure);
	if (!connection)
		return -1;
	lease->connection = connection;
	connection->lease_count++;
	if (connection->is_ready) {
		lease->ready(lease->context, connection->session.ca, NULL);
		return 0;
	}
	is_first = TAILQ_EMPTY(&connection->waiting);
	lease->is_waiting = true;
	TAILQ_INSERT_TAIL(&connection->waiting, lease, link);
	if (is_first)
		session_start(&connection->session, on_session_ready, connection);
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
	if (!--connection->lease_count && connection->is_stale)
		connection_remove(connection);
}

/* --- pauses ------------------------------------------------------------------------------------- */

void ca_lease_note_success(const struct ca_lease *lease)
{
	if (lease->connection)
		lease->connection->refusals = 0;
}

void ca_lease_note_pause(const struct ca_lease *lease, const struct failure *failure)
{
	struct ca_connection *connection = lease->connection;
	int64_t now_s = time(NULL), wait_s = failure->retry_after_s, until_s = 0;
	struct state *state;
	int error;

	if (!connection)
		return;
	state = connection->pool->state;
	error = state_hold_read(state, connection->server, connection->account, &until_s);
	/* Those that were under way meet the same limit: they count as one. */
	if (!error && until_s > now_s)
		return;
	if (problem_is(failure->problem, "rateLimited")) {
		if (!wait_s || wait_s > PAUSE_BEGIN_S << connection->refusals)
			wait_s = PAUSE_BEGIN_S << connection->refusals;
		connection->refusals += connection->refusals < PAUSE_DOUBLINGS_MAX;
	}
	if (!error && wait_s)
		error = state_hold_write(state, connection->server, connection->account,
					 now_s + wait_s);
	if (error)
		output_warning("that %s asks to wait could not be written down: %s",
			       connection->server, strerror(-error));
}

/* --- all ---------------------------------------------------------------------------------------- */

int ca_pool_new(struct ca_pool **ret_pool, const struct settings *settings, const struct net *net,
		struct state *state)
{
	struct ca_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	pool->settings = settings;
	pool->net = net;
	pool->state = state;
	TAILQ_INIT(&pool->list);
	*ret_pool = pool;
	return 0;
}

void ca_pool_settings_changed(struct ca_pool *pool, const struct settings *settings)
{
	struct ca_connection *connection, *next;

	pool->settings = settings;
	for (connection = TAILQ_FIRST(&pool->list); connection; connection = next) {
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
	while ((connection = TAILQ_FIRST(&pool->list)))
		connection_remove(connection);
	free(pool);
}
