// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "acme/challenge/issue_env.h"
#include "acme/challenge/name_claims.h"
#include "acme/challenge/selfcheck.h"
#include "acme/config/settings.h"
#include "acme/net/loop.h"
#include "acme/renewal/job.h"
#include "acme/renewal/key_maker.h"
#include "acme/renewal/scheduler.h"
#include "acme/store/state.h"
#include "acme/util/failure.h"
#include "acme/util/output.h"
#include "common/clock.h"

/* A clock that is further than this behind the newest certificate is wrong. */
#define CLOCK_SLACK_S  86400
#define CLOCK_CHECK_NS (UINT64_C(6) * 3600 * CLOCK_NS_PER_S)

/* An order that is older, and that no process is at work on, has lost its process. */
#define IN_FLIGHT_AGE_S 300

/* How soon an end is written again that could not be written; who runs once tries only so often. */
#define REST_MIN_S          60
#define REST_MAX_S          600
#define WRITE_PAUSE_MS      60000
#define WRITE_PAUSE_ONCE_MS 2000
#define WRITES_ONCE_MAX     5

_Static_assert(ENGINE_ORDERS_MAX <= SCHEDULER_MAX, "as many as there are places");

struct engine {
	const struct engine_options *options;
	struct issue_env env;
	struct job_env job_env;
	struct scheduler *scheduler;
	struct scheduler_under_way under_way;
	struct jobs jobs; /* under way, or with an end that is not written */
	struct jobs ended; /* to be freed, outside of their own callbacks */
	size_t count; /* of jobs */
	size_t unwritten; /* of them: the state cannot be written, so nothing new begins */
	unsigned int writes; /* of a run that is_once: so often it has tried again */
	bool takes_due;
	bool has_resumed; /* all that was in flight when the last process died */
	bool is_limited; /* the CAs' limits or pauses leave no order, or fewer than could be made */
	uint64_t clock_check_ns; /* not before this is the clock compared with certificates again */
	uint64_t clock_told_ns; /* the same of the difference from a CA's */
	uint64_t rests_until_ns; /* of clock_monotonic_ns(): the state could not be used before */
	uint32_t rest_s; /* the last such rest; 0: the last look succeeded */
	struct timer timer;
	struct timer writing;
};

static void on_engine_timer(void *context);

static void look_again(struct engine *engine)
{
	loop_timer_start(engine->options->loop, &engine->timer, 0, on_engine_timer, engine);
}

/* --- jobs ------------------------------------------------------------------------------------- */

static bool has_job(void *context, int64_t lineage)
{
	const struct engine *engine = context;
	const struct job *job = NULL;

	while ((job = jobs_next(&engine->jobs, job)))
		if (job_lineage(job)->id == lineage)
			return true;
	return false;
}

static bool is_ca_asked(void *context, const char *server)
{
	const struct engine *engine = context;
	const struct job *job = NULL;

	while ((job = jobs_next(&engine->jobs, job)))
		if (strcmp(job_lineage(job)->ca, server) == 0)
			return true;
	return false;
}

/* Say what came of it; the state has it already. */
static void on_job_ended(void *context, struct job *job, const struct engine_result *result)
{
	struct engine *engine = context;

	jobs_remove(&engine->jobs, job);
	jobs_add(&engine->ended, job);
	engine->count--;
	engine->options->finished(engine->options->context, result);
	look_again(engine);
}

/* Of CAs with the same wrong clock, or of ours: one warning for all. */
static void on_clock_differs(void *context, const char *server, int64_t ahead_s)
{
	struct engine *engine = context;
	const uint64_t now_ns = clock_monotonic_ns();
	const int64_t hours = llabs(ahead_s) / 3600;

	if (engine->clock_told_ns > now_ns)
		return;
	engine->clock_told_ns = now_ns + CLOCK_CHECK_NS;
	output_warning("this host's clock is %lld %s%s %s that of %s: set it (timedatectl), or "
		       "certificates are renewed too early or too late",
		       (long long)(hours < 48 ? hours : hours / 24), hours < 48 ? "hour" : "day",
		       hours == 1 ? "" : "s", ahead_s > 0 ? "ahead of" : "behind", server);
}

/* --- ends that are not written ------------------------------------------------------------------ */

static void write_later(struct engine *engine);

/* Try to write what is not written; who runs once gives up after some tries. */
static void on_write_timer(void *context)
{
	struct engine *engine = context;
	const bool gives_up = engine->options->is_once && ++engine->writes >= WRITES_ONCE_MAX;
	struct job *job, *next;

	/* What the state does not have is due as before: this run would take it again and again. */
	if (gives_up)
		engine->takes_due = false;
	for (job = jobs_next(&engine->jobs, NULL); job; job = next) {
		next = jobs_next(&engine->jobs, job);
		if (!job_is_unwritten(job))
			continue;
		if (job_write_again(job)) {
			engine->unwritten--;
		} else if (gives_up) {
			engine->unwritten--;
			job_give_up(job);
		}
	}
	if (engine->unwritten)
		write_later(engine);
}

static void write_later(struct engine *engine)
{
	loop_timer_start(engine->options->loop, &engine->writing,
			 engine->options->is_once ? WRITE_PAUSE_ONCE_MS : WRITE_PAUSE_MS,
			 on_write_timer, engine);
}

static void on_job_stuck(void *context, struct job *job)
{
	struct engine *engine = context;

	(void)job;
	engine->unwritten++;
	if (!engine->writing.running)
		write_later(engine);
}

/* --- looks that fail ---------------------------------------------------------------------------- */

