// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/config/settings.h"
#include "acme/renewal/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "acme/challenge/issue_env.h"
#include "acme/challenge/name_claims.h"
#include "acme/challenge/selfcheck.h"
#include "acme/renewal/consequence.h"
#include "acme/renewal/ca_pool.h"
#include "acme/renewal/scheduler.h"
#include "acme/util/failure.h"
#include "acme/renewal/issue.h"
#include "acme/crypto/csr.h"
#include "acme/renewal/key_maker.h"
#include "acme/net/loop.h"
#include "acme/protocol/authorization.h"
#include "acme/config/identifiers.h"
#include "acme/protocol/order.h"
#include "acme/util/output.h"
#include "acme/renewal/preflight.h"
#include "acme/store/state.h"
#include "acme/store/store.h"
#include "common/clock.h"

/* A clock that is further than this behind the newest certificate is wrong. */
#define CLOCK_SLACK_S  86400
#define CLOCK_CHECK_NS (UINT64_C(6) * 3600 * CLOCK_NS_PER_S)
#define BUSY_PAUSE_S   60 /* after finding another process at work */

/* An order that is older, and that no process is at work on, has lost its process. */
#define IN_FLIGHT_AGE_S 300

struct job {
	TAILQ_ENTRY(job) link;
	bool is_chosen; /* by somebody, and not by what is due: then limits do not hold it back */
	struct engine *engine;
	struct ca_lease lease; /* of the CA */
	struct state_lineage lineage;
	struct identifier *identifiers;
	size_t identifier_count;
	char *resume_url; /* NULL: a new order */
	bool is_reserved; /* the state has its new order */
	bool is_counted; /* which took from the CA's limits */
	bool keeps_order; /* it has ended, and order and key stay for a later attempt */
	struct preflight_options preflight_options;
	struct preflight *preflight; /* NULL: none was made */
	struct issue_options issue_options;
	struct issue *issue;
};

TAILQ_HEAD(jobs, job);

struct engine {
	const struct engine_options *options;
	const struct settings *settings; /* those of now */
	struct issue_env env;
	struct scheduler *scheduler;
	struct scheduler_under_way under_way;
	struct jobs jobs; /* waiting for their CA, or under way */
	struct jobs ended; /* to be freed, outside of their own callbacks */
	size_t count; /* waiting or under way */
	bool takes_due;
	bool has_resumed; /* all that was in flight when the last process died */
	bool is_limited; /* the CAs' limits or pauses leave no order, or fewer than could be made */
	bool is_stuck; /* the state could not be written: what it says is due may be done already */
	uint64_t clock_check_ns; /* not before this is the clock compared again */
	struct timer timer;
};

static void look_again(struct engine *engine);

/* --- jobs ------------------------------------------------------------------------------------- */

static void job_free(struct job *job)
{
	preflight_free(job->preflight);
	if (job->keeps_order)
		issue_suspend(job->issue);
	else
		issue_free(job->issue);
	ca_lease_end(&job->lease);
	state_lineage_done(&job->lineage);
	free(job->identifiers);
	free(job->resume_url);
	free(job);
}

/* Say what came of it; the state has it already. */
static void job_end(struct job *job, const struct engine_result *result)
{
	struct engine *engine = job->engine;

	TAILQ_REMOVE(&engine->jobs, job, link);
	TAILQ_INSERT_TAIL(&engine->ended, job, link);
	engine->count--;
	engine->options->finished(engine->options->context, result);
	look_again(engine);
}

static void job_succeed(struct job *job, const struct stored *stored)
{
	const struct engine_options *options = job->engine->options;
	struct failure failure = {0};
	struct engine_result result = {
		.lineage = &job->lineage, .failure = &failure, .stored = stored};

	if (job->issue)
		result.order = issue_order(job->issue);
	scheduler_note_success(job->engine->scheduler, &job->lineage);
	consequence_of_success(options->state, &job->lineage, stored, &failure);
	job->engine->is_stuck |= failure_is_set(&failure);
	job_end(job, &result);
	failure_done(&failure);
}

static enum consequence_order job_order_progress(const struct job *job)
{
	const struct order *order = job->issue ? issue_order(job->issue) : NULL;

	if ((order && order_url(order)) || job->resume_url)
		return CONSEQUENCE_ORDER_OPEN;
	return job->lineage.status == STATE_ORDERING || job->is_reserved ? CONSEQUENCE_ORDER_BEGUN
									 : CONSEQUENCE_NO_ORDER;
}

