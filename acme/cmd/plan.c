// SPDX-License-Identifier: GPL-3.0-or-later
/* `sidestep plan`: when each certificate is due, and what is left of the CAs' rate limits. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/renewal/scheduler.h"
#include "acme/util/failure.h"
#include "acme/renewal/rebuild.h"
#include "acme/util/json.h"
#include "acme/util/output.h"
#include "acme/store/state.h"
#include "acme/cmd/verbs.h"
#include "acme/renewal/reconcile.h"
#include "common/clock.h"

#define SHOWN_MAX 1000
#define FOREVER_S INT64_MAX

struct moment_text {
	char text[sizeof("2026-11-26 12:00 UTC")];
};

static struct moment_text moment_text(int64_t moment_s, int64_t now_s)
{
	struct moment_text moment = {"now"};
	time_t seconds = (time_t)moment_s;
	struct tm utc;

	if (moment_s > now_s && gmtime_r(&seconds, &utc))
		strftime(moment.text, sizeof(moment.text), "%F %H:%M UTC", &utc);
	return moment;
}

static const char *lineage_reason(const struct state_lineage *lineage)
{
	switch (lineage->status) {
	case STATE_ORDERING:
		return "an order is in progress";
	case STATE_PAUSED:
		return "paused until you act";
	case STATE_RETIRED:
		return "no longer in the configuration";
	case STATE_HELD:
		return "put off";
	default:
		break;
	}
	if (lineage->priority == STATE_URGENT)
		return "it needs urgent replacement";
	if (lineage->failures)
		return "the last attempt failed";
	if (!lineage->not_after_s)
		return "not issued yet";
	return lineage->window_start_s ? "the CA's renewal window" : "its age";
}

static int show_lineage(void *context, const struct state_lineage *lineage)
{
	char *identifiers = string_list_join(&lineage->spec.identifiers, ' ');
	int64_t now_s = clock_now_s();
	json_t *array = context;

	output_line("%-20s  %s  (%s%s%s; at %s)",
		    lineage->issue_at_s ? moment_text(lineage->issue_at_s, now_s).text : "-",
		    lineage->spec.name, lineage_reason(lineage), lineage->status_reason ? ": " : "",
		    lineage->status_reason ? lineage->status_reason : "", lineage->ca);
	json_array_append_new(
		array, json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s?, s:s?}", "name",
				 lineage->spec.name, "state", state_status_name(lineage->status),
				 "identifiers", identifiers, "ca", lineage->ca, "at",
				 (json_int_t)lineage->issue_at_s, "not_after",
				 (json_int_t)lineage->not_after_s, "failures",
				 (json_int_t)lineage->failures, "reason", lineage_reason(lineage),
				 "last_failure", lineage->last_failure, "status_reason",
				 lineage->status_reason));
	free(identifiers);
	return identifiers ? 0 : -ENOMEM;
}

/* --- one certificate -------------------------------------------------------------------------- */

static int show_attempt(void *context, const struct state_attempt *attempt)
{
	struct moment_text when = moment_text(attempt->at_s, 0);

	output_line("  %s: %s%s%s", when.text, attempt->failure ? attempt->failure : "issued",
		    attempt->ca ? " at " : "", attempt->ca ? attempt->ca : "");
	json_array_append_new(
		context, json_pack("{s:I, s:s?, s:s?, s:o?, s:s?}", "at", (json_int_t)attempt->at_s,
				   "ca", attempt->ca, "order", attempt->url, "failure",
				   attempt->failure ? json_new_text(attempt->failure) : NULL,
				   "problem", attempt->problem));
	return 0;
}

/* -ENOENT: there is no such certificate. */
static int show_one(struct state *state, const char *name, json_t *array, json_t *attempts)
{
	struct state_lineage lineage;
	int err = state_lineage_find(state, name, &lineage);

	if (err)
		return err;
	show_lineage(array, &lineage);
	if (lineage.status == STATE_PAUSED)
		output_line("  Paused until you act: %s", lineage.status_reason);
	err = state_attempts(state, lineage.id, show_attempt, attempts);
	state_lineage_done(&lineage);
	return err;
}