/* The state cannot be read or written: do not try again each second. */
static void rest(struct engine *engine)
{
	engine->rest_s = !engine->rest_s                   ? REST_MIN_S
			 : engine->rest_s > REST_MAX_S / 2 ? REST_MAX_S
							   : 2 * engine->rest_s;
	engine->rests_until_ns = clock_monotonic_ns() + engine->rest_s * CLOCK_NS_PER_S;
}

static bool is_resting(const struct engine *engine)
{
	return engine->rests_until_ns > clock_monotonic_ns();
}

/* --- taking ----------------------------------------------------------------------------------- */

/* What is no more is nothing to take.  0, or -1 with `failure`: the state cannot be read. */
static int take_one(struct engine *engine, int64_t lineage, bool is_chosen, struct failure *failure)
{
	struct job *job;
	int err = job_new(&job, &engine->job_env, lineage, is_chosen);

	if (err == -ENOENT && !is_chosen)
		return 0;
	if (err) {
		state_explain(engine->options->state, err, failure);
		return -1;
	}
	jobs_add(&engine->jobs, job);
	engine->count++;
	job_begin(job);
	return 0;
}

int engine_take(struct engine *engine, int64_t lineage, struct failure *failure)
{
	return take_one(engine, lineage, true, failure);
}

static int take_list(struct engine *engine, const struct scheduler_list *list,
		     struct failure *failure)
{
	size_t i;

	for (i = 0; i < list->count && !engine->unwritten; i++)
		if (!has_job(engine, list->ids[i]) &&
		    take_one(engine, list->ids[i], false, failure))
			return -1;
	return 0;
}

static int take_due_now(struct engine *engine, struct failure *failure)
{
	const size_t room = ENGINE_ORDERS_MAX - engine->count;
	struct scheduler_list list;
	int err;

	if (!room || engine->unwritten || is_resting(engine))
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
	const int64_t now_s = clock_now_s();
	int err;

	if (is_resting(engine))
		return 0;
	check_clock(engine);
	err = state_correct(engine->options->state, now_s);
	if (err)
		state_explain(engine->options->state, err, failure);
	if (engine->options->is_once && !engine->takes_due)
		scheduler_set_moment(engine->scheduler, now_s);
	engine->takes_due = true;
	if (err || resume_in_flight(engine, failure) || take_due_now(engine, failure)) {
		rest(engine);
		return -1;
	}
	engine->rest_s = 0;
	return 0;
}

int64_t engine_next_order_s(struct engine *engine)
{
	int64_t next_s, resume_s;

	if (engine->unwritten || is_resting(engine) ||
	    state_next_in_flight(engine->options->state, IN_FLIGHT_AGE_S, &resume_s))
		return 0;
	next_s = scheduler_next_s(engine->scheduler);
	return next_s && (!resume_s || next_s < resume_s) ? next_s : resume_s;
}

/* --- as a whole ------------------------------------------------------------------------------- */

static void free_ended(struct engine *engine)
{
	struct job *job;

	while ((job = jobs_next(&engine->ended, NULL))) {
		jobs_remove(&engine->ended, job);
		job_free(job);
	}
}

void engine_settings_changed(struct engine *engine, const struct settings *settings)
{
	engine->job_env.settings = settings;
	scheduler_settings_changed(engine->scheduler, settings);
}

/* After an end, outside of the callback that brought it. */
static void on_engine_timer(void *context)
{
	struct failure failure = {0};
	struct engine *engine = context;

	free_ended(engine);
	if (engine->takes_due && take_due_now(engine, &failure)) {
		rest(engine);
		output_failure(NULL, &failure);
	}
	failure_done(&failure);
	/* What has ended meanwhile has started the timer again. */
	if (engine_is_idle(engine))
		engine->options->idle(engine->options->context);
}

static void engine_set_up_jobs(struct engine *engine)
{
	const struct engine_options *options = engine->options;

	engine->job_env = (struct job_env){
		.settings = options->settings,
		.loop = options->loop,
		.ca_pool = options->ca_pool,
		.state = options->state,
		.scheduler = engine->scheduler,
		.issue_env = &engine->env,
		.shows_progress = options->shows_progress,
		.ended = on_job_ended,
		.clock_differs = on_clock_differs,
		.stuck = on_job_stuck,
		.context = engine,
	};
}

int engine_new(struct engine **ret_engine, const struct engine_options *options)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	int err;

	if (!engine)
		return -ENOMEM;
	engine->options = options;
	engine->env.paths = options->settings->paths;
	engine->env.table = options->table;
	TAILQ_INIT(&engine->jobs);
	TAILQ_INIT(&engine->ended);
	engine->under_way = (struct scheduler_under_way){
		.has_lineage = has_job, .has_ca = is_ca_asked, .context = engine};
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
	engine_set_up_jobs(engine);
	*ret_engine = engine;
	return 0;
}

/* What has ended, written or not, is left as it is. */
static void suspend_jobs(struct engine *engine)
{
	struct job *job;

	while ((job = jobs_next(&engine->jobs, NULL))) {
		jobs_remove(&engine->jobs, job);
		engine->count--;
		job_suspend(job);
	}
	engine->unwritten = 0;
}

void engine_free(struct engine *engine)
{
	if (!engine)
		return;
	loop_timer_stop(engine->options->loop, &engine->timer);
	loop_timer_stop(engine->options->loop, &engine->writing);
	free_ended(engine);
	suspend_jobs(engine);
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

bool engine_is_idle(const struct engine *engine)
{
	return !engine->count && !engine->timer.running;
}

size_t engine_count(const struct engine *engine)
{
	return engine->count;
}