/* The order got no certificate: what of the CA's limits has it used? */
static void job_settle(struct job *job, const struct failure *failure)
{
	const struct order *order = job->issue ? issue_order(job->issue) : NULL;
	const struct authorization *authorization;
	const char *failed[CSR_NAMES_MAX];
	struct scheduler_end end = {
		.is_counted = job->is_counted,
		/* A refused newOrder has made none; a lost answer may have. */
		.was_made =
			order && (order_url(order) || !(failure->is_unsent || failure->problem)),
		.failed = failed,
	};
	size_t i;

	for (i = 0; order && (authorization = order_authorization(order, i)); i++)
		if (authorization_failure(authorization)->ends_order &&
		    authorization_identifier(authorization))
			failed[end.failed_count++] = authorization_identifier(authorization)->value;
	scheduler_settle(job->engine->scheduler, &job->lineage, &end);
}

static void job_fail(struct job *job, const struct failure *failure)
{
	struct engine_result result = {.lineage = &job->lineage, .failure = failure};
	struct consequence_result outcome;
	int err;

	if (job->issue)
		result.order = issue_order(job->issue);
	err = consequence_of_failure(job->engine->options->state, &job->lineage, failure,
				     job_order_progress(job), &outcome);
	if (err) {
		job->engine->is_stuck = true;
		output_warning("%s: what follows from this failure could not be written down: %s",
			       job->lineage.spec.name, strerror(-err));
	}
	if (scheduler_note_failure(job->engine->scheduler, &job->lineage, failure)) {
		outcome.keeps_order = false;
		outcome.next_attempt_s = clock_now_s();
	}
	job->keeps_order = outcome.keeps_order;
	if (!job->keeps_order)
		job_settle(job, failure);
	result.is_postponed = outcome.is_postponed;
	result.next_attempt_s = outcome.next_attempt_s;
	job_end(job, &result);
}

static void on_job_ordered(void *context, const char *url)
{
	struct job *job = context;
	struct state *state = job->engine->options->state;
	int err = state_order_created(state, job->lineage.id, url);

	/* The order goes on: only if this process is killed would it be forgotten. */
	if (err)
		output_warning("%s: the order %s could not be written down: %s",
			       job->lineage.spec.name, url, strerror(-err));
}

static void on_job_done(void *context, const struct stored *stored, struct failure *failure)
{
	struct job *job = context;

	if (stored)
		job_succeed(job, stored);
	else
		job_fail(job, failure);
}

/* --- taking ----------------------------------------------------------------------------------- */

static bool has_job(const struct engine *engine, int64_t lineage)
{
	const struct job *job;

	for (job = TAILQ_FIRST(&engine->jobs); job; job = TAILQ_NEXT(job, link))
		if (job->lineage.id == lineage)
			return true;
	return false;
}

static bool is_taken(void *context, int64_t lineage)
{
	return has_job(context, lineage);
}

static bool is_asked(void *context, const char *server)
{
	const struct engine *engine = context;
	const struct job *job;

	for (job = TAILQ_FIRST(&engine->jobs); job; job = TAILQ_NEXT(job, link))
		if (strcmp(job->lineage.ca, server) == 0)
			return true;
	return false;
}

static int parse_identifiers(struct job *job, struct failure *failure)
{
	const struct string_list *names = &job->lineage.spec.identifiers;

	return identifiers_parse(&job->identifiers, &job->identifier_count,
				 (const char *const *)names->items, names->count, failure);
}

struct in_flight {
	const struct state_lineage *lineage; /* asked for */
	char *url; /* found; NULL: none that can be resumed */
	int err;
};

static int take_url(void *context, const struct state_order *order)
{
	struct in_flight *in_flight = context;

	if (order->lineage != in_flight->lineage->id)
		return 0;
	/* What is wanted may have changed since. */
	if (order->url && strcmp(order->server, in_flight->lineage->ca) == 0 &&
	    string_list_equal(&order->identifiers, &in_flight->lineage->spec.identifiers)) {
		in_flight->url = strdup(order->url);
		in_flight->err = in_flight->url ? 0 : -ENOMEM;
	}
	return 1;
}

/*
 * The order of a process that died.  One that has no URL the CA may never have heard of; if it
 * has, it is nobody's, and a CA that does as RFC 8555 wants gives the same one again.
 */
