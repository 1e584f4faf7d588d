// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/scheduler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "acme/config/settings.h"
#include "acme/renewal/consequence.h"
#include "acme/renewal/holds.h"
#include "acme/renewal/rate_limit.h"
#include "acme/store/state.h"
#include "acme/util/failure.h"
#include "acme/util/moment.h"
#include "acme/util/output.h"
#include "common/clock.h"

#define CAS_MAX 100

struct scheduler {
	struct state *state;
	const struct settings *settings;
	struct rate_limit *rate_limit;
	const struct scheduler_under_way *under_way;
	struct holds *holds;
	int64_t moment_s; /* what was due at it is due; 0: what is due now */
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
		  const struct settings *settings, const struct scheduler_under_way *under_way)
{
	struct scheduler *scheduler = calloc(1, sizeof(*scheduler));

	if (!scheduler)
		return -ENOMEM;
	scheduler->state = state;
	scheduler->settings = settings;
	scheduler->under_way = under_way;
	if (rate_limit_new(&scheduler->rate_limit, state, settings) ||
	    holds_new(&scheduler->holds, state)) {
		scheduler_free(scheduler);
		return -ENOMEM;
	}
	*ret_scheduler = scheduler;
	return 0;
}

void scheduler_free(struct scheduler *scheduler)
{
	if (!scheduler)
		return;
	holds_free(scheduler->holds);
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

/* How often in a row the CA, or the usual account there, has refused. */
static unsigned int refusals_at(const struct scheduler *scheduler, const char *server)
{
	return holds_refusals(scheduler->holds, server,
			      settings_account(scheduler->settings, server, NULL));
}

/* The last order was refused, and one order is under way to find out whether the next would be. */
static bool is_probed(const struct scheduler *scheduler, const char *server)
{
	const struct scheduler_under_way *under_way = scheduler->under_way;

	return under_way && refusals_at(scheduler, server) &&
	       under_way->has_ca(under_way->context, server);
}

/* The certificate is of the CA that is asked next. */
static bool is_of_next_ca(const struct state_lineage *lineage)
{
	return lineage->server && strcmp(lineage->server, lineage->ca) == 0;
}

/*
 * Whether the CA does not count the lineage's next order: it replaces a certificate inside of the
 * window that the CA suggests (RFC 9773 section 5; Let's Encrypt counts it before and after).
 */
static bool is_exempt(const struct state_lineage *lineage, int64_t now_s)
{
	/* A CA without renewal information is not asked for any: check_at is 0. */
	return lineage->ari_id && lineage->check_at_s && is_of_next_ca(lineage) &&
	       lineage->window_start_s <= now_s && now_s < lineage->window_end_s;
}

void scheduler_set_moment(struct scheduler *scheduler, int64_t moment_s)
{
	scheduler->moment_s = moment_s;
}

/* What must be due by it is due. */
static int64_t due_s(const struct scheduler *scheduler, int64_t now_s)
{
	return scheduler->moment_s && scheduler->moment_s < now_s ? scheduler->moment_s : now_s;
}

/* More is due than was given. */
static int note_limit(struct gathering *gathering, const char *server, size_t given, int64_t now_s)
{
	int64_t at_s = 0;
	int err = given ? 0 : state_next_order(gathering->scheduler->state, server, &at_s);

	gathering->is_limited |= given || (at_s && at_s <= due_s(gathering->scheduler, now_s));
	return err;
}

/* How many orders the CA allows the usual account now, and when the next if it allows none. */
static int orders_left(const struct scheduler *scheduler, const char *server, int64_t now_s,
		       size_t *ret_count, bool *ret_is_held, int64_t *ret_next_s)
{
	return rate_limit_orders(scheduler->rate_limit, server,
				 settings_account(scheduler->settings, server, NULL), now_s,
				 ret_count, ret_is_held, ret_next_s);
}

/* The first of the lineage's other CAs, behind its present one, that allows an order; NULL: none. */
static char *find_other_ca(struct scheduler *scheduler, const struct state_lineage *lineage,
			   int64_t now_s)
{
	const struct string_list *cas = &lineage->spec.cas;
	size_t present = string_list_find(cas, lineage->ca), allowed = 0, i;
	const char *ca;
	int64_t next_s;
	bool is_held;

	for (i = 1; i <= cas->count; i++) {
		/* A CA that is none of them any more stands behind the last. */
		ca = cas->items[(present + i) % (cas->count + (present >= cas->count)) %
				cas->count];
		if (strcmp(ca, lineage->ca) != 0 &&
		    !orders_left(scheduler, ca, now_s, &allowed, &is_held, &next_s) && allowed &&
		    !refusals_at(scheduler, ca))
			return strdup(ca);
	}
	return NULL;
}

/* Why the orders of a CA do not begin now. */
struct obstacle {
	unsigned int waits; /* in a row, that the CA or the account has caused; 0: it is a limit */
	int64_t until_s;
};

static bool must_move(const struct obstacle *obstacle, const struct state_lineage *lineage,
		      int64_t now_s)
{
	return !obstacle->waits ||
	       consequence_changes_ca(&(struct consequence){.next_ca_after = CONSEQUENCE_WAITS_MAX},
				      lineage, obstacle->waits, obstacle->until_s - now_s, now_s);
}

/* Let the lineage go to another CA, if it must and one allows an order.  1: it went, 0, or -errno. */
static int leave_ca(struct scheduler *scheduler, const struct state_lineage *lineage,
		    const struct obstacle *obstacle, int64_t now_s)
{
	char *ca = NULL;
	int err;

	if (lineage->spec.cas.count > 1 && must_move(obstacle, lineage, now_s))
		ca = find_other_ca(scheduler, lineage, now_s);
	if (!ca)
		return 0;
	/* An order of this CA's may be there, too. */
	err = state_order_drop(scheduler->state, lineage->id);
	if (!err || err == -ENOENT)
		err = state_postpone(scheduler->state, lineage->id, due_s(scheduler, now_s), ca,
				     obstacle->waits ? "the previous CA keeps asking to wait"
						     : "the previous CA's limits allow no order");
	free(ca);
	return err ? err : 1;
}

static int move_lineage(struct scheduler *scheduler, int64_t id, const struct obstacle *obstacle,
			int64_t now_s)
{
	struct state_lineage lineage;
	int err = state_lineage_read(scheduler->state, id, &lineage);

	if (err)
		return err == -ENOENT ? 0 : err;
	err = leave_ca(scheduler, &lineage, obstacle, now_s);
	state_lineage_done(&lineage);
	return err < 0 ? err : 0;
}

/* At one CA nothing is left for what is due there. */
static int move_all(struct scheduler *scheduler, const char *server,
		    const struct obstacle *obstacle, int64_t now_s)
{
	struct scheduler_list stuck = {0};
	struct gathering gathering = {.scheduler = scheduler, .list = &stuck};
	int err;
	size_t i;

	err = state_due_with_other_cas(scheduler->state, server, due_s(scheduler, now_s),
				       SCHEDULER_MAX, add_due, &gathering);
	for (i = 0; !err && i < stuck.count; i++)
		err = move_lineage(scheduler, stuck.ids[i], obstacle, now_s);
	return err;
}

/* The same where the CA or the account waits: now and then, as it takes the same again and again. */
static int move_held(struct scheduler *scheduler, const char *server, int64_t until_s,
		     int64_t now_s)
{
	const struct obstacle obstacle = {.waits = refusals_at(scheduler, server) ?: 1,
					  .until_s = until_s};

	if (!holds_must_look(scheduler->holds, server))
		return 0;
	return move_all(scheduler, server, &obstacle, now_s);
}

static int gather_at_ca(struct gathering *gathering, const char *server)
{
	struct scheduler *scheduler = gathering->scheduler;
	struct state *state = scheduler->state;
	size_t places = gathering->max - gathering->list->count, allowed = 0;
	const int64_t now_s = clock_now_s(), until_s = due_s(scheduler, now_s);
	int64_t next_s = 0;
	bool is_held;
	int err;

	err = orders_left(scheduler, server, now_s, &allowed, &is_held, &next_s);
	if (!err && is_held)
		err = move_held(scheduler, server, next_s, now_s);
	if (err || is_held || is_probed(scheduler, server))
		return err ? err : note_limit(gathering, server, 0, now_s);
	if (refusals_at(scheduler, server))
		places = 1;
	if (allowed >= places)
		return state_due_orders(state, server, until_s, places, add_due, gathering);
	err = state_due_replacements(state, server, until_s, places, add_due, gathering);
	places = gathering->max - gathering->list->count;
	gathering->told = 0;
	if (!err && allowed && places)
		err = state_due_orders(state, server, until_s, allowed < places ? allowed : places,
				       add_due, gathering);
	if (!err && gathering->told == allowed)
		err = note_limit(gathering, server, allowed, now_s);
	if (!err && !allowed)
		err = move_all(scheduler, server, &(struct obstacle){0}, now_s);
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
	*ret_is_limited = holds_host_rest_s(scheduler->holds);
	if (*ret_is_limited)
		return 0;
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
	const struct scheduler *scheduler;
	size_t max;
	int64_t now_s;
	struct scheduler_list *list;
};

/* Whether the order's CA waits, or waits to be probed. */
static bool must_wait(const struct in_flight *in_flight, const struct state_order *order)
{
	const struct scheduler *scheduler = in_flight->scheduler;
	const char *account = settings_account(scheduler->settings, order->server, order->account);
	size_t allowed;
	int64_t next_s;
	bool is_held = false;

	return refusals_at(scheduler, order->server) &&
	       (in_flight->list->count ||
		scheduler->under_way->has_ca(scheduler->under_way->context, order->server) ||
		rate_limit_orders(scheduler->rate_limit, order->server, account, in_flight->now_s,
				  &allowed, &is_held, &next_s) ||
		is_held);
}

static int add_in_flight(void *context, const struct state_order *order)
{
	struct in_flight *in_flight = context;
	const struct scheduler_under_way *under_way = in_flight->scheduler->under_way;

	const int64_t made_s = moment_bound(MOMENT_ISSUED, order->made_at_s, in_flight->now_s);

	/* One that was put off is taken when its time has come, however young it is. */
	if ((order->next_attempt_s ? order->next_attempt_s > in_flight->now_s
				   : made_s >= in_flight->made_before_s) ||
	    under_way->has_lineage(under_way->context, order->lineage) ||
	    must_wait(in_flight, order))
		return 0;
	in_flight->list->ids[in_flight->list->count++] = order->lineage;
	return in_flight->list->count == in_flight->max;
}

int scheduler_in_flight(struct scheduler *scheduler, int64_t made_before_s, size_t max,
			struct scheduler_list *ret_list)
{
	struct in_flight in_flight = {
		.made_before_s = made_before_s,
		.scheduler = scheduler,
		.max = max < SCHEDULER_MAX ? max : SCHEDULER_MAX,
		.now_s = clock_now_s(),
		.list = ret_list,
	};
	int err;

	ret_list->count = 0;
	if (!max || holds_host_rest_s(scheduler->holds))
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

	/* The end of the probe is the next moment. */
	if (is_probed(scheduler, server))
		return 0;
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

	if (holds_host_rest_s(scheduler->holds))
		return clock_now_s() + holds_host_rest_s(scheduler->holds);
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
		.is_renewal = lineage->issued_at_s && is_of_next_ca(lineage),
	};
}

