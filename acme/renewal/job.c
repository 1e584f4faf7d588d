// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "acme/challenge/issue_env.h"
#include "acme/config/identifiers.h"
#include "acme/config/settings.h"
#include "acme/crypto/csr.h"
#include "acme/protocol/authorization.h"
#include "acme/protocol/client.h"
#include "acme/protocol/order.h"
#include "acme/renewal/ca_pool.h"
#include "acme/renewal/consequence.h"
#include "acme/renewal/engine.h"
#include "acme/renewal/issue.h"
#include "acme/renewal/preflight.h"
#include "acme/renewal/scheduler.h"
#include "acme/store/state.h"
#include "acme/store/store.h"
#include "acme/util/failure.h"
#include "acme/util/output.h"
#include "common/clock.h"

#define BUSY_PAUSE_S    60 /* after finding another process at work */
#define CLOCK_DIFFERS_S 3600 /* from the CA's: it is to be told */

/* How a job has ended, as far as the state does not know it yet. */
enum ending { ENDING_NONE, ENDING_SUCCESS, ENDING_FAILURE, ENDING_WAIT };

struct job {
	TAILQ_ENTRY(job) link;
	const struct job_env *env;
	bool is_chosen;
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
	enum ending unwritten;
	struct failure failure; /* of an ending that is not written */
	int64_t wait_until_s; /* of ENDING_WAIT */
};

/* --- as a whole ------------------------------------------------------------------------------- */

void job_free(struct job *job)
{
	preflight_free(job->preflight);
	if (job->keeps_order)
		issue_suspend(job->issue);
	else
		issue_free(job->issue);
	ca_lease_end(&job->lease);
	state_lineage_done(&job->lineage);
	failure_done(&job->failure);
	free(job->identifiers);
	free(job->resume_url);
	free(job);
}

void job_suspend(struct job *job)
{
	job->keeps_order = true;
	job_free(job);
}

const struct state_lineage *job_lineage(const struct job *job)
{
	return &job->lineage;
}

bool job_is_unwritten(const struct job *job)
{
	return job->unwritten != ENDING_NONE;
}

void jobs_add(struct jobs *jobs, struct job *job)
{
	TAILQ_INSERT_TAIL(jobs, job, link);
}

void jobs_remove(struct jobs *jobs, struct job *job)
{
	TAILQ_REMOVE(jobs, job, link);
}

struct job *jobs_next(const struct jobs *jobs, const struct job *job)
{
	return job ? TAILQ_NEXT(job, link) : TAILQ_FIRST(jobs);
}

/* --- ends ------------------------------------------------------------------------------------- */

/* Keep the end until it can be written. */
static void job_keep_end(struct job *job, enum ending ending, const struct failure *failure,
			 const char *why)
{
	if (job->unwritten != ENDING_NONE)
		return;
	job->unwritten = ending;
	if (failure)
		failure_copy(&job->failure, failure);
	output_warning("%s: the end of its order cannot be written down: %s; sidestep tries again",
		       job->lineage.spec.name, why);
	job->env->stuck(job->env->context, job);
}

static void job_tell_end(struct job *job, struct engine_result *result)
{
	job->unwritten = ENDING_NONE;
	result->lineage = &job->lineage;
	result->order = job->issue ? issue_order(job->issue) : NULL;
	job->env->ended(job->env->context, job, result);
}

/* Whether somebody has deleted the lineage meanwhile: nothing follows any more. */
static bool job_is_orphan(const struct job *job)
{
	struct state_lineage lineage;
	int err = state_lineage_read(job->env->state, job->lineage.id, &lineage);

	if (!err)
		state_lineage_done(&lineage);
	return err == -ENOENT;
}

static void job_end_orphan(struct job *job)
{
	struct failure failure = {0};
	struct engine_result result = {.failure = &failure};

	failure_set(&failure, NULL, "it was deleted while its order was under way");
	job_tell_end(job, &result);
	failure_done(&failure);
}