static int job_resume(struct job *job)
{
	struct state *state = job->engine->options->state;
	struct in_flight in_flight = {.lineage = &job->lineage};
	int err;

	err = state_orders(state, take_url, &in_flight);
	if (err < 0 || in_flight.err)
		return err < 0 ? err : in_flight.err;
	job->resume_url = in_flight.url;
	return 0;
}

/* Only a CA that issued it knows it. */
static const char *replaced_certificate(const struct state_lineage *lineage)
{
	bool same = lineage->server && strcmp(lineage->server, lineage->ca) == 0;

	return same ? lineage->ari_id : NULL;
}

/* It cannot be made now, for no fault of its own. */
static void job_wait(struct job *job, const struct failure *failure, int64_t until_s)
{
	const struct engine_result result = {.lineage = &job->lineage,
					     .failure = failure,
					     .is_postponed = true,
					     .next_attempt_s = until_s};

	if (state_postpone(job->engine->options->state, job->lineage.id, result.next_attempt_s,
			   NULL, failure->cause))
		job->engine->is_stuck = true;
	job_end(job, &result);
}

/* Whether a limit or a pause of the CA's stands in the way; then the job has ended. */
static bool job_must_wait(struct job *job)
{
	struct failure failure = {0};
	int64_t at_s = 0;
	int err;

	if (job->is_chosen || job->resume_url)
		return false;
	err = scheduler_wait_until(job->engine->scheduler, &job->lineage, &at_s, &failure);
	if (err)
		output_warning("%s: the CA's limits are not known: %s", job->lineage.spec.name,
			       strerror(-err));
	if (at_s)
		job_wait(job, &failure, at_s);
	failure_done(&failure);
	return at_s;
}

/* A process that died had got the certificate: it is in use now. */
static void job_succeed_as_stored(struct job *job)
{
	const char *name = job->lineage.spec.name;
	struct failure failure = {0};
	struct stored stored;
	int err = store_read(&stored, job->engine->env.paths, name);

	if (!err) {
		job_succeed(job, &stored);
		stored_done(&stored);
		return;
	}
	failure_set_errno(&failure, -err, "cannot read the new certificate %s", name);
	job_fail(job, &failure);
	failure_done(&failure);
}

/* Key, place on disk and request, then the state.  False: the job has ended. */
static bool job_prepare(struct job *job)
{
	const struct engine_options *options = job->engine->options;
	struct failure failure = {0};
	enum issue_prepared prepared;
	bool is_ready = false;
	int err;

	job->issue_options = (struct issue_options){
		.env = &job->engine->env,
		.name = job->lineage.spec.name,
		.identifiers = job->identifiers,
		.identifier_count = job->identifier_count,
		.replaces = replaced_certificate(&job->lineage),
		.resume_url = job->resume_url,
		.settings = &job->lineage.spec.settings,
		.is_quiet = !options->shows_progress,
		.ordered = on_job_ordered,
		.done = on_job_done,
		.context = job,
	};
	prepared = issue_prepare(&job->issue, &job->issue_options, &failure);
	if (prepared == ISSUE_COMPLETE) {
		job_succeed_as_stored(job);
		return false;
	}
	err = prepared == ISSUE_READY && !job->resume_url
		      ? scheduler_reserve(job->engine->scheduler, &job->lineage, &job->is_counted)
		      : 0;
	if (err)
		state_explain(options->state, err, &failure);
	else
		job->is_reserved = prepared == ISSUE_READY;
	if (prepared == ISSUE_BUSY)
		job_wait(job, &failure, clock_now_s() + BUSY_PAUSE_S);
	else if (failure_is_set(&failure))
		job_fail(job, &failure);
	else
		is_ready = true;
	failure_done(&failure);
	return is_ready;
}

static void on_job_ca_ready(void *context, struct ca *ca, const struct failure *failure)
{
	struct job *job = context;

	if (!ca)
		job_fail(job, failure);
	/* Others may have used up the limits since. */
	else if (job->issue || (!job_must_wait(job) && job_prepare(job)))
		issue_start(job->issue, ca);
}

/*
 * The CA first: when it is down, no order costs a key and a place on disk.  An order of a process that
 * died may need no CA any more.
 */
static void job_order(struct job *job)
{
	const struct engine_options *options = job->engine->options;
	struct failure failure = {0};

	if (job->resume_url && !job_prepare(job))
		return;
	if (!ca_pool_lease_account(options->ca_pool, job->lineage.ca, job->lineage.spec.account,
				   &job->lease, &failure))
		return;
	job_fail(job, &failure);
	failure_done(&failure);
}