int scheduler_wait_until(struct scheduler *scheduler, const struct state_lineage *lineage,
			 int64_t *ret_at_s, struct failure *failure)
{
	const struct rate_limit_order order = limits_of(scheduler, lineage);

	*ret_at_s = 0;
	if (is_exempt(lineage, clock_now_s()))
		return 0;
	return rate_limit_when(scheduler->rate_limit, &order, clock_now_s(), ret_at_s, failure);
}

int scheduler_reserve(struct scheduler *scheduler, const struct state_lineage *lineage,
		      bool *ret_is_counted)
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

	*ret_is_counted = !is_exempt(lineage, order.made_at_s);
	/* A failed write ends a batch, and mostly there is no earlier order: so this is outside. */
	err = state_order_drop(state, lineage->id);
	if (!err || err == -ENOENT)
		err = state_begin(state);
	if (err)
		return err;
	err = state_order_begin(state, &order);
	if (!err && *ret_is_counted)
		err = rate_limit_take(scheduler->rate_limit, &taken, order.made_at_s);
	if (!err)
		return state_commit(state);
	state_rollback(state);
	return err;
}

/* In one batch.  0 or -errno. */
static int settle(struct scheduler *scheduler, const struct state_lineage *lineage,
		  const struct scheduler_end *end)
{
	const struct rate_limit_order order = limits_of(scheduler, lineage);
	int err = 0;
	size_t i;

	if (end->is_counted)
		err = rate_limit_give_back(scheduler->rate_limit, &order, end->was_made);
	for (i = 0; !err && i < end->failed_count; i++)
		err = rate_limit_note_failed(scheduler->rate_limit, order.server, order.account,
					     end->failed[i], clock_now_s());
	return err;
}

