/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/renewal/agent.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "acme/config/arguments.h"
#include "acme/protocol/authorization.h"
#include "acme/renewal/deploy.h"
#include "acme/renewal/engine.h"
#include "acme/util/failure.h"
#include "acme/challenge/responder.h"
#include "acme/renewal/rebuild.h"
#include "acme/protocol/order.h"
#include "acme/util/output.h"
#include "acme/renewal/dry_run.h"
#include "acme/store/state.h"
#include "acme/store/store.h"
#include "acme/renewal/reconcile.h"
#include "acme/renewal/ari_poll.h"
#include "common/challenge_table.h"
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
	struct renewals *renewals = context;

	output_failure(name, failure);
	renewals->failed++;
	add_hook_error(renewals->results, name, failure);
}

static void on_deployed(void *context)
{
	struct renewals *renewals = context;

	/* Else there will be more to deploy. */
	if (!engine_count(renewals->engine))
		renewals->idle(renewals->context);
}

/* Each name that failed, with the CA's reason. */
static void show_authorizations(const struct order *order)
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

static void on_finished(void *context, const struct engine_result *result)
{
	struct renewals *renewals = context;
	const char *name = result->lineage->wish.name;
	bool issued = !failure_is_set(result->failure);

	if (issued) {
		renewals->renewed++;
		output_line("%s: %s", name, result->lineage->not_after_s ? "renewed" : "issued");
		if (!renewals->arguments->dry_run)
			deploy_certificate(renewals->deploy, result->lineage);
	} else {
		show_authorizations(result->order);
		output_failure(name, result->failure);
		show_next_attempt(name, result->next_attempt_s);
	}
	if (!issued && !result->is_postponed && !renewals->arguments->dry_run)
		deploy_note_failure(renewals->deploy, &result->lineage->wish.identifiers);
	renewals->postponed += !issued && result->is_postponed;
	renewals->failed += !issued && !result->is_postponed;
	if (renewals->results)
		json_array_append_new(renewals->results,
				      json_pack("{s:s, s:b, s:b, s:I, s:o*}", "name", name,
						"renewed", issued, "postponed",
						result->is_postponed, "next_attempt",
						(json_int_t)result->next_attempt_s, "error",
						issued ? NULL : failure_to_json(result->failure)));
}

static void on_idle(void *context)
{
	struct renewals *renewals = context;

	if (!deploy_finish(renewals->deploy))
		renewals->idle(renewals->context);
}

static void on_asked(void *context)
{
	struct renewals *renewals = context;

	renewals->asked(renewals->context);
}

static int open_deploy(struct renewals *renewals, struct failure *failure)
{
	renewals->deploy_options = calloc(1, sizeof(*renewals->deploy_options));
	if (renewals->deploy_options) {
		*renewals->deploy_options = (struct deploy_options){
			.loop = renewals->net.loop,
			.paths = &renewals->arguments->paths,
			.state = renewals->state,
			.pause_ms = renewals->reload_pause_ms,
			.failed = on_deploy_failed,
			.idle = on_deployed,
			.context = renewals,
		};
		if (!deploy_new(&renewals->deploy, renewals->deploy_options))
			return 0;
	}
	failure_set_errno(failure, ENOMEM, "preparing the hooks");
	return -1;
}

static int open_engine(struct renewals *renewals, struct failure *failure)
{
	renewals->options = calloc(1, sizeof(*renewals->options));
	if (renewals->options) {
		*renewals->options = (struct engine_options){
			.arguments = renewals->arguments,
			.net = &renewals->net,
			.state = renewals->state,
			.table = renewals->table,
			.finished = on_finished,
			.idle = on_idle,
			.context = renewals,
		};
		if (!engine_new(&renewals->engine, renewals->options) &&
		    !windows_new(&renewals->windows, renewals->arguments, &renewals->net,
				 renewals->state, on_asked, renewals))
			return 0;
	}
	failure_set_errno(failure, ENOMEM, "preparing the renewals");
	return -1;
}

/* A configuration that cannot be used leaves what was wanted before, which is renewed all the same. */
static void take_wanted(struct renewals *renewals)
{
	struct failure failure = {0};

	if (renewals->arguments->dry_run)
		return;
	if (wanted_take(renewals->state, renewals->arguments->config, &failure)) {
		output_failure(NULL, &failure);
		renewals->failed++;
	}
	failure_done(&failure);
}

/* Of limits that nobody is near of any more; what cannot be removed now can be later. */
static void forget_full_buckets(const struct renewals *renewals)
{
	int error = state_buckets_prune(renewals->state, (int64_t)time(NULL) * US_PER_S);

	if (error)
		output_warning("old limits could not be forgotten: %s", strerror(-error));
}

int renewals_open(struct renewals *renewals, struct failure *failure)
{
	const struct paths *paths = &renewals->arguments->paths;

	if (state_open(&renewals->state, paths, failure) ||
	    (renewals->arguments->dry_run
		     ? rehearsal_take_wishes(renewals->state, renewals->arguments, failure)
		     : inventory_take(renewals->state, paths, failure))) {
		renewals_close(renewals);
		return -1;
	}
	take_wanted(renewals);
	forget_full_buckets(renewals);
	if (feed_open(&renewals->table, paths, failure) ||
	    net_open(&renewals->net, renewals->arguments, failure) ||
	    open_deploy(renewals, failure) || open_engine(renewals, failure)) {
		renewals_close(renewals);
		return -1;
	}
	return 0;
}

void renewals_close(struct renewals *renewals)
{
	windows_free(renewals->windows);
	engine_free(renewals->engine);
	free(renewals->options);
	deploy_free(renewals->deploy);
	free(renewals->deploy_options);
	if (renewals->net.loop)
		net_close(&renewals->net);
	challenge_table_free(renewals->table);
	state_free(renewals->state);
}