static void on_job_preflight_done(void *context)
{
	struct failure failure = {0};
	struct job *job = context;

	preflight_heed(job->preflight, &failure);
	if (failure_is_set(&failure))
		job_fail(job, &failure);
	else
		job_order(job);
	failure_done(&failure);
}

/*
 * What has failed before may well be certain to fail again: its name has gone, say.  The DNS knows,
 * and the CA need not be asked yet.
 */
static bool job_preflights(struct job *job)
{
	const struct engine_options *options = job->engine->options;
	struct failure failure = {0};

	if (!job->lineage.failures || job->lineage.failures > PREFLIGHT_FAILURES_MAX ||
	    job->is_chosen || job->resume_url || job->engine->settings->no_preflight)
		return false;
	job->preflight_options = (struct preflight_options){
		.settings = job->engine->settings,
		.server = job->lineage.ca,
		.account = job->lineage.spec.account,
		.ca_pool = options->ca_pool,
		.loop = options->loop,
		.names = job->identifiers,
		.name_count = job->identifier_count,
		.deadline_ms = PREFLIGHT_DEADLINE_MS,
		.done = on_job_preflight_done,
		.context = job,
	};
	if (!preflight_new(&job->preflight, &job->preflight_options, &failure))
		return true;
	/* It is advice only. */
	output_failure(job->lineage.spec.name, &failure);
	failure_done(&failure);
	return false;
}

static void job_begin(struct job *job)
{
	if (!job_must_wait(job) && !job_preflights(job))
		job_order(job);
}

static int job_take(struct engine *engine, int64_t lineage, bool is_chosen, struct failure *failure)
{
	struct job *job = calloc(1, sizeof(*job));
	int err;

	if (!job) {
		failure_set_errno(failure, ENOMEM, "preparing the order");
		return -1;
	}
	job->engine = engine;
	job->lease.ready = on_job_ca_ready;
	job->lease.context = job;
	job->is_chosen = is_chosen;
	err = state_lineage_read(engine->options->state, lineage, &job->lineage);
	if (!err && job->lineage.status == STATE_ORDERING)
		err = job_resume(job);
	if (err)
		state_explain(engine->options->state, err, failure);
	if (err || parse_identifiers(job, failure)) {
		job_free(job);
		return -1;
	}
	TAILQ_INSERT_TAIL(&engine->jobs, job, link);
	engine->count++;
	job_begin(job);
	return 0;
}

int engine_take(struct engine *engine, int64_t lineage, struct failure *failure)
{
	return job_take(engine, lineage, true, failure);
}

/* --- what is due ------------------------------------------------------------------------------ */

_Static_assert(ENGINE_ORDERS_MAX <= SCHEDULER_MAX, "as many as there are places");

int64_t engine_next_order_s(struct engine *engine)
{
	return engine->is_stuck ? 0 : scheduler_next_s(engine->scheduler);
}

static int take_list(struct engine *engine, const struct scheduler_list *list,
		     struct failure *failure)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (!has_job(engine, list->ids[i]) &&
		    job_take(engine, list->ids[i], false, failure))
			return -1;
	return 0;
}

static int take_due_now(struct engine *engine, struct failure *failure)
{
	const size_t room = ENGINE_ORDERS_MAX - engine->count;
	struct scheduler_list list;
	int err;

	if (!room)
		return 0;
	err = scheduler_next(engine->scheduler, room, &list, &engine->is_limited);
	if (!err)
		return take_list(engine, &list, failure);
	state_explain(engine->options->state, err, failure);
	return -1;
}

/*
 * At first all orders in flight, as the last process died over them: at each look until one has
 * succeeded.  Then those that a process which lived beside this one has left, once they are old.
 */
static int resume_in_flight(struct engine *engine, struct failure *failure)
{
	const int64_t age_s = engine->has_resumed ? IN_FLIGHT_AGE_S : -1;
	struct scheduler_list list;
	int err;

	err = scheduler_in_flight(engine->scheduler, clock_now_s() - age_s,
				  ENGINE_ORDERS_MAX - engine->count, &list);
	if (err) {
		state_explain(engine->options->state, err, failure);
		return -1;
	}
	if (take_list(engine, &list, failure))
		return -1;
	engine->has_resumed = engine->count < ENGINE_ORDERS_MAX;
	return 0;
}

