// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/deploy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "acme/config/config.h"
#include "acme/config/identifiers.h"
#include "acme/config/settings.h"
#include "acme/net/loop.h"
#include "acme/renewal/certificate_facts.h"
#include "acme/renewal/deploy_outcome.h"
#include "acme/renewal/hooks.h"
#include "acme/store/state.h"
#include "acme/store/state_deploy.h"
#include "acme/store/store.h"
#include "acme/store/store_history.h"
#include "acme/util/failure.h"
#include "acme/util/output.h"
#include "common/clock.h"

#define MS_PER_S  1000
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

#define FRESH_MAX 1000 /* at once; the rest follow */
#define STEP_MAX  8 /* outcomes in one turn of the loop */

/* After the state could not be written: what it says is due may be done. */
#define STUCK_PAUSE_S 60

/* A certificate that servers do not use yet. */
struct fresh {
	TAILQ_ENTRY(fresh) link;
	struct deploy *deploy;
	int64_t lineage, generation;
	char *name;
	struct string_list domains;
	struct failure failure; /* of its own hooks, the first */
};

TAILQ_HEAD(fresh_list, fresh);

struct deploy {
	const struct deploy_options *options;
	struct store_retention retention;
	struct hooks *hooks;
	struct fresh_list hooked; /* whose own hooks are not yet done with */
	struct fresh_list waiting; /* for reload/ */
	struct fresh_list loading; /* reload/ is being run for these */
	struct fresh_list ended; /* reload/ has been run; the state has yet to hear of it */
	size_t count; /* in all four */
	enum hooks_result result; /* of reload/, for those that have ended */
	struct failure reload; /* why it failed */
	struct string_list renewed, failed; /* domains, for post/ */
	bool is_finishing;
	uint64_t reloaded_ns; /* when it was begun last; 0: never */
	uint64_t stuck_ns; /* when the state could not be written; 0: it could */
	struct timer timer, step;
};

static void deploy_next(struct deploy *deploy);

/* --- certificates ----------------------------------------------------------------------------- */

static void fresh_free(struct fresh *fresh)
{
	fresh->deploy->count--;
	string_list_done(&fresh->domains);
	failure_done(&fresh->failure);
	free(fresh->name);
	free(fresh);
}

static void fresh_list_free(struct fresh_list *list)
{
	struct fresh *fresh;

	while ((fresh = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, fresh, link);
		fresh_free(fresh);
	}
}

static void report_failure(struct deploy *deploy, const char *name, struct failure *failure)
{
	if (failure_is_set(failure))
		deploy->options->failed(deploy->options->context, name, failure);
	failure_done(failure);
}

static void report_no_memory(struct deploy *deploy, const char *name)
{
	struct failure failure = {0};

	failure_set_errno(&failure, ENOMEM, "running the hooks");
	report_failure(deploy, name, &failure);
}

/* Its own hooks are done with, however: it waits for reload/. */
static void fresh_wait(struct fresh *fresh)
{
	TAILQ_REMOVE(&fresh->deploy->hooked, fresh, link);
	TAILQ_INSERT_TAIL(&fresh->deploy->waiting, fresh, link);
}

static void on_hook_command_done(void *context, enum hooks_result result, struct failure *failure)
{
	struct fresh *fresh = context;

	if (result == HOOKS_DONE)
		return;
	failure_set(&fresh->failure, failure->next_step, "%s", failure->cause);
	report_failure(fresh->deploy, fresh->name, failure);
}

static void on_deploy_hooks_done(void *context, enum hooks_result result, struct failure *failure)
{
	struct fresh *fresh = context;

	on_hook_command_done(context, result, failure);
	fresh_wait(fresh);
	deploy_next(fresh->deploy);
}

static struct fresh *make_fresh(struct deploy *deploy, const struct state_lineage *lineage,
				const struct stored *stored)
{
	struct fresh *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		return NULL;
	deploy->count++;
	fresh->deploy = deploy;
	fresh->lineage = lineage->id;
	fresh->generation = stored->generation;
	fresh->name = strdup(lineage->spec.name);
	if (fresh->name && !identifiers_to_list(&fresh->domains, stored->certificate.names,
						stored->certificate.name_count))
		return fresh;
	fresh_free(fresh);
	return NULL;
}

