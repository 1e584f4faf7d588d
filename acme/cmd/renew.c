/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `sidestep renew`: all that is due, once. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "acme/config/arguments.h"
#include "acme/renewal/engine.h"
#include "acme/util/failure.h"
#include "acme/net/loop.h"
#include "acme/util/output.h"
#include "acme/renewal/agent.h"
#include "acme/store/state.h"
#include "acme/cmd/verbs.h"
#include "acme/renewal/ari_poll.h"

struct renewing {
	struct renewals renewals;
	struct timer begin;
	bool is_limited;
	struct failure failure;
};

static void on_idle(void *context)
{
	struct renewing *renewing = context;

	loop_stop(renewing->renewals.net.loop);
}

/* --- which ------------------------------------------------------------------------------------ */

/* "2026-11-26", or with the time, "2026-11-26T12:00:00Z"; 0: it is neither. */
static int64_t read_moment(const char *text)
{
	struct tm utc = {0};
	const char *rest = strptime(text, "%Y-%m-%d", &utc);

	if (rest && *rest == 'T')
		rest = strptime(rest, "T%H:%M:%SZ", &utc);
	return rest && !*rest ? timegm(&utc) : 0;
}

static int64_t take_moment(const char *option, const char *text, struct failure *failure)
{
	int64_t moment_s = text ? read_moment(text) : 0;

	if (text && moment_s <= 0)
		failure_set(failure, "write it as 2026-11-26 or 2026-11-26T12:00:00Z",
			    "%s takes a date, not '%s'", option, text);
	return moment_s;
}

/*
 * Make due what is to be renewed in any case: everything, or, most urgent, what was issued at some time:
 * a CA must revoke it.
 */
static void force(struct renewals *renewals, struct failure *failure)
{
	const struct arguments *arguments = renewals->arguments;
	const struct state_filter filter = {
		.issued_after_s = take_moment("--issued-after", arguments->issued_after, failure),
		.issued_before_s =
			take_moment("--issued-before", arguments->issued_before, failure),
	};
	bool is_some = arguments->issued_after || arguments->issued_before;
	int64_t count;
	int error;

	if (failure_is_set(failure))
		return;
	error = state_mark_due(renewals->state, &filter, time(NULL),
			       is_some ? STATE_URGENT : STATE_NORMAL, &count);
	if (error)
		state_explain(renewals->state, error, failure);
}

/* Take the one that is named, if it is due or forced. */
static void take_named(struct renewals *renewals, struct failure *failure)
{
	const struct arguments *arguments = renewals->arguments;
	struct state_lineage lineage;
	int error;

	error = state_lineage_find(renewals->state, arguments->cert_name, &lineage);
	if (error == -ENOENT)
		failure_set(failure, "`sidestep certificates` lists them",
			    "there is no certificate called %s", arguments->cert_name);
	else if (error)
		state_explain(renewals->state, error, failure);
	if (error)
		return;
	if (arguments->force_renewal || lineage.in_flight ||
	    (lineage.issue_at_s && lineage.issue_at_s <= time(NULL)))
		engine_take(renewals->engine, lineage.id, failure);
	state_lineage_done(&lineage);
}

static void take(struct renewing *renewing)
{
	struct renewals *renewals = &renewing->renewals;

	if (renewals->arguments->cert_name) {
		take_named(renewals, &renewing->failure);
	} else {
		if (renewals->arguments->force_renewal)
			force(renewals, &renewing->failure);
		if (!failure_is_set(&renewing->failure))
			engine_take_due(renewals->engine, &renewing->failure);
	}
	if (failure_is_set(&renewing->failure) || !engine_count(renewals->engine))
		loop_stop(renewals->net.loop);
}

/* The CAs have said what they want renewed: now it is known what is due. */
static void on_asked(void *context)
{
	take(context);
}

static void start(void *context)
{
	struct renewing *renewing = context;

	if (!windows_ask_due(renewing->renewals.windows))
		take(renewing);
}

/* --- the verb --------------------------------------------------------------------------------- */

static int report(const struct renewing *renewing)
{
	const struct renewals *renewals = &renewing->renewals;
	const struct failure *failure = &renewing->failure;
	bool ok = !renewals->failed && !failure_is_set(failure);

	if (failure_is_set(failure))
		output_failure(NULL, failure);
	else if (!json_array_size(renewals->results))
		output_line(
			renewing->is_limited
				? "Nothing can be ordered now: `sidestep plan` shows the CA's limits."
				: "No certificate is due.");
	else
		output_line("%zu renewed, %zu failed, %zu put off as the CA asks.",
			    renewals->renewed, renewals->failed, renewals->postponed);
	output_document(json_pack(
		"{s:b, s:I, s:I, s:I, s:O, s:o*}", "ok", ok, "renewed",
		(json_int_t)renewals->renewed, "failed", (json_int_t)renewals->failed, "postponed",
		(json_int_t)renewals->postponed, "results", renewals->results, "error",
		failure_is_set(failure) ? failure_to_json(failure) : NULL));
	return ok ? EXIT_DONE : EXIT_FAILED;
}

int verb_renew(const struct arguments *arguments)
{
	struct renewing renewing = {.renewals = {.arguments = arguments,
						 .results = json_array(),
						 .idle = on_idle,
						 .asked = on_asked}};
	int status;

	renewing.renewals.context = &renewing;
	if (!renewals_open(&renewing.renewals, &renewing.failure)) {
		loop_timer_start(renewing.renewals.net.loop, &renewing.begin, 0, start, &renewing);
		net_run(&renewing.renewals.net, &renewing.failure);
		loop_timer_stop(renewing.renewals.net.loop, &renewing.begin);
		renewing.is_limited = engine_is_limited(renewing.renewals.engine);
		renewals_close(&renewing.renewals);
	}
	status = report(&renewing);
	json_decref(renewing.renewals.results);
	failure_done(&renewing.failure);
	return status;
}
