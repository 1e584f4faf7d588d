/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/renewal/scheduler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "acme/util/name.h"
#include "acme/renewal/rate_limit.h"
#include "acme/config/settings.h"
#include "acme/renewal/order_outcome.h"
#include "acme/store/state.h"

#define CAS_MAX 100

/* What a list of the state tells, for after its callback: which may not call the state. */
struct cas {
	char *servers[CAS_MAX];
	size_t count;
};

static int add_ca(void *context, const char *ca)
{
	struct cas *cas = context;

	if (cas->count == CAS_MAX)
		return 1;
	cas->servers[cas->count] = strdup(ca);
	if (!cas->servers[cas->count])
		return -ENOMEM;
	cas->count++;
	return 0;
}

static void free_cas(struct cas *cas)
{
	while (cas->count)
		free(cas->servers[--cas->count]);
}

static int add_due(void *context, const struct state_due *found)
{
	struct scheduler *scheduler = context;
	size_t i;

	scheduler->told++;
	for (i = 0; i < scheduler->count; i++)
		if (scheduler->ids[i] == found->id)
			return 0;
	scheduler->ids[scheduler->count++] = found->id;
	return 0;
}

const char *scheduler_usual_account(const struct settings *settings, const char *server)
{
	struct ca_settings ca;

	settings_of_ca(&ca, settings, server);
	return ca.account ? ca.account : ACCOUNT_DEFAULT;
}

bool scheduler_is_exempt(const struct state_lineage *lineage)
{
	/* A CA without renewal information is not asked for any: check_at is 0. */
	return lineage->ari_id && lineage->check_at_s && lineage->server &&
	       strcmp(lineage->server, lineage->ca) == 0;
}

/* More is due than was given. */
static int note_limit(struct scheduler *scheduler, const char *server, size_t given, int64_t now_s)
{
	int64_t at_s = 0;
	int error = given ? 0 : state_next_order(scheduler->state, server, &at_s);

	scheduler->is_limited |= given || (at_s && at_s <= now_s);
	return error;
}

/* Whether the CA has an order left for its usual account. */
static bool has_order_left(const struct scheduler *scheduler, const char *server, int64_t now_s)
{
	const char *account = scheduler_usual_account(scheduler->settings, server);
	size_t allowed = 0;
	int64_t next_s;
	bool is_held;

	return !rate_limit_orders(scheduler->rate_limit, server, account, now_s, &allowed, &is_held,
				  &next_s) &&
	       allowed;
}

/* Let a lineage go to its next CA, if it has one that is not at its limits, too. */
static int move_lineage(struct scheduler *scheduler, int64_t id, int64_t now_s)
{
	struct state_lineage lineage;
	char *ca;
	int error = state_lineage_read(scheduler->state, id, &lineage);

	if (error)
		return error == -ENOENT ? 0 : error;
	ca = order_outcome_next_ca(&lineage);
	if (ca && strcmp(ca, lineage.ca) != 0 && has_order_left(scheduler, ca, now_s))
		error = state_postpone(scheduler->state, id, now_s, ca);
	free(ca);
	state_lineage_done(&lineage);
	return error;
}

/* At one CA nothing is left for what is due there. */
static int move_all(struct scheduler *scheduler, const char *server, int64_t now_s)
{
	struct scheduler stuck = {.max = SCHEDULER_MAX};
	int error;
	size_t i;

	error = state_due_orders(scheduler->state, server, now_s, stuck.max, add_due, &stuck);
	for (i = 0; !error && i < stuck.count; i++)
		error = move_lineage(scheduler, stuck.ids[i], now_s);
	return error;
}

static int find_at_ca(struct scheduler *scheduler, const char *server)
{
	const char *account = scheduler_usual_account(scheduler->settings, server);
	size_t places = scheduler->max - scheduler->count, allowed = 0;
	int64_t now_s = time(NULL), next_s;
	bool is_held;
	int error;

	error = rate_limit_orders(scheduler->rate_limit, server, account, now_s, &allowed, &is_held,
				  &next_s);
	if (!error && allowed >= places)
		return state_due_orders(scheduler->state, server, now_s, places, add_due,
					scheduler);
	if (!error && !is_held)
		error = state_due_replacements(scheduler->state, server, now_s, places, add_due,
					       scheduler);
	places = scheduler->max - scheduler->count;
	scheduler->told = 0;
	if (!error && allowed && places)
		error = state_due_orders(scheduler->state, server, now_s,
					 allowed < places ? allowed : places, add_due, scheduler);
	if (!error && scheduler->told == allowed)
		error = note_limit(scheduler, server, allowed, now_s);
	if (!error && !allowed)
		error = move_all(scheduler, server, now_s);
	return error;
}

int scheduler_find(struct scheduler *scheduler)
{
	struct cas cas = {0};
	int error;
	size_t i;

	scheduler->count = 0;
	scheduler->is_limited = false;
	error = state_cas(scheduler->state, add_ca, &cas);
	for (i = 0; error >= 0 && i < cas.count && scheduler->count < scheduler->max; i++)
		error = find_at_ca(scheduler, cas.servers[i]);
	free_cas(&cas);
	return error < 0 ? error : 0;
}

/* The same for one CA. */
static int64_t next_at_s(const struct scheduler *scheduler, const char *server)
{
	const char *account = scheduler_usual_account(scheduler->settings, server);
	int64_t now_s = time(NULL), at_s = 0, allowed_s = 0;
	size_t allowed = 1;
	bool is_held;

	if (state_next_order(scheduler->state, server, &at_s) || !at_s ||
	    rate_limit_orders(scheduler->rate_limit, server, account, now_s, &allowed, &is_held,
			      &allowed_s))
		return at_s;
	return !allowed && at_s < allowed_s ? allowed_s : at_s;
}

int64_t scheduler_next_s(const struct scheduler *scheduler)
{
	int64_t next_s = 0, at_s;
	struct cas cas = {0};
	size_t i;

	if (state_cas(scheduler->state, add_ca, &cas) < 0)
		cas.count = 0;
	for (i = 0; i < cas.count; i++) {
		at_s = next_at_s(scheduler, cas.servers[i]);
		if (at_s && (!next_s || at_s < next_s))
			next_s = at_s;
	}
	free_cas(&cas);
	return next_s;
}