/* 0 or -ENOMEM. */
static int fresh_run(struct deploy *deploy, const struct state_lineage *lineage,
		     const struct stored *stored)
{
	struct fresh *fresh = make_fresh(deploy, lineage, stored);
	struct hooks_call call = {.command = lineage->spec.settings.deploy_hook,
				  .lineage = stored->path,
				  .renewed = fresh ? &fresh->domains : NULL,
				  .done = on_hook_command_done,
				  .context = fresh};

	if (!fresh)
		return -ENOMEM;
	if (string_list_append(&deploy->renewed, &fresh->domains)) {
		fresh_free(fresh);
		return -ENOMEM;
	}
	TAILQ_INSERT_TAIL(&deploy->hooked, fresh, link);
	if (call.command && hooks_run(deploy->hooks, &call))
		failure_set_errno(&fresh->failure, ENOMEM, "running the hooks");
	call.command = NULL;
	call.directory = "deploy";
	call.done = on_deploy_hooks_done;
	if (!hooks_run(deploy->hooks, &call))
		return 0;
	failure_set_errno(&fresh->failure, ENOMEM, "running the hooks");
	fresh_wait(fresh);
	return 0;
}

/* --- from the state --------------------------------------------------------------------------- */

static bool list_has(const struct fresh_list *list, int64_t lineage)
{
	const struct fresh *fresh;

	for (fresh = TAILQ_FIRST(list); fresh; fresh = TAILQ_NEXT(fresh, link))
		if (fresh->lineage == lineage)
			return true;
	return false;
}

static bool is_taken(const struct deploy *deploy, int64_t lineage)
{
	return deploy->count &&
	       (list_has(&deploy->hooked, lineage) || list_has(&deploy->waiting, lineage) ||
		list_has(&deploy->loading, lineage) || list_has(&deploy->ended, lineage));
}

static void deploy_stick(struct deploy *deploy, const char *name, struct failure *failure)
{
	deploy->stuck_ns = clock_monotonic_ns();
	report_failure(deploy, name, failure);
}

/* The hooks cannot be run for a certificate that cannot be read. */
static void note_unreadable(struct deploy *deploy, const struct state_lineage *lineage, int err)
{
	const struct deploy_outcome_of of = {.state = deploy->options->state,
					     .paths = deploy->options->paths,
					     .lineage = lineage->id,
					     .name = lineage->spec.name,
					     .generation = lineage->generation};
	struct failure failure = {0}, unwritten = {0};

	failure_set_errno(&failure, -err, "the hooks of %s are not run, as it cannot be read",
			  lineage->spec.name);
	if (deploy_outcome_failed(&of, failure.cause, &unwritten))
		deploy_stick(deploy, lineage->spec.name, &unwritten);
	deploy->options->undeployed(deploy->options->context, lineage->spec.name, &failure);
	report_failure(deploy, lineage->spec.name, &failure);
}

static void take_lineage(struct deploy *deploy, const struct state_lineage *lineage)
{
	struct state_certificate present;
	struct failure failure = {0};
	struct stored stored;
	int err = store_read(&stored, deploy->options->paths, lineage->spec.name);

	if (err) {
		note_unreadable(deploy, lineage, err);
		return;
	}
	/* A process that died had gone back, or had stored one and not said so. */
	if (stored.generation != lineage->generation) {
		certificate_facts_fill(&present, &stored, lineage->spec.settings.renew_before);
		err = state_deploy_found(deploy->options->state, lineage->id, &present);
	}
	if (err) {
		state_explain(deploy->options->state, err, &failure);
		deploy_stick(deploy, lineage->spec.name, &failure);
	} else if (fresh_run(deploy, lineage, &stored)) {
		report_no_memory(deploy, lineage->spec.name);
	}
	stored_done(&stored);
}

static void take_retried(struct deploy *deploy, int64_t id)
{
	struct state_lineage lineage;

	if (state_lineage_read(deploy->options->state, id, &lineage))
		return;
	if (lineage.generation != lineage.deployed_generation)
		take_lineage(deploy, &lineage);
	state_lineage_done(&lineage);
}

