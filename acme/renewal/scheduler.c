// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/scheduler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "acme/config/settings.h"
#include "acme/renewal/consequence.h"
#include "acme/renewal/rate_limit.h"
#include "acme/store/state.h"
#include "acme/util/failure.h"
#include "acme/util/output.h"
#include "common/clock.h"

#define CAS_MAX 100

/* More waits in a row are not counted. */
#define REFUSALS_MAX 1000

/* A CA, or an account at one, that the last orders were refused by. */
struct refusals {
	SLIST_ENTRY(refusals) link;
	char *server;
	char *account; /* "": all of the CA's */
	unsigned int count; /* in a row */
};

struct scheduler {
	struct state *state;
	const struct settings *settings;
	struct rate_limit *rate_limit;
	SLIST_HEAD(refusals_list, refusals) refusals;
};

/* What scheduler_next() gathers. */
struct gathering {
	struct scheduler *scheduler;
	struct scheduler_list *list;
	size_t max;
	size_t told; /* by the state, those that were in the list already included */
	bool is_limited;
};

/* --- as a whole --------------------------------------------------------------------------------- */

int scheduler_new(struct scheduler **ret_scheduler, struct state *state,
		  const struct settings *settings)
{
	struct scheduler *scheduler = calloc(1, sizeof(*scheduler));

	if (!scheduler)
		return -ENOMEM;
	scheduler->state = state;
	scheduler->settings = settings;
	SLIST_INIT(&scheduler->refusals);
	if (rate_limit_new(&scheduler->rate_limit, state, settings)) {
		free(scheduler);
		return -ENOMEM;
	}
	*ret_scheduler = scheduler;
	return 0;
}

static void refusals_free(struct refusals *refusals)
{
	free(refusals->account);
	free(refusals->server);
	free(refusals);
}

void scheduler_free(struct scheduler *scheduler)
{
	struct refusals *refusals;

	if (!scheduler)
		return;
	while ((refusals = SLIST_FIRST(&scheduler->refusals))) {
		SLIST_REMOVE_HEAD(&scheduler->refusals, link);
		refusals_free(refusals);
	}
	rate_limit_free(scheduler->rate_limit);
	free(scheduler);
}

void scheduler_settings_changed(struct scheduler *scheduler, const struct settings *settings)
{
	scheduler->settings = settings;
	rate_limit_settings_changed(scheduler->rate_limit, settings);
}

/* --- what is due -------------------------------------------------------------------------------- */

/* Copies what a list of the state tells: a callback must not call the state. */
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

static bool list_has(const struct scheduler_list *list, int64_t id)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (list->ids[i] == id)
			return true;
	return false;
}

static int add_due(void *context, const struct state_due *found)
{
	struct gathering *gathering = context;

	gathering->told++;
	if (!list_has(gathering->list, found->id))
		gathering->list->ids[gathering->list->count++] = found->id;
	return 0;
}

/* Whether the CA does not count the lineage's next order. */
static bool is_exempt(const struct state_lineage *lineage)
{
	/* A CA without renewal information is not asked for any: check_at is 0. */
	return lineage->ari_id && lineage->check_at_s && lineage->server &&
	       strcmp(lineage->server, lineage->ca) == 0;
}

/* More is due than was given. */
static int note_limit(struct gathering *gathering, const char *server, size_t given, int64_t now_s)
{
	int64_t at_s = 0;
	int err = given ? 0 : state_next_order(gathering->scheduler->state, server, &at_s);

	gathering->is_limited |= given || (at_s && at_s <= now_s);
	return err;
}

/* How many orders the CA allows the usual account now. */
static int orders_left(const struct scheduler *scheduler, const char *server, int64_t now_s,
		       size_t *ret_count, bool *ret_is_held)
{
	int64_t next_s;

	return rate_limit_orders(scheduler->rate_limit, server,
				 settings_account(scheduler->settings, server, NULL), now_s,
				 ret_count, ret_is_held, &next_s);
}

/* Let a lineage go to its next CA, if it has one that is not at its limits, too. */
static int move_lineage(struct scheduler *scheduler, int64_t id, int64_t now_s)
{
	struct state_lineage lineage;
	size_t allowed = 0;
	bool is_held;
	char *ca;
	int err = state_lineage_read(scheduler->state, id, &lineage);

	if (err)
		return err == -ENOENT ? 0 : err;
	ca = consequence_next_ca(&lineage);
	if (ca && strcmp(ca, lineage.ca) != 0 &&
	    !orders_left(scheduler, ca, now_s, &allowed, &is_held) && allowed)
		err = state_postpone(scheduler->state, id, now_s, ca,
				     "the limits of the CA before allow no order");
	free(ca);
	state_lineage_done(&lineage);
	return err;
}