static void job_succeed(struct job *job, const struct stored *stored)
{
	struct failure failure = {0};
	struct engine_result result = {.failure = &failure, .stored = stored};

	scheduler_note_success(job->env->scheduler, &job->lineage);
	consequence_of_success(job->env->state, &job->lineage, stored, &failure);
	if (!failure_is_set(&failure))
		job_tell_end(job, &result);
	else if (job_is_orphan(job))
		job_end_orphan(job);
	else
		job_keep_end(job, ENDING_SUCCESS, NULL, failure.cause);
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
	scheduler_settle(job->env->scheduler, &job->lineage, &end);
}

static void job_fail(struct job *job, const struct failure *failure)
{
	struct engine_result result = {.failure = failure};
	struct consequence_result outcome;
	int err;

	err = consequence_of_failure(job->env->state, &job->lineage, failure,
				     job_order_progress(job), &outcome);
	if (err && job_is_orphan(job)) {
		job_end_orphan(job);
		return;
	}
	if (err) {
		job_keep_end(job, ENDING_FAILURE, failure, strerror(-err));
		return;
	}
	if (scheduler_note_failure(job->env->scheduler, &job->lineage, failure)) {
		outcome.keeps_order = false;
		outcome.next_attempt_s = clock_now_s();
	}
	job->keeps_order = outcome.keeps_order;
	if (!job->keeps_order)
		job_settle(job, failure);
	result.is_postponed = outcome.is_postponed;
	result.next_attempt_s = outcome.next_attempt_s;
	job_tell_end(job, &result);
}

/* It cannot be made now, for no fault of its own. */
static void job_wait(struct job *job, const struct failure *failure, int64_t until_s)
{
	struct engine_result result = {
		.failure = failure, .is_postponed = true, .next_attempt_s = until_s};
	int err;

	job->wait_until_s = until_s;
	err = state_postpone(job->env->state, job->lineage.id, until_s, NULL, failure->cause);
	if (!err)
		job_tell_end(job, &result);
	else if (err == -ENOENT)
		job_end_orphan(job);
	else
		job_keep_end(job, ENDING_WAIT, failure, strerror(-err));
}

/* The certificate of an order that has ended is the one in use. */
static void job_succeed_as_stored(struct job *job)
{
	const char *name = job->lineage.spec.name;
	struct failure failure = {0};
	struct stored stored;
	int err = store_read(&stored, job->env->issue_env->paths, name);

	if (!err) {
		job_succeed(job, &stored);
		stored_done(&stored);
		return;
	}
	failure_set_errno(&failure, -err, "cannot read the new certificate %s", name);
	job_fail(job, &failure);
	failure_done(&failure);
}

bool job_write_again(struct job *job)
{
	struct failure failure = {0};

	failure_move(&failure, &job->failure);
	switch (job->unwritten) {
	case ENDING_SUCCESS:
		job_succeed_as_stored(job);
		break;
	case ENDING_FAILURE:
		job_fail(job, &failure);
		break;
	case ENDING_WAIT:
		job_wait(job, &failure, job->wait_until_s);
		break;
	case ENDING_NONE:
		break;
	}
	if (job_is_unwritten(job))
		failure_move(&job->failure, &failure);
	failure_done(&failure);
	return !job_is_unwritten(job);
}

void job_give_up(struct job *job)
{
	struct engine_result result = {0};
	struct failure failure = {0};

	failure_move(&failure, &job->failure);
	failure_set(&failure, "make room for the database, then run `sidestep renew`",
		    "the new certificate is in use, but the state cannot be written");
	result.failure = &failure;
	job->keeps_order = true;
	job_tell_end(job, &result);
	failure_done(&failure);
}

/* --- the order --------------------------------------------------------------------------------- */