/* One that was refused is to be tried again.  Whether the state has changed. */
static bool retry_refused(struct deploy *deploy, const struct state_lineage *lineage)
{
	const struct deploy_outcome_of of = {.state = deploy->options->state,
					     .paths = deploy->options->paths,
					     .lineage = lineage->id,
					     .name = lineage->spec.name,
					     .generation = lineage->generation};
	struct failure failure = {0};

	if (lineage->refused_generation <= lineage->generation || !lineage->refused_next_s ||
	    lineage->refused_next_s > clock_now_s())
		return false;
	if (!deploy_outcome_retry(&of, lineage->refused_generation, &failure))
		return true;
	deploy_stick(deploy, lineage->spec.name, &failure);
	return false;
}

static void take_one(struct deploy *deploy, int64_t id)
{
	struct failure failure = {0};
	struct state_lineage lineage;
	bool again = false;
	int err;

	if (is_taken(deploy, id))
		return;
	err = state_lineage_read(deploy->options->state, id, &lineage);
	if (!err) {
		if (lineage.generation == lineage.deployed_generation)
			again = retry_refused(deploy, &lineage);
		else if (lineage.deploy_next_s <= clock_now_s())
			take_lineage(deploy, &lineage);
		state_lineage_done(&lineage);
		if (again)
			take_retried(deploy, id);
	} else if (err != -ENOENT) {
		state_explain(deploy->options->state, err, &failure);
		deploy_stick(deploy, NULL, &failure);
	}
}

struct due {
	int64_t ids[FRESH_MAX];
	size_t count;
};

static int note_due(void *context, const struct state_undeployed *undeployed)
{
	struct due *due = context;

	due->ids[due->count++] = undeployed->id;
	return due->count == FRESH_MAX;
}

static bool is_stuck(struct deploy *deploy)
{
	if (deploy->stuck_ns && clock_monotonic_ns() - deploy->stuck_ns >= STUCK_PAUSE_S * NS_PER_S)
		deploy->stuck_ns = 0;
	return deploy->stuck_ns;
}

/* Take what the state says is due. */
static void collect(struct deploy *deploy)
{
	struct failure failure = {0};
	struct due *due;
	size_t i;
	int err;

	if (deploy->options->is_single || deploy->count >= FRESH_MAX || is_stuck(deploy))
		return;
	due = calloc(1, sizeof(*due));
	if (!due) {
		report_no_memory(deploy, NULL);
		return;
	}
	err = state_undeployed(deploy->options->state, clock_now_s(), FRESH_MAX, note_due, due);
	if (err < 0) {
		state_explain(deploy->options->state, err, &failure);
		deploy_stick(deploy, NULL, &failure);
	}
	for (i = 0; i < due->count && deploy->count < FRESH_MAX; i++)
		take_one(deploy, due->ids[i]);
	free(due);
}

/* --- reloading -------------------------------------------------------------------------------- */

/* The certificate's hooks have not all succeeded, and the state could be told. */
static void note_undeployed(struct deploy *deploy, const struct fresh *fresh,
			    const struct failure *why)
{
	deploy->options->undeployed(deploy->options->context, fresh->name, why);
}

static int end_refused(struct deploy *deploy, const struct deploy_outcome_of *of,
		       const struct fresh *fresh, struct failure *unwritten)
{
	struct failure told = {0};
	int err = deploy_outcome_refused(of, deploy->reload.cause, &told, unwritten);

	note_undeployed(deploy, fresh, failure_is_set(&told) ? &told : &deploy->reload);
	report_failure(deploy, fresh->name, &told);
	return err;
}

/* What follows for one of those that reload/ has been run for. */
static void end_fresh(struct deploy *deploy, struct fresh *fresh)
{
	const struct deploy_outcome_of of = {.state = deploy->options->state,
					     .paths = deploy->options->paths,
					     .lineage = fresh->lineage,
					     .name = fresh->name,
					     .generation = fresh->generation};
	const struct failure *why =
		failure_is_set(&fresh->failure) ? &fresh->failure : &deploy->reload;
	struct failure unwritten = {0};
	int err;

	if (deploy->result == HOOKS_REFUSED) {
		err = end_refused(deploy, &of, fresh, &unwritten);
	} else if (failure_is_set(why)) {
		err = deploy_outcome_failed(&of, why->cause, &unwritten);
		note_undeployed(deploy, fresh, why);
	} else {
		err = deploy_outcome_done(&of, &deploy->retention, &unwritten);
	}
	if (err)
		deploy_stick(deploy, fresh->name, &unwritten);
}