/* At one CA nothing is left for what is due there. */
static int move_all(struct scheduler *scheduler, const char *server, int64_t now_s)
{
	struct scheduler_list stuck = {0};
	struct gathering gathering = {.scheduler = scheduler, .list = &stuck};
	int err;
	size_t i;

	err = state_due_orders(scheduler->state, server, now_s, SCHEDULER_MAX, add_due, &gathering);
	for (i = 0; !err && i < stuck.count; i++)
		err = move_lineage(scheduler, stuck.ids[i], now_s);
	return err;
}

static int gather_at_ca(struct gathering *gathering, const char *server)
{
	struct state *state = gathering->scheduler->state;
	size_t places = gathering->max - gathering->list->count, allowed = 0;
	int64_t now_s = clock_now_s();
	bool is_held;
	int err;

	err = orders_left(gathering->scheduler, server, now_s, &allowed, &is_held);
	if (!err && allowed >= places)
		return state_due_orders(state, server, now_s, places, add_due, gathering);
	if (!err && !is_held)
		err = state_due_replacements(state, server, now_s, places, add_due, gathering);
	places = gathering->max - gathering->list->count;
	gathering->told = 0;
	if (!err && allowed && places)
		err = state_due_orders(state, server, now_s, allowed < places ? allowed : places,
				       add_due, gathering);
	if (!err && gathering->told == allowed)
		err = note_limit(gathering, server, allowed, now_s);
	if (!err && !allowed)
		err = move_all(gathering->scheduler, server, now_s);
	return err;
}

int scheduler_next(struct scheduler *scheduler, size_t max, struct scheduler_list *ret_list,
		   bool *ret_is_limited)
{
	struct gathering gathering = {.scheduler = scheduler,
				      .list = ret_list,
				      .max = max < SCHEDULER_MAX ? max : SCHEDULER_MAX};
	struct cas cas = {0};
	int err;
	size_t i;

	ret_list->count = 0;
	err = state_cas(scheduler->state, add_ca, &cas);
	for (i = 0; err >= 0 && i < cas.count && ret_list->count < gathering.max; i++)
		err = gather_at_ca(&gathering, cas.servers[i]);
	free_cas(&cas);
	*ret_is_limited = gathering.is_limited;
	return err < 0 ? err : 0;
}

/* --- what is in flight -------------------------------------------------------------------------- */

struct in_flight {
	int64_t made_before_s;
	bool (*is_taken)(void *context, int64_t lineage);
	void *context;
	size_t max;
	int64_t now_s;
	struct scheduler_list *list;
};

static int add_in_flight(void *context, const struct state_order *order)
{
	struct in_flight *in_flight = context;

	if (order->made_at_s >= in_flight->made_before_s ||
	    order->next_attempt_s > in_flight->now_s ||
	    in_flight->is_taken(in_flight->context, order->lineage))
		return 0;
	in_flight->list->ids[in_flight->list->count++] = order->lineage;
	return in_flight->list->count == in_flight->max;
}

int scheduler_in_flight(struct scheduler *scheduler, int64_t made_before_s, size_t max,
			bool (*is_taken)(void *context, int64_t lineage), void *context,
			struct scheduler_list *ret_list)
{
	struct in_flight in_flight = {
		.made_before_s = made_before_s,
		.is_taken = is_taken,
		.context = context,
		.max = max < SCHEDULER_MAX ? max : SCHEDULER_MAX,
		.now_s = clock_now_s(),
		.list = ret_list,
	};
	int err;

	ret_list->count = 0;
	if (!max)
		return 0;
	err = state_orders(scheduler->state, add_in_flight, &in_flight);
	return err < 0 ? err : 0;
}

/* --- when --------------------------------------------------------------------------------------- */

/* scheduler_next_s() for one CA. */
static int64_t next_at_s(const struct scheduler *scheduler, const char *server)
{
	const char *account = settings_account(scheduler->settings, server, NULL);
	int64_t now_s = clock_now_s(), at_s = 0, allowed_s = 0;
	size_t allowed = 1;
	bool is_held;

	if (state_next_order(scheduler->state, server, &at_s) || !at_s ||
	    rate_limit_orders(scheduler->rate_limit, server, account, now_s, &allowed, &is_held,
			      &allowed_s))
		return at_s;
	return !allowed && at_s < allowed_s ? allowed_s : at_s;
}

int64_t scheduler_next_s(struct scheduler *scheduler)
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

/* --- one order ---------------------------------------------------------------------------------- */

static struct rate_limit_order limits_of(const struct scheduler *scheduler,
					 const struct state_lineage *lineage)
{
	return (struct rate_limit_order){
		.server = lineage->ca,
		.account =
			settings_account(scheduler->settings, lineage->ca, lineage->spec.account),
		.identifiers = &lineage->spec.identifiers,
	};
}