void scheduler_settle(struct scheduler *scheduler, const struct state_lineage *lineage,
		      const struct scheduler_end *end)
{
	struct state *state = scheduler->state;
	int err;

	if ((!end->is_counted && !end->failed_count) ||
	    !rate_limit_has_limits(scheduler->rate_limit, lineage->ca))
		return;
	err = state_begin(state);
	if (!err) {
		err = settle(scheduler, lineage, end);
		if (!err)
			err = state_commit(state);
		else
			state_rollback(state);
	}
	if (err)
		output_warning("%s: the limits of %s that its order did not use stay used: %s",
			       lineage->spec.name, lineage->ca, strerror(-err));
}

/* --- pauses ------------------------------------------------------------------------------------- */

void scheduler_note_success(struct scheduler *scheduler, const struct state_lineage *lineage)
{
	holds_note_host_well(scheduler->holds);
	holds_note_well(scheduler->holds, lineage->ca,
			settings_account(scheduler->settings, lineage->ca, lineage->spec.account));
}

/* Of the CA ("") or the account: it waits, and the lineage may leave.  1: it left, 0, or -errno. */
static int note_refusal(struct scheduler *scheduler, const struct state_lineage *lineage,
			const char *account, const struct consequence *consequence)
{
	const int64_t own_s = clock_now_s() + consequence->own_wait_s;
	struct obstacle obstacle = {0};
	int err;

	err = holds_note_refusal(scheduler->holds, lineage->ca, account, consequence,
				 &obstacle.until_s, &obstacle.waits);
	if (err)
		return err;
	/* It waits longer than the others where the CA has told it so. */
	if (obstacle.until_s < own_s)
		obstacle.until_s = own_s;
	return leave_ca(scheduler, lineage, &obstacle, clock_now_s());
}

