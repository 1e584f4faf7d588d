// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/deploy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "acme/renewal/consequence.h"
#include "acme/util/failure.h"
#include "acme/renewal/hooks.h"
#include "acme/store/store_history.h"
#include "acme/net/loop.h"
#include "acme/config/identifiers.h"
#include "acme/store/state.h"
#include "acme/store/store.h"
#include "common/clock.h"

#define MS_PER_S  1000
#define NS_PER_MS UINT64_C(1000000)

/* After going back: an operator has the time to act, and the CA's weekly limit is not reached. */
#define RETRY_S (2 * 86400)

/* A certificate that servers do not use yet. */
struct fresh {
	TAILQ_ENTRY(fresh) link;
	struct deploy *deploy;
	int64_t lineage;
	char *name;
	struct string_list domains;
};

TAILQ_HEAD(fresh_list, fresh);

struct deploy {
	const struct deploy_options *options;
	struct hooks *hooks;
	struct fresh_list hooked; /* whose own hooks are not yet done with */
	struct fresh_list waiting; /* for reload/ */
	struct fresh_list loading; /* reload/ is being run for these */
	struct string_list renewed, failed; /* domains, for post/ */
	bool is_finishing;
	uint64_t reloaded_ns; /* when it was begun last; 0: never */
	struct timer timer;
};

static void deploy_next(struct deploy *deploy);

/* --- certificates ----------------------------------------------------------------------------- */