/* Some at a time: the loop has other things to do. */
static void on_step(void *context)
{
	struct deploy *deploy = context;
	struct fresh *fresh;
	int64_t lineage;
	size_t i;

	for (i = 0; i < STEP_MAX && (fresh = TAILQ_FIRST(&deploy->ended)); i++) {
		lineage = fresh->lineage;
		end_fresh(deploy, fresh);
		TAILQ_REMOVE(&deploy->ended, fresh, link);
		fresh_free(fresh);
		if (deploy->result == HOOKS_REFUSED && !deploy->stuck_ns)
			take_one(deploy, lineage);
	}
	if (!TAILQ_EMPTY(&deploy->ended)) {
		loop_timer_start(deploy->options->loop, &deploy->step, 0, on_step, deploy);
		return;
	}
	failure_done(&deploy->reload);
	deploy_next(deploy);
}

static void begin_ending(struct deploy *deploy, enum hooks_result result, struct failure *failure)
{
	deploy->result = result;
	/* A refusal is reported for each certificate, with what was done about it. */
	if (failure_is_set(failure) && result != HOOKS_REFUSED)
		deploy->options->failed(deploy->options->context, NULL, failure);
	failure_move(&deploy->reload, failure);
	TAILQ_CONCAT(&deploy->ended, &deploy->loading, link);
	loop_timer_start(deploy->options->loop, &deploy->step, 0, on_step, deploy);
}

static void on_reload_done(void *context, enum hooks_result result, struct failure *failure)
{
	begin_ending(context, result, failure);
}

static int run_reload(struct deploy *deploy)
{
	struct string_list domains = {0};
	const struct hooks_call call = {.directory = "reload",
					.renewed = &domains,
					.done = on_reload_done,
					.context = deploy};
	struct fresh *fresh;
	int err = 0;

	for (fresh = TAILQ_FIRST(&deploy->loading); fresh && !err; fresh = TAILQ_NEXT(fresh, link))
		err = string_list_append(&domains, &fresh->domains);
	deploy->reloaded_ns = clock_monotonic_ns();
	if (!err)
		err = hooks_run(deploy->hooks, &call);
	string_list_done(&domains);
	return err;
}

static void deploy_reload(void *context)
{
	struct deploy *deploy = context;
	struct failure failure = {0};

	if (TAILQ_EMPTY(&deploy->waiting) || !TAILQ_EMPTY(&deploy->loading) ||
	    !TAILQ_EMPTY(&deploy->ended))
		return;
	TAILQ_CONCAT(&deploy->loading, &deploy->waiting, link);
	if (!run_reload(deploy))
		return;
	failure_set_errno(&failure, ENOMEM, "running the hooks");
	begin_ending(deploy, HOOKS_FAILED, &failure);
}