static void on_job_ordered(void *context, const char *url)
{
	struct job *job = context;
	int err = state_order_created(job->env->state, job->lineage.id, url);

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

/* Only a CA that issued it knows it. */
static const char *replaced_certificate(const struct state_lineage *lineage)
{
	bool same = lineage->server && strcmp(lineage->server, lineage->ca) == 0;

	return same ? lineage->ari_id : NULL;
}

/* Key, place on disk and request, then the state.  False: the job has ended. */
static bool job_prepare(struct job *job)
{
	const struct job_env *env = job->env;
	struct failure failure = {0};
	enum issue_prepared prepared;
	bool is_ready = false;
	int err;

	job->issue_options = (struct issue_options){
		.env = env->issue_env,
		.name = job->lineage.spec.name,
		.identifiers = job->identifiers,
		.identifier_count = job->identifier_count,
		.replaces = replaced_certificate(&job->lineage),
		.resume_url = job->resume_url,
		.settings = &job->lineage.spec.settings,
		.spec = &job->lineage.spec,
		.is_quiet = !env->shows_progress,
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
		      ? scheduler_reserve(env->scheduler, &job->lineage, &job->is_counted)
		      : 0;
	if (err)
		state_explain(env->state, err, &failure);
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

/* Whether a limit or a pause of the CA's stands in the way; then the job has ended. */
static bool job_must_wait(struct job *job)
{
	struct failure failure = {0};
	int64_t at_s = 0;
	int err;

	if (job->is_chosen || job->resume_url)
		return false;
	err = scheduler_wait_until(job->env->scheduler, &job->lineage, &at_s, &failure);
	if (err)
		output_warning("%s: the CA's limits are not known: %s", job->lineage.spec.name,
			       strerror(-err));
	if (at_s)
		job_wait(job, &failure, at_s);
	failure_done(&failure);
	return at_s;
}

static void on_job_ca_ready(void *context, struct ca *ca, const struct failure *failure)
{
	struct job *job = context;

	if (ca && llabs(ca_clock_ahead_s(ca)) > CLOCK_DIFFERS_S)
		job->env->clock_differs(job->env->context, ca_server(ca), ca_clock_ahead_s(ca));
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
	const struct job_env *env = job->env;
	struct failure failure = {0};

	if (job->resume_url && !job_prepare(job))
		return;
	if (!ca_pool_lease_account(env->ca_pool, job->lineage.ca, job->lineage.spec.account,
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
	const struct job_env *env = job->env;
	struct failure failure = {0};

	if (!job->lineage.failures || job->lineage.failures > PREFLIGHT_FAILURES_MAX ||
	    job->is_chosen || job->resume_url || env->settings->no_preflight)
		return false;
	job->preflight_options = (struct preflight_options){
		.settings = env->settings,
		.server = job->lineage.ca,
		.account = job->lineage.spec.account,
		.ca_pool = env->ca_pool,
		.loop = env->loop,
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

static int parse_identifiers(struct job *job, struct failure *failure)
{
	const struct string_list *names = &job->lineage.spec.identifiers;

	return identifiers_parse(&job->identifiers, &job->identifier_count,
				 (const char *const *)names->items, names->count, failure);
}

void job_begin(struct job *job)
{
	struct failure failure = {0};

	/* One that cannot be prepared is its own failure. */
	if (parse_identifiers(job, &failure))
		job_fail(job, &failure);
	else if (!job_must_wait(job) && !job_preflights(job))
		job_order(job);
	failure_done(&failure);
}

/* --- what a process that died has left --------------------------------------------------------- */

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
	struct state *state = job->env->state;
	struct in_flight in_flight = {.lineage = &job->lineage};
	int err;

	err = state_orders(state, take_url, &in_flight);
	if (err < 0 || in_flight.err)
		return err < 0 ? err : in_flight.err;
	job->resume_url = in_flight.url;
	return 0;
}

int job_new(struct job **ret_job, const struct job_env *env, int64_t lineage, bool is_chosen)
{
	struct job *job = calloc(1, sizeof(*job));
	int err;

	if (!job)
		return -ENOMEM;
	job->env = env;
	job->lease.ready = on_job_ca_ready;
	job->lease.context = job;
	job->is_chosen = is_chosen;
	err = state_lineage_read(env->state, lineage, &job->lineage);
	if (!err && job->lineage.status == STATE_ORDERING)
		err = job_resume(job);
	if (!err)
		*ret_job = job;
	else
		job_free(job);
	return err;
}
