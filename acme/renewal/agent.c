// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/config/settings.h"
#include "acme/renewal/agent.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "acme/protocol/authorization.h"
#include "acme/renewal/compare.h"
#include "acme/renewal/deploy.h"
#include "acme/renewal/engine.h"
#include "acme/util/failure.h"
#include "acme/challenge/responder.h"
#include "acme/renewal/rebuild.h"
#include "acme/protocol/order.h"
#include "acme/util/output.h"
#include "acme/renewal/dry_run.h"
#include "acme/renewal/notices.h"
#include "acme/store/state.h"
#include "acme/store/store.h"
#include "acme/renewal/reconcile.h"
#include "acme/renewal/ari_poll.h"
#include "acme/renewal/ca_pool.h"
#include "common/challenge_table.h"
#include "common/clock.h"
#include "common/identifier.h"

#define US_PER_S INT64_C(1000000)

/* Of the certificate's hooks: with its result, which is the last of its name. */
static void add_hook_error(json_t *results, const char *name, const struct failure *failure)
{
	size_t i = json_array_size(results);
	json_t *result;

	while (name && i--) {
		result = json_array_get(results, i);
		if (strcmp(json_string_value(json_object_get(result, "name")), name) != 0)
			continue;
		json_object_set_new(result, "hook_error", failure_to_json(failure));
		return;
	}
}

static void on_deploy_failed(void *context, const char *name, const struct failure *failure)
{
	struct agent *agent = context;

	agent->has_hook_failed = true;
	if (agent->is_single)
		agent->hook_failed(agent->context, failure);
	else
		output_failure(name, failure);
}

static void on_undeployed(void *context, const char *name, const struct failure *failure)
{
	struct agent *agent = context;

	agent->undeployed++;
	add_hook_error(agent->results, name, failure);
}

static void tell_of_endings(struct agent *agent)
{
	int err;

	if (agent->settings->dry_run || agent->is_single)
		return;
	err = notices_look(agent->notices, agent->state, agent->is_once);
	if (err)
		output_warning("certificates that end soon cannot be looked for: %s",
			       strerror(-err));
}

/* Nothing is under way any more, once operators have been told. */
static void agent_idle(struct agent *agent)
{
	tell_of_endings(agent);
	agent->waits_for_notices = notices_are_busy(agent->notices);
	if (!agent->waits_for_notices)
		agent->idle(agent->context);
}

static void on_agent_noticed(void *context)
{
	struct agent *agent = context;

	if (agent->waits_for_notices)
		agent_idle(agent);
}

static void on_agent_deployed(void *context)
{
	struct agent *agent = context;

	/* Else there will be more to deploy. */
	if (!engine_count(agent->engine))
		agent_idle(agent);
}

/* Each name that failed, with the CA's reason. */
static void show_failed_authorizations(const struct order *order)
{
	const struct authorization *authorization;
	const struct identifier *identifier;
	size_t i;

	for (i = 0; order && (authorization = order_authorization(order, i)); i++) {
		identifier = authorization_identifier(authorization);
		if (failure_is_set(authorization_failure(authorization)))
			output_failure(identifier ? identifier->value : NULL,
				       authorization_failure(authorization));
	}
}

static void show_next_attempt(const char *name, int64_t next_attempt_s)
{
	char when[sizeof("2026-11-26 12:00 UTC")];
	time_t moment = (time_t)next_attempt_s;
	struct tm utc;

	if (!next_attempt_s)
		output_warning("%s: not tried again before you have acted", name);
	else if (gmtime_r(&moment, &utc) && strftime(when, sizeof(when), "%F %H:%M UTC", &utc))
		output_warning("%s: the next attempt is at %s at the earliest", name, when);
}

