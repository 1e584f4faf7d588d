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

struct desk {
	TAILQ_ENTRY(desk) link;
	struct desks *desks;
	char *server;
	char *account; /* of ours there */
	struct session session;
	bool is_ready;
	bool is_stale; /* ends with its last visitor */
	unsigned int refusals; /* in a row: the CA's limits were met */
	size_t visitor_count;
	TAILQ_HEAD(desk_visitors, desk_visitor) waiting;
};

struct desks {
	const struct arguments *arguments;
	const struct net *net;
	struct state *state;
	TAILQ_HEAD(desk_list, desk) list;
};

/* --- one ---------------------------------------------------------------------------------------- */

static void desk_free(struct desk *desk)
{
	session_close(&desk->session);
	free(desk->account);
	free(desk->server);
	free(desk);
}

static void remove_desk(struct desk *desk)
{
	TAILQ_REMOVE(&desk->desks->list, desk, link);
	desk_free(desk);
}

static struct desk *find(const struct desks *desks, const char *server, const char *account)
{
	struct desk *desk;

	for (desk = TAILQ_FIRST(&desks->list); desk; desk = TAILQ_NEXT(desk, link))
		if (!desk->is_stale && strcmp(desk->server, server) == 0 &&
		    strcmp(desk->account, account) == 0)
			return desk;
	return NULL;
}

/* NULL: `failure` tells. */
static struct desk *open_desk(struct desks *desks, const char *server, const char *account,
			      struct failure *failure)
{
	struct desk *desk = calloc(1, sizeof(*desk));

	if (!desk) {
		failure_set_errno(failure, ENOMEM, "preparing to talk to the CA");
		return NULL;
	}
	TAILQ_INIT(&desk->waiting);
	desk->desks = desks;
	desk->server = strdup(server);
	desk->account = strdup(account);
	if (!desk->server || !desk->account)
		failure_set_errno(failure, ENOMEM, "preparing to talk to the CA");
	else
		session_open(&desk->session, desks->net, desks->arguments, server, account,
			     failure);
	if (failure_is_set(failure)) {
		desk_free(desk);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&desks->list, desk, link);
	return desk;
}

static void on_ready(void *context, struct failure *failure)
{
	struct desk *desk = context;
	struct desk_visitor *visitor;

	/* If it is not, the next who comes tries again. */
	desk->is_ready = !failure_is_set(failure);
	while ((visitor = TAILQ_FIRST(&desk->waiting))) {
		TAILQ_REMOVE(&desk->waiting, visitor, link);
		visitor->is_waiting = false;
		visitor->admitted(visitor->context, desk->is_ready ? desk->session.ca : NULL,
				  failure);
	}
	failure_done(failure);
}

int desk_visit(struct desks *desks, const char *server, const char *account,
	       struct desk_visitor *visitor, struct failure *failure)
{
	struct desk *desk = find(desks, server, account);
	bool is_first;

	if (!desk)
		desk = open_desk(desks, server, account, failure);
	if (!desk)
		return -1;
	visitor->desk = desk;
	desk->visitor_count++;
	if (desk->is_ready) {
		visitor->admitted(visitor->context, desk->session.ca, NULL);
		return 0;
	}
	is_first = TAILQ_EMPTY(&desk->waiting);
	visitor->is_waiting = true;
	TAILQ_INSERT_TAIL(&desk->waiting, visitor, link);
	if (is_first)
		session_start(&desk->session, on_ready, desk);
	return 0;
}

void desk_leave(struct desk_visitor *visitor)
{
	struct desk *desk = visitor->desk;

	if (!desk)
		return;
	if (visitor->is_waiting)
		TAILQ_REMOVE(&desk->waiting, visitor, link);
	visitor->is_waiting = false;
	visitor->desk = NULL;
	if (!--desk->visitor_count && desk->is_stale)
		remove_desk(desk);
}

/* --- pauses ------------------------------------------------------------------------------------- */

void desk_note_success(const struct desk_visitor *visitor)
{
	if (visitor->desk)
		visitor->desk->refusals = 0;
}

void desk_note_pause(const struct desk_visitor *visitor, const struct failure *failure)
{
	struct desk *desk = visitor->desk;
	int64_t now_s = time(NULL), wait_s = failure->retry_after_s, until_s = 0;
	struct state *state;
	int error;

	if (!desk)
		return;
	state = desk->desks->state;
	error = state_hold_read(state, desk->server, desk->account, &until_s);
	/* Those that were under way meet the same limit: they count as one. */
	if (!error && until_s > now_s)
		return;
	if (problem_is(failure->problem, "rateLimited")) {
		if (!wait_s || wait_s > PAUSE_BEGIN_S << desk->refusals)
			wait_s = PAUSE_BEGIN_S << desk->refusals;
		desk->refusals += desk->refusals < PAUSE_DOUBLINGS_MAX;
	}
	if (!error && wait_s)
		error = state_hold_write(state, desk->server, desk->account, now_s + wait_s);
	if (error)
		output_warning("that %s asks to wait could not be written down: %s", desk->server,
			       strerror(-error));
}

/* --- all ---------------------------------------------------------------------------------------- */

int desks_new(struct desks **ret_desks, const struct arguments *arguments, const struct net *net,
	      struct state *state)
{
	struct desks *desks = calloc(1, sizeof(*desks));

	if (!desks)
		return -ENOMEM;
	desks->arguments = arguments;
	desks->net = net;
	desks->state = state;
	TAILQ_INIT(&desks->list);
	*ret_desks = desks;
	return 0;
}

void desks_renew(struct desks *desks)
{
	struct desk *desk, *next;

	for (desk = TAILQ_FIRST(&desks->list); desk; desk = next) {
		next = TAILQ_NEXT(desk, link);
		desk->is_stale = true;
		if (!desk->visitor_count)
			remove_desk(desk);
	}
}

void desks_free(struct desks *desks)
{
	struct desk *desk;

	if (!desks)
		return;
	while ((desk = TAILQ_FIRST(&desks->list)))
		remove_desk(desk);
	free(desks);
}