bool scheduler_note_failure(struct scheduler *scheduler, const struct state_lineage *lineage,
			    const struct failure *failure)
{
	const char *account =
		settings_account(scheduler->settings, lineage->ca, lineage->spec.account);
	struct consequence consequence;
	int result = 0;

	consequence_of(&consequence, failure);
	switch (consequence.waits) {
	case CONSEQUENCE_LINEAGE:
		/* Where the CA has judged the names, it and the account are well. */
		if (failure->problem || failure->ends_order)
			holds_note_well(scheduler->holds, lineage->ca, account);
		break;
	case CONSEQUENCE_ACCOUNT:
		result = note_refusal(scheduler, lineage, account, &consequence);
		break;
	case CONSEQUENCE_CA:
		result = note_refusal(scheduler, lineage, "", &consequence);
		break;
	case CONSEQUENCE_HOST:
		holds_note_host_failure(scheduler->holds, &consequence,
					failure->owner == FAILURE_OF_STATE);
		break;
	}
	if (result < 0)
		output_warning("that orders at %s wait could not be written down: %s", lineage->ca,
			       strerror(-result));
	return result > 0;
}

struct json_t *scheduler_limits_to_json(struct scheduler *scheduler, const char *server,
					int64_t now_s)
{
	return rate_limit_to_json(scheduler->rate_limit, server,
				  settings_account(scheduler->settings, server, NULL), now_s);
}