/* One of many orders has ended. */
static void report_result(struct agent *agent, const struct engine_result *result)
{
	const char *name = result->lineage->spec.name;
	bool issued = !failure_is_set(result->failure);

	if (issued) {
		agent->renewed++;
		output_line("%s: %s", name,
			    agent->settings->dry_run       ? "the dry run succeeded"
			    : result->lineage->not_after_s ? "renewed"
							   : "issued");
	} else {
		show_failed_authorizations(result->order);
		output_failure(name, result->failure);
		if (!agent->settings->dry_run)
			show_next_attempt(name, result->next_attempt_s);
	}
	agent->postponed += !issued && result->is_postponed;
	agent->failed += !issued && !result->is_postponed;
	if (agent->results)
		json_array_append_new(agent->results,
				      json_pack("{s:s, s:b, s:b, s:I, s:o*}", "name", name,
						"renewed", issued, "postponed",
						result->is_postponed, "next_attempt",
						(json_int_t)result->next_attempt_s, "error",
						issued ? NULL : failure_to_json(result->failure)));
}

static void on_agent_finished(void *context, const struct engine_result *result)
{
	struct agent *agent = context;
	bool issued = !failure_is_set(result->failure);

	if (agent->is_single)
		agent->finished(agent->context, result);
	else
		report_result(agent, result);
	if (agent->settings->dry_run)
		return;
	if (issued)
		deploy_certificate(agent->deploy, result->lineage->id);
	else if (!agent->is_single && !result->is_postponed)
		notices_of_failure(agent->notices, result->lineage, result->failure,
				   result->next_attempt_s);
	if (!issued && (agent->is_single || !result->is_postponed))
		deploy_note_failure(agent->deploy, &result->lineage->spec.identifiers);
}

static void on_agent_idle(void *context)
{
	struct agent *agent = context;

	if (agent->settings->dry_run || !deploy_finish(agent->deploy))
		agent_idle(agent);
	else if (agent->is_single)
		output_step("running the hooks");
}

static void on_agent_polled(void *context)
{
	struct agent *agent = context;

	agent->polled(agent->context);
}

static void on_compare_found(void *context, const char *name, const struct failure *failure)
{
	(void)context;
	output_failure(name, failure);
}

static void on_compared(void *context)
{
	struct agent *agent = context;

	if (agent->compared)
		agent->compared(agent->context);
}

static int open_compare(struct agent *agent, struct failure *failure)
{
	agent->compare_options = calloc(1, sizeof(*agent->compare_options));
	if (agent->compare_options) {
		*agent->compare_options = (struct compare_options){
			.loop = agent->net.loop,
			.paths = agent->settings->paths,
			.state = agent->state,
			.found = on_compare_found,
			.done = on_compared,
			.context = agent,
		};
		if (!compare_new(&agent->compare, agent->compare_options))
			return 0;
	}
	failure_set_errno(failure, ENOMEM, "preparing the comparison of state and disk");
	return -1;
}

static int open_deploy(struct agent *agent, struct failure *failure)
{
	agent->deploy_options = calloc(1, sizeof(*agent->deploy_options));
	if (agent->deploy_options) {
		*agent->deploy_options = (struct deploy_options){
			.loop = agent->net.loop,
			.paths = agent->settings->paths,
			.state = agent->state,
			.settings = agent->settings,
			.pause_ms = agent->reload_pause_ms,
			.is_single = agent->is_single,
			.failed = on_deploy_failed,
			.undeployed = on_undeployed,
			.idle = on_agent_deployed,
			.context = agent,
		};
		if (!deploy_new(&agent->deploy, agent->deploy_options))
			return 0;
	}
	failure_set_errno(failure, ENOMEM, "preparing the hooks");
	return -1;
}