static void fresh_free(struct fresh *fresh)
{
	string_list_done(&fresh->domains);
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
static void on_deploy_hooks_done(void *context, struct failure *failure)
{
	struct fresh *fresh = context;
	struct deploy *deploy = fresh->deploy;

	TAILQ_REMOVE(&deploy->hooked, fresh, link);
	TAILQ_INSERT_TAIL(&deploy->waiting, fresh, link);
	report_failure(deploy, fresh->name, failure);
	deploy_next(deploy);
}

static void on_hook_command_done(void *context, struct failure *failure)
{
	struct fresh *fresh = context;

	report_failure(fresh->deploy, fresh->name, failure);
}

static struct fresh *make_fresh(struct deploy *deploy, const struct state_lineage *lineage,
				const struct stored *stored)
{
	struct fresh *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		return NULL;
	fresh->deploy = deploy;
	fresh->lineage = lineage->id;
	fresh->name = strdup(lineage->spec.name);
	if (fresh->name && !identifiers_to_list(&fresh->domains, stored->certificate.names,
						stored->certificate.name_count))
		return fresh;
	fresh_free(fresh);
	return NULL;
}

void deploy_certificate(struct deploy *deploy, const struct state_lineage *lineage,
			const struct stored *stored)
{
	struct fresh *fresh = make_fresh(deploy, lineage, stored);
	struct hooks_call call = {.command = lineage->spec.settings.deploy_hook,
				  .lineage = stored->path,
				  .renewed = fresh ? &fresh->domains : NULL,
				  .done = on_hook_command_done,
				  .context = fresh};

	if (!fresh) {
		report_no_memory(deploy, lineage->spec.name);
		return;
	}
	if (string_list_append(&deploy->renewed, &fresh->domains))
		report_no_memory(deploy, fresh->name);
	TAILQ_INSERT_TAIL(&deploy->hooked, fresh, link);
	if (call.command && hooks_run(deploy->hooks, &call))
		report_no_memory(deploy, fresh->name);
	call.command = NULL;
	call.directory = "deploy";
	call.done = on_deploy_hooks_done;
	if (hooks_run(deploy->hooks, &call)) {
		TAILQ_REMOVE(&deploy->hooked, fresh, link);
		TAILQ_INSERT_TAIL(&deploy->waiting, fresh, link);
		report_no_memory(deploy, fresh->name);
	}
}

void deploy_note_failure(struct deploy *deploy, const struct string_list *identifiers)
{
	if (string_list_append(&deploy->failed, identifiers))
		report_no_memory(deploy, NULL);
}

/* --- reloading, and going back ---------------------------------------------------------------- */

/* The state knows of the certificate that is in use now, and when the next is tried for. */
static int note_roll_back(struct deploy *deploy, const struct fresh *fresh)
{
	struct state *state = deploy->options->state;
	struct stored stored;
	int err;

	err = store_read(&stored, deploy->options->paths, fresh->name);
	if (err)
		return err;
	err = consequence_of_found(state, fresh->lineage, &stored);
	stored_done(&stored);
	if (!err)
		err = state_postpone(state, fresh->lineage, clock_now_s() + RETRY_S, NULL,
				     "a server refused the new certificate");
	return err == -ENOENT ? 0 : err;
}

static void roll_back(struct deploy *deploy, const struct fresh *fresh, const char *why)
{
	const char *next_step = "correct the server's configuration, then run `sidestep renew "
				"--force-renewal --cert-name` with its name";
	struct failure failure = {0};
	int64_t refused = store_generation(deploy->options->paths, fresh->name), present;
	int err = store_go_back(deploy->options->paths, fresh->name, &present, &failure);

	if (err == -ENOENT) {
		failure_set(&failure, "correct the server's configuration, then reload it",
			    "there is no certificate before this one to go back to: %s", why);
	} else if (!err) {
		err = note_roll_back(deploy, fresh);
		if (err)
			state_explain(deploy->options->state, err, &failure);
		failure_set(&failure, next_step,
			    "the previous certificate is in use again (the new one is in "
			    "archive/%s/%" PRId64 "): %s",
			    fresh->name, refused, why);
	}
	report_failure(deploy, fresh->name, &failure);
}

/* Reload with the previous certificates the servers that have loaded the new ones. */
static void on_second_reload_done(void *context, struct failure *failure)
{
	struct deploy *deploy = context;

	report_failure(deploy, NULL, failure);
	deploy_next(deploy);
}

static int run_reload(struct deploy *deploy, void (*done)(void *context, struct failure *failure))
{
	struct string_list domains = {0};
	const struct hooks_call call = {
		.directory = "reload", .renewed = &domains, .done = done, .context = deploy};
	struct fresh *fresh;
	int err = 0;

	for (fresh = TAILQ_FIRST(&deploy->loading); fresh && !err; fresh = TAILQ_NEXT(fresh, link))
		err = string_list_append(&domains, &fresh->domains);
	deploy->reloaded_ns = clock_monotonic_ns();
	if (!err)
		err = hooks_run(deploy->hooks, &call);
	if (err)
		report_no_memory(deploy, NULL);
	string_list_done(&domains);
	return err;
}

static void on_reload_done(void *context, struct failure *failure)
{
	struct deploy *deploy = context;
	bool failed = failure_is_set(failure);
	struct fresh *fresh;

	for (fresh = TAILQ_FIRST(&deploy->loading); failed && fresh;
	     fresh = TAILQ_NEXT(fresh, link))
		roll_back(deploy, fresh, failure->cause);
	failure_done(failure);
	if (failed)
		run_reload(deploy, on_second_reload_done);
	fresh_list_free(&deploy->loading);
	deploy_next(deploy);
}

static void deploy_reload(void *context)
{
	struct deploy *deploy = context;

	if (TAILQ_EMPTY(&deploy->waiting) || !TAILQ_EMPTY(&deploy->loading))
		return;
	TAILQ_CONCAT(&deploy->loading, &deploy->waiting, link);
	if (run_reload(deploy, on_reload_done))
		fresh_list_free(&deploy->loading);
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

static void on_post_hooks_done(void *context, struct failure *failure)
{
	struct deploy *deploy = context;

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

/* Whatever is next: it is asked for whenever something has ended. */
static void deploy_next(struct deploy *deploy)
{
	struct loop *loop = deploy->options->loop;

	if (!TAILQ_EMPTY(&deploy->waiting)) {
		/* All that have come go together. */
		if (deploy->is_finishing && !TAILQ_EMPTY(&deploy->hooked))
			return;
		if (!deploy->timer.running || deploy->is_finishing)
			loop_timer_start(loop, &deploy->timer, delay_ms(deploy), deploy_reload,
					 deploy);
		return;
	}
	if (!deploy->is_finishing || !TAILQ_EMPTY(&deploy->hooked) ||
	    !TAILQ_EMPTY(&deploy->loading) || !hooks_are_idle(deploy->hooks))
		return;
	if (deploy->renewed.count || deploy->failed.count) {
		run_post(deploy);
		return;
	}
	deploy->is_finishing = false;
	deploy->options->idle(deploy->options->context);
}

bool deploy_finish(struct deploy *deploy)
{
	if (!deploy->renewed.count && !deploy->failed.count && TAILQ_EMPTY(&deploy->waiting) &&
	    TAILQ_EMPTY(&deploy->hooked) && TAILQ_EMPTY(&deploy->loading) &&
	    hooks_are_idle(deploy->hooks))
		return false;
	deploy->is_finishing = true;
	deploy_next(deploy);
	return true;
}

/* --- as a whole ------------------------------------------------------------------------------- */

int deploy_new(struct deploy **ret_deploy, const struct deploy_options *options)
{
	struct deploy *deploy = calloc(1, sizeof(*deploy));

	if (!deploy)
		return -ENOMEM;
	if (hooks_new(&deploy->hooks, options->loop, options->paths)) {
		free(deploy);
		return -ENOMEM;
	}
	deploy->options = options;
	TAILQ_INIT(&deploy->hooked);
	TAILQ_INIT(&deploy->waiting);
	TAILQ_INIT(&deploy->loading);
	*ret_deploy = deploy;
	return 0;
}

void deploy_free(struct deploy *deploy)
{
	if (!deploy)
		return;
	loop_timer_stop(deploy->options->loop, &deploy->timer);
	hooks_free(deploy->hooks);
	fresh_list_free(&deploy->hooked);
	fresh_list_free(&deploy->waiting);
	fresh_list_free(&deploy->loading);
	string_list_done(&deploy->renewed);
	string_list_done(&deploy->failed);
	free(deploy);
}