/* How long until the servers may, or must, be told of those that wait. */
static uint64_t delay_ms(const struct deploy *deploy)
{
	uint64_t passed_ms = (clock_monotonic_ns() - deploy->reloaded_ns) / NS_PER_MS;
	uint64_t delay = deploy->is_finishing ? 0 : DEPLOY_DELAY_MAX_S * MS_PER_S;
	uint64_t pause = deploy->options->pause_ms;

	if (deploy->reloaded_ns && passed_ms < pause && delay < pause - passed_ms)
		delay = pause - passed_ms;
	return delay;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void on_post_hooks_done(void *context, enum hooks_result result, struct failure *failure)
{
	struct deploy *deploy = context;

	(void)result;
	report_failure(deploy, NULL, failure);
	deploy_next(deploy);
}

static void run_post(struct deploy *deploy)
{
	const struct hooks_call call = {.directory = "post",
					.renewed = &deploy->renewed,
					.failed = &deploy->failed,
					.done = on_post_hooks_done,
					.context = deploy};

	if (hooks_run(deploy->hooks, &call))
		report_no_memory(deploy, NULL);
	string_list_done(&deploy->renewed);
	string_list_done(&deploy->failed);
}

static bool is_at_rest(const struct deploy *deploy)
{
	return !deploy->count && hooks_are_idle(deploy->hooks);
}

/* Whatever is next: it is asked for whenever something has ended. */
static void deploy_next(struct deploy *deploy)
{
	struct loop *loop = deploy->options->loop;

	if (!TAILQ_EMPTY(&deploy->waiting)) {
		/* All that have come go together. */
		if (!TAILQ_EMPTY(&deploy->loading) || !TAILQ_EMPTY(&deploy->ended) ||
		    (deploy->is_finishing && !TAILQ_EMPTY(&deploy->hooked)))
			return;
		if (!deploy->timer.running || deploy->is_finishing)
			loop_timer_start(loop, &deploy->timer, delay_ms(deploy), deploy_reload,
					 deploy);
		return;
	}
	if (!deploy->is_finishing || !is_at_rest(deploy))
		return;
	if (deploy->renewed.count || deploy->failed.count) {
		run_post(deploy);
		return;
	}
	deploy->is_finishing = false;
	deploy->options->idle(deploy->options->context);
}

/* --- as a whole ------------------------------------------------------------------------------- */

void deploy_certificate(struct deploy *deploy, int64_t lineage)
{
	take_one(deploy, lineage);
}

void deploy_note_failure(struct deploy *deploy, const struct string_list *identifiers)
{
	if (string_list_append(&deploy->failed, identifiers))
		report_no_memory(deploy, NULL);
}

bool deploy_finish(struct deploy *deploy)
{
	collect(deploy);
	if (!deploy->renewed.count && !deploy->failed.count && is_at_rest(deploy))
		return false;
	deploy->is_finishing = true;
	deploy_next(deploy);
	return true;
}

void deploy_look(struct deploy *deploy, bool is_finishing)
{
	if (is_finishing)
		(void)deploy_finish(deploy);
	else
		collect(deploy);
}

/* Report a hook that cannot be run now, and not when it is needed. */
static void judge_hook(const struct config_section *section)
{
	const char *hook = section->certificate.deploy_hook;
	struct failure failure = {0};

	if (hook && hooks_judge(hook, &failure))
		output_failure(config_place(section, "deploy-hook"), &failure);
	failure_done(&failure);
}

static void judge_hooks(const struct settings *settings)
{
	const struct config_section *section;
	size_t i;

	if (!settings->config || settings->dry_run)
		return;
	judge_hook(config_defaults(settings->config));
	for (i = 0; (section = config_section(settings->config, i)); i++)
		judge_hook(section);
}

void deploy_settings_changed(struct deploy *deploy, const struct settings *settings)
{
	judge_hooks(settings);
	deploy->retention = (struct store_retention){.count = settings->keep_generations,
						     .days = settings->keep_days};
	hooks_set_timeout(deploy->hooks, settings->hook_timeout_s);
}

int deploy_new(struct deploy **ret_deploy, const struct deploy_options *options)
{
	struct deploy *deploy = calloc(1, sizeof(*deploy));

	if (!deploy)
		return -ENOMEM;
	if (hooks_new(&deploy->hooks, options->loop, options->paths,
		      options->settings->hook_timeout_s)) {
		free(deploy);
		return -ENOMEM;
	}
	deploy->options = options;
	deploy_settings_changed(deploy, options->settings);
	TAILQ_INIT(&deploy->hooked);
	TAILQ_INIT(&deploy->waiting);
	TAILQ_INIT(&deploy->loading);
	TAILQ_INIT(&deploy->ended);
	*ret_deploy = deploy;
	return 0;
}

void deploy_free(struct deploy *deploy)
{
	if (!deploy)
		return;
	loop_timer_stop(deploy->options->loop, &deploy->timer);
	loop_timer_stop(deploy->options->loop, &deploy->step);
	hooks_free(deploy->hooks);
	fresh_list_free(&deploy->hooked);
	fresh_list_free(&deploy->waiting);
	fresh_list_free(&deploy->loading);
	fresh_list_free(&deploy->ended);
	failure_done(&deploy->reload);
	string_list_done(&deploy->renewed);
	string_list_done(&deploy->failed);
	free(deploy);
}