int scheduler_wait_until(struct scheduler *scheduler, const struct state_lineage *lineage,
			 int64_t *ret_at_s, struct failure *failure)
{
	const struct rate_limit_order order = limits_of(scheduler, lineage);

	*ret_at_s = 0;
	if (is_exempt(lineage))
		return 0;
	return rate_limit_when(scheduler->rate_limit, &order, clock_now_s(), ret_at_s, failure);
}

int scheduler_reserve(struct scheduler *scheduler, const struct state_lineage *lineage)
{
	const struct state_order order = {
		.lineage = lineage->id,
		.ca = lineage->ca,
		.server = lineage->ca,
		.account = lineage->spec.account,
		.identifiers = lineage->spec.identifiers,
		.made_at_s = clock_now_s(),
	};
	const struct rate_limit_order taken = limits_of(scheduler, lineage);
	struct state *state = scheduler->state;
	int err;

	/* A failed write ends a batch, and mostly there is no earlier order: so this is outside. */
	err = state_order_drop(state, lineage->id);
	if (!err || err == -ENOENT)
		err = state_begin(state);
	if (err)
		return err;
	err = state_order_begin(state, &order);
	if (!err && !is_exempt(lineage))
		err = rate_limit_take(scheduler->rate_limit, &taken, order.made_at_s);
	if (!err)
		return state_commit(state);
	state_rollback(state);
	return err;
}

/* --- pauses ------------------------------------------------------------------------------------- */

static struct refusals *refusals_find(const struct scheduler *scheduler, const char *server,
				      const char *account)
{
	struct refusals *refusals;

	for (refusals = SLIST_FIRST(&scheduler->refusals); refusals;
	     refusals = SLIST_NEXT(refusals, link))
		if (strcmp(refusals->server, server) == 0 &&
		    strcmp(refusals->account, account) == 0)
			return refusals;
	return NULL;
}

/* NULL: out of memory. */
static struct refusals *refusals_find_or_add(struct scheduler *scheduler, const char *server,
					     const char *account)
{
	struct refusals *refusals = refusals_find(scheduler, server, account);

	if (refusals)
		return refusals;
	refusals = calloc(1, sizeof(*refusals));
	if (!refusals)
		return NULL;
	refusals->server = strdup(server);
	refusals->account = strdup(account);
	if (!refusals->server || !refusals->account) {
		refusals_free(refusals);
		return NULL;
	}
	SLIST_INSERT_HEAD(&scheduler->refusals, refusals, link);
	return refusals;
}

static void refusals_forget(struct scheduler *scheduler, const char *server, const char *account)
{
	struct refusals *refusals = refusals_find(scheduler, server, account);

	if (refusals)
		refusals->count = 0;
}

void scheduler_note_success(struct scheduler *scheduler, const struct state_lineage *lineage)
{
	refusals_forget(scheduler, lineage->ca, "");
	refusals_forget(scheduler, lineage->ca,
			settings_account(scheduler->settings, lineage->ca, lineage->spec.account));
}

/* How often the CA or the account has refused in a row, this time included. */
static unsigned int count_refusal(struct scheduler *scheduler, const char *server,
				  const char *account)
{
	struct refusals *refusals = refusals_find_or_add(scheduler, server, account);

	if (!refusals)
		return 1;
	refusals->count += refusals->count < REFUSALS_MAX;
	return refusals->count;
}

void scheduler_note_failure(struct scheduler *scheduler, const struct state_lineage *lineage,
			    const struct failure *failure)
{
	const char *server = lineage->ca, *account = "";
	int64_t now_s = clock_now_s(), until_s = 0;
	struct consequence consequence;
	int err;

	consequence_of(&consequence, failure);
	/* The CA has judged the names: so it and the account are well. */
	if (consequence.waits == CONSEQUENCE_LINEAGE && (failure->problem || failure->ends_order))
		scheduler_note_success(scheduler, lineage);
	if (consequence.waits != CONSEQUENCE_CA && consequence.waits != CONSEQUENCE_ACCOUNT)
		return;
	if (consequence.waits == CONSEQUENCE_ACCOUNT)
		account = settings_account(scheduler->settings, server, lineage->spec.account);
	err = state_hold_read(scheduler->state, server, account, &until_s);
	/* Those that were under way meet the same: they count as one. */
	if (!err && until_s > now_s)
		return;
	if (!err)
		err = state_hold_write(
			scheduler->state, server, account,
			now_s + consequence_wait_s(&consequence,
						   count_refusal(scheduler, server, account)));
	if (err)
		output_warning("that orders at %s wait could not be written down: %s", server,
			       strerror(-err));
}

struct json_t *scheduler_limits_to_json(struct scheduler *scheduler, const char *server,
					int64_t now_s)
{
	return rate_limit_to_json(scheduler->rate_limit, server,
				  settings_account(scheduler->settings, server, NULL), now_s);
}