static int open_engine(struct agent *agent, struct failure *failure)
{
	if (notices_new(&agent->notices, agent->net.loop, agent->settings->notify, on_agent_noticed,
			agent)) {
		failure_set_errno(failure, ENOMEM, "preparing the renewals");
		return -1;
	}
	agent->options = calloc(1, sizeof(*agent->options));
	if (agent->options && !ca_pool_new(&agent->ca_pool, agent->settings, &agent->net)) {
		*agent->options = (struct engine_options){
			.settings = agent->settings,
			.loop = agent->net.loop,
			.ca_pool = agent->ca_pool,
			.state = agent->state,
			.table = &agent->table,
			.shows_progress = agent->is_single,
			.is_once = agent->is_once || agent->is_single,
			.finished = on_agent_finished,
			.idle = on_agent_idle,
			.context = agent,
		};
		if (!engine_new(&agent->engine, agent->options) &&
		    !ari_poll_new(&agent->ari_poll, agent->ca_pool, agent->net.loop, agent->state,
				  on_agent_polled, agent))
			return 0;
	}
	failure_set_errno(failure, ENOMEM, "preparing the renewals");
	return -1;
}

/* An unusable configuration changes nothing: what the state has is renewed all the same. */
static void agent_reconcile(struct agent *agent)
{
	struct failure failure = {0};

	if (agent->is_single || agent->reconciles_later)
		return;
	if (reconcile(agent->state, agent->settings, &failure)) {
		output_failure(NULL, &failure);
		agent->failed++;
	}
	failure_done(&failure);
}

/* Of limits that nobody is near of any more; what cannot be removed now can be later. */
static void forget_full_buckets(const struct agent *agent)
{
	int err = state_buckets_prune(agent->state, (int64_t)clock_now_s() * US_PER_S);

	if (err)
		output_warning("old limits could not be forgotten: %s", strerror(-err));
}

int agent_open(struct agent *agent, struct failure *failure)
{
	const struct paths *paths = agent->settings->paths;

	if (responder_open(&agent->table, paths, failure) ||
	    state_open(&agent->state, paths, failure) ||
	    (agent->settings->dry_run && !agent->is_single
		     ? dry_run_copy_specs(agent->state, agent->settings, failure)
		     : rebuild(agent->state, paths, failure))) {
		agent_close(agent);
		return -1;
	}
	agent_reconcile(agent);
	forget_full_buckets(agent);
	if (net_open(&agent->net, agent->settings->timeout_s, failure) ||
	    open_deploy(agent, failure) || open_compare(agent, failure) ||
	    open_engine(agent, failure)) {
		agent_close(agent);
		return -1;
	}
	return 0;
}

bool agent_compare(struct agent *agent, bool always)
{
	bool is_due = !agent->settings->dry_run && (always || compare_is_due(agent->compare));

	if (is_due)
		compare_start(agent->compare);
	return is_due;
}

bool agent_is_damaged(const struct agent *agent, struct failure *failure)
{
	if (!state_is_damaged(agent->state))
		return false;
	failure_done(failure);
	state_explain(agent->state, -EBADMSG, failure);
	return true;
}

void agent_finish(struct agent *agent)
{
	on_agent_idle(agent);
}

void agent_deploy(struct agent *agent)
{
	tell_of_endings(agent);
	deploy_look(agent->deploy, !engine_count(agent->engine));
}

void agent_settings_changed(struct agent *agent, const struct settings *settings)
{
	agent->settings = settings;
	if (notices_set_command(agent->notices, settings->notify))
		output_warning("the notify command stays the previous one: out of memory");
	engine_settings_changed(agent->engine, settings);
	ari_poll_settings_changed(agent->ari_poll);
	deploy_settings_changed(agent->deploy, settings);
	ca_pool_settings_changed(agent->ca_pool, settings);
	compare_start(agent->compare);
}

void agent_close(struct agent *agent)
{
	notices_free(agent->notices);
	ari_poll_free(agent->ari_poll);
	engine_free(agent->engine);
	ca_pool_free(agent->ca_pool);
	free(agent->options);
	compare_free(agent->compare);
	free(agent->compare_options);
	deploy_free(agent->deploy);
	free(agent->deploy_options);
	if (agent->net.loop)
		net_close(&agent->net);
	challenge_table_free(agent->table);
	state_free(agent->state);
}