/* --- rate limits of the CAs ------------------------------------------------------------------- */

struct authorities {
	struct scheduler *scheduler;
	json_t *servers; /* their URLs */
	json_t *limits;
};

static int add_server(void *context, const char *ca)
{
	struct authorities *authorities = context;

	return json_array_append_new(authorities->servers, json_string(ca)) ? -ENOMEM : 0;
}

static int64_t json_number(const json_t *object, const char *member)
{
	return json_integer_value(json_object_get(object, member));
}

/* Leave out a CA without limits that does not ask us to wait. */
static void show_limit(struct authorities *authorities, const char *server)
{
	int64_t now_s = clock_now_s(), hours;
	json_t *limit = scheduler_limits_to_json(authorities->scheduler, server, now_s);

	hours = json_number(limit, "window") / 3600;
	if (json_number(limit, "held_until"))
		output_line("%s asks to wait until %s", server,
			    moment_text(json_number(limit, "held_until"), now_s).text);
	if (json_number(limit, "orders_limit"))
		output_line("%s: %lld of %lld orders in %lld hour%s are left; the next at %s",
			    server, (long long)json_number(limit, "left"),
			    (long long)json_number(limit, "orders_limit"), (long long)hours,
			    hours == 1 ? "" : "s",
			    moment_text(json_number(limit, "next"), now_s).text);
	if (json_number(limit, "held_until") || json_number(limit, "orders_limit"))
		json_array_append(authorities->limits, limit);
	json_decref(limit);
}

static int show_limits(struct state *state, const struct settings *settings, json_t *limits)
{
	struct authorities authorities = {.servers = json_array(), .limits = limits};
	size_t i;
	int err;

	err = scheduler_new(&authorities.scheduler, state, settings, NULL);
	if (!err)
		err = state_cas(state, add_server, &authorities);
	for (i = 0; !err && i < json_array_size(authorities.servers); i++)
		show_limit(&authorities, json_string_value(json_array_get(authorities.servers, i)));
	scheduler_free(authorities.scheduler);
	json_decref(authorities.servers);
	return err;
}

/* --- the verb --------------------------------------------------------------------------------- */

struct planning {
	const struct arguments *arguments;
	const struct settings *settings;
	struct state *state;
	json_t *plan, *limits;
	json_t *attempts; /* of one certificate; NULL: show all certificates */
	struct failure failure;
};

static void make_plan(struct planning *planning)
{
	const char *name = planning->arguments->name;
	struct failure wrong = {0};
	int err;

	if (reconcile(planning->state, planning->settings, &wrong))
		output_failure(NULL, &wrong);
	failure_done(&wrong);
	err = name ? show_one(planning->state, name, planning->plan, planning->attempts)
		   : state_plan(planning->state, FOREVER_S, SHOWN_MAX, show_lineage,
				planning->plan);
	if (!err)
		err = show_limits(planning->state, planning->settings, planning->limits);
	if (err == -ENOENT && name)
		failure_set(&planning->failure, "`sidestep plan` lists them",
			    "there is no certificate called %s", name);
	else if (err)
		state_explain(planning->state, err, &planning->failure);
}

int verb_plan(const struct arguments *arguments, const struct settings *settings)
{
	struct planning planning = {.arguments = arguments,
				    .settings = settings,
				    .plan = json_array(),
				    .limits = json_array(),
				    .attempts = arguments->name ? json_array() : NULL};
	int status = EXIT_DONE;

	if (!state_open(&planning.state, settings->paths, &planning.failure)) {
		if (!rebuild(planning.state, settings->paths, &planning.failure))
			make_plan(&planning);
		state_free(planning.state);
	}
	if (failure_is_set(&planning.failure)) {
		status = output_fatal(&planning.failure);
	} else {
		if (!json_array_size(planning.plan))
			output_line("There are no certificates to renew.");
		output_document(json_pack("{s:b, s:O, s:O, s:O*}", "ok", 1, "plan", planning.plan,
					  "limits", planning.limits, "attempts",
					  planning.attempts));
	}
	json_decref(planning.attempts);
	json_decref(planning.limits);
	json_decref(planning.plan);
	failure_done(&planning.failure);
	return status;
}