/*
 * A certificate that begins later than now: this host's clock is behind, or its CA's is ahead.  That
 * stops nothing: the CA, and TLS, refuse what must not be.
 */
static void check_clock(struct engine *engine)
{
	const uint64_t now_ns = clock_monotonic_ns();
	char *name, *server;
	int err;

	if (engine->clock_check_ns > now_ns)
		return;
	err = state_begins_after(engine->options->state, clock_now_s() + CLOCK_SLACK_S, &name,
				 &server);
	if (err && err != -ENOENT)
		return;
	engine->clock_check_ns = now_ns + CLOCK_CHECK_NS;
	if (err)
		return;
	output_warning("%s begins later than it is now: this host's clock is behind, or that of %s "
		       "is ahead; compare them (timedatectl)",
		       name, server ? server : "its CA");
	free(name);
	free(server);
}

int engine_take_due(struct engine *engine, struct failure *failure)
{
	int err;

	check_clock(engine);
	err = state_correct(engine->options->state, clock_now_s());
	if (err) {
		state_explain(engine->options->state, err, failure);
		return -1;
	}
	engine->is_stuck = false;
	engine->takes_due = true;
	if (resume_in_flight(engine, failure))
		return -1;
	return take_due_now(engine, failure);
}

/* --- as a whole ------------------------------------------------------------------------------- */

static void free_ended(struct engine *engine)
{
	struct job *job;

	while ((job = TAILQ_FIRST(&engine->ended))) {
		TAILQ_REMOVE(&engine->ended, job, link);
		job_free(job);
	}
}

void engine_settings_changed(struct engine *engine, const struct settings *settings)
{
	engine->settings = settings;
	scheduler_settings_changed(engine->scheduler, settings);
}

/* After an end, outside of the callback that brought it. */
static void on_engine_timer(void *context)
{
	struct failure failure = {0};
	struct engine *engine = context;

	free_ended(engine);
	if (engine->takes_due && !engine->is_stuck && take_due_now(engine, &failure))
		output_failure(NULL, &failure);
	failure_done(&failure);
	if (!engine->count)
		engine->options->idle(engine->options->context);
}

static void look_again(struct engine *engine)
{
	loop_timer_start(engine->options->loop, &engine->timer, 0, on_engine_timer, engine);
}

int engine_new(struct engine **ret_engine, const struct engine_options *options)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	int err = 0;

	if (!engine)
		return -ENOMEM;
	engine->options = options;
	engine->settings = options->settings;
	engine->env.paths = options->settings->paths;
	engine->env.table = options->table;
	TAILQ_INIT(&engine->jobs);
	TAILQ_INIT(&engine->ended);
	engine->under_way = (struct scheduler_under_way){
		.has_lineage = is_taken, .has_ca = is_asked, .context = engine};
	/* A dry run validates the same names at the same responder. */
	err = name_claims_new(&engine->env.claims, options->loop, options->settings->real_paths);
	if (!err)
		err = key_maker_new(&engine->env.key_maker, options->loop);
	if (!err)
		err = scheduler_new(&engine->scheduler, options->state, options->settings,
				    &engine->under_way);
	if (err) {
		key_maker_free(engine->env.key_maker);
		name_claims_free(engine->env.claims);
		free(engine);
		return err;
	}
	if (!options->settings->no_probe)
		err = selfcheck_new(&engine->env.selfcheck, options->loop);
	/* Certificates are got without it, too. */
	if (err)
		output_warning("this host's own port 443 cannot be asked before the CA asks: %s",
			       strerror(-err));
	*ret_engine = engine;
	return 0;
}

void engine_free(struct engine *engine)
{
	struct job *job;

	if (!engine)
		return;
	loop_timer_stop(engine->options->loop, &engine->timer);
	free_ended(engine);
	while ((job = TAILQ_FIRST(&engine->jobs))) {
		TAILQ_REMOVE(&engine->jobs, job, link);
		issue_suspend(job->issue);
		job->issue = NULL;
		job_free(job);
	}
	selfcheck_free(engine->env.selfcheck);
	name_claims_free(engine->env.claims);
	key_maker_free(engine->env.key_maker);
	scheduler_free(engine->scheduler);
	free(engine);
}

bool engine_is_limited(const struct engine *engine)
{
	return engine->is_limited;
}

size_t engine_count(const struct engine *engine)
{
	return engine->count;
}
