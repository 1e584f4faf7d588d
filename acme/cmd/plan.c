// SPDX-License-Identifier: GPL-3.0-or-later
/* `sidestep plan`: when each certificate is due, and what is left of the CAs' rate limits. */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "acme/cmd/select.h"
#include "acme/cmd/show.h"
#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/renewal/scheduler.h"
#include "acme/util/failure.h"
#include "acme/renewal/rebuild.h"
#include "acme/util/json.h"
#include "acme/util/output.h"
#include "acme/util/table.h"
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

struct planning {
	const struct arguments *arguments;
	const struct settings *settings;
	struct selection selection;
	struct state *state;
	struct table *table;
	json_t *plan, *limits;
	json_t *attempts; /* of one certificate; NULL: show all certificates */
	struct failure failure;
};

/* What came of it last: failures in a row, or the present certificate's date. */
static struct show_moment last_event(const struct state_lineage *lineage)
{
	struct show_moment last = {"-"}, date;

	if (lineage->failures) {
		snprintf(last.text, sizeof(last.text), "%u failed", lineage->failures);
	} else if (lineage->not_before_s) {
		date = show_date(lineage->not_before_s);
		snprintf(last.text, sizeof(last.text), "ok %.10s", date.text);
	}
	return last;
}

static int add_row(struct planning *planning, const struct state_lineage *lineage)
{
	struct show_moment when = {"-"}, last = last_event(lineage);
	const char *reason = lineage->status_reason;
	char why[1024], ca[SHOW_CA_SIZE];

	if (lineage->issue_at_s)
		when = show_when(lineage->issue_at_s, clock_now_s());
	snprintf(why, sizeof(why), "%s%s%s%s", reason ? reason : lineage_reason(lineage),
		 lineage->deploy_failure ? "; its hooks: " : "",
		 lineage->deploy_failure ? lineage->deploy_failure : "",
		 lineage->refused_generation && lineage->deploy_failure ? " (refused)" : "");
	show_ca(ca, planning->settings, lineage->ca);
	return table_add(planning->table, (const char *const[]){when.text, lineage->spec.name,
								state_status_name(lineage->status),
								why, ca, last.text});
}

static int show_lineage(void *context, const struct state_lineage *lineage)
{
	struct planning *planning = context;
	char *identifiers;
	int err;

	if (!select_has(&planning->selection, lineage))
		return 0;
	err = add_row(planning, lineage);
	if (err)
		return err;
	identifiers = string_list_join(&lineage->spec.identifiers, ' ');
	json_array_append_new(
		planning->plan,
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s?, s:s?, s:s?}", "name",
			  lineage->spec.name, "state", state_status_name(lineage->status),
			  "identifiers", identifiers, "ca", lineage->ca, "tenant",
			  lineage->spec.tenant ? lineage->spec.tenant : "", "at",
			  (json_int_t)lineage->issue_at_s, "not_after",
			  (json_int_t)lineage->not_after_s, "failures",
			  (json_int_t)lineage->failures, "reason", lineage_reason(lineage),
			  "last_failure", lineage->last_failure, "status_reason",
			  lineage->status_reason, "deploy_failure", lineage->deploy_failure));
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
static int show_one(struct planning *planning, const char *name)
{
	struct state_lineage lineage;
	int err = state_lineage_find(planning->state, name, &lineage);

	if (err)
		return err;
	err = show_lineage(planning, &lineage);
	table_print(planning->table);
	if (lineage.status == STATE_PAUSED)
		output_line("  Paused until you act: %s", lineage.status_reason);
	if (lineage.deploy_failure)
		output_line("  Its hooks: %s", lineage.deploy_failure);
	if (!err)
		err = state_attempts(planning->state, lineage.id, show_attempt, planning->attempts);
	state_lineage_done(&lineage);
	return err;
}

/* --- rate limits of the CAs ------------------------------------------------------------------- */

struct authorities {
	const struct settings *settings;
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
	char ca[SHOW_CA_SIZE];
	json_t *limit = scheduler_limits_to_json(authorities->scheduler, server, now_s);

	hours = json_number(limit, "window") / 3600;
	show_ca(ca, authorities->settings, server);
	if (json_number(limit, "held_until"))
		output_line("%s asks to wait until %s", ca,
			    moment_text(json_number(limit, "held_until"), now_s).text);
	if (json_number(limit, "orders_limit"))
		output_line("%s: %lld of %lld orders in %lld hour%s are left; the next at %s", ca,
			    (long long)json_number(limit, "left"),
			    (long long)json_number(limit, "orders_limit"), (long long)hours,
			    hours == 1 ? "" : "s",
			    moment_text(json_number(limit, "next"), now_s).text);
	if (json_number(limit, "held_until") || json_number(limit, "orders_limit"))
		json_array_append(authorities->limits, limit);
	json_decref(limit);
}

static int show_limits(struct state *state, const struct settings *settings, json_t *limits)
{
	struct authorities authorities = {
		.settings = settings, .servers = json_array(), .limits = limits};
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

static void make_plan(struct planning *planning)
{
	const char *name = planning->arguments->name;
	bool is_filtered = select_is_some(&planning->selection);
	struct failure wrong = {0};
	int err;

	if (reconcile(planning->state, planning->settings, &wrong))
		output_failure(NULL, &wrong);
	failure_done(&wrong);
	err = name ? show_one(planning, name)
		   : state_plan(planning->state, FOREVER_S, is_filtered ? INT32_MAX : SHOWN_MAX,
				show_lineage, planning);
	if (!name)
		table_print(planning->table);
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
	static const struct table_column columns[] = {{"WHEN UTC", 0}, {"NAME", 16}, {"STATE", 0},
						      {"WHY", 8},      {"CA", 8},    {"LAST", 0}};
	int status = EXIT_DONE;

	planning.table = table_new(columns, sizeof(columns) / sizeof(*columns));
	if (!planning.table)
		failure_set_errno(&planning.failure, ENOMEM, "listing the certificates");
	if (!failure_is_set(&planning.failure) &&
	    !select_begin(&planning.selection, arguments, settings, &planning.failure) &&
	    !state_open(&planning.state, settings->paths, &planning.failure)) {
		if (!rebuild(planning.state, settings->paths, &planning.failure))
			make_plan(&planning);
		state_free(planning.state);
	}
	if (failure_is_set(&planning.failure)) {
		status = output_fatal(&planning.failure);
	} else {
		if (!json_array_size(planning.plan))
			output_line(select_is_some(&planning.selection)
					    ? "There are no such certificates."
					    : "There are no certificates to renew.");
		output_document(json_pack("{s:b, s:O, s:O, s:O*}", "ok", 1, "plan", planning.plan,
					  "limits", planning.limits, "attempts",
					  planning.attempts));
	}
	table_free(planning.table);
	json_decref(planning.attempts);
	json_decref(planning.limits);
	json_decref(planning.plan);
	failure_done(&planning.failure);
	return status;
}
