// SPDX-License-Identifier: GPL-3.0-or-later
/* `sidestep renew`: renews once everything that is due. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/renewal/engine.h"
#include "acme/util/failure.h"
#include "acme/net/loop.h"
#include "acme/util/output.h"
#include "acme/renewal/agent.h"
#include "acme/store/state.h"
#include "acme/cmd/verbs.h"
#include "acme/renewal/ari_poll.h"
#include "acme/renewal/dry_run.h"
#include "common/clock.h"

struct renewing {
	const struct arguments *arguments;
	struct agent agent;
	struct timer begin;
	bool has_begun;
	bool is_limited;
	struct failure failure;
};

static void on_renew_idle(void *context)
{
	struct renewing *renewing = context;

	loop_stop(renewing->agent.net.loop);
}

/* --- which ------------------------------------------------------------------------------------ */

/* Read "2026-11-26" or "2026-11-26T12:00:00Z" as Unix time; 0: it is neither. */
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
 * --force-renewal: make everything due; or, with --issued-after or --issued-before, what was issued
 * then, as urgent, since a CA is about to revoke it.
 */
static void mark_forced(struct agent *agent, const struct arguments *arguments,
			struct failure *failure)
{
	const struct state_filter filter = {
		.issued_after_s = take_moment("--issued-after", arguments->issued_after, failure),
		.issued_before_s =
			take_moment("--issued-before", arguments->issued_before, failure),
	};
	bool is_some = arguments->issued_after || arguments->issued_before;
	int64_t count;
	int err;

	if (failure_is_set(failure))
		return;
	err = state_mark_due(agent->state, &filter, is_some ? STATE_URGENT : STATE_NORMAL, &count);
	if (err)
		state_explain(agent->state, err, failure);
}

/* Take the certificate of --cert-name, if it is due or --force-renewal is given. */
static void take_named(struct agent *agent, const char *name, struct failure *failure)
{
	struct state_lineage lineage;
	int err;

	err = state_lineage_find(agent->state, name, &lineage);
	if (err == -ENOENT)
		failure_set(failure, "`sidestep certificates` lists them",
			    "there is no certificate called %s", name);
	else if (err)
		state_explain(agent->state, err, failure);
	if (err)
		return;
	if (agent->settings->force_renewal || lineage.status == STATE_ORDERING ||
	    (lineage.issue_at_s && lineage.issue_at_s <= clock_now_s()))
		engine_take(agent->engine, lineage.id, failure);
	state_lineage_done(&lineage);
}

static void renew_take(struct renewing *renewing)
{
	struct agent *agent = &renewing->agent;

	if (renewing->arguments->cert_name) {
		take_named(agent, renewing->arguments->cert_name, &renewing->failure);
	} else {
		if (agent->settings->force_renewal && !renewing->has_begun)
			mark_forced(agent, renewing->arguments, &renewing->failure);
		if (!failure_is_set(&renewing->failure))
			engine_take_due(agent->engine, &renewing->failure);
	}
	renewing->has_begun = true;
	if (failure_is_set(&renewing->failure))
		loop_stop(agent->net.loop);
	else if (engine_is_idle(agent->engine))
		agent_finish(agent);
}

/*
 * The CAs have answered the ARI polling, or take too long: now the state knows what is due.  Answers
 * that come later may add to it.
 */
static void on_renew_polled(void *context)
{
	renew_take(context);
}

/* State and disk have been compared. */
static void on_renew_compared(void *context)
{
	struct renewing *renewing = context;

	if (agent_is_damaged(&renewing->agent, &renewing->failure))
		loop_stop(renewing->agent.net.loop);
	/* What somebody asks for does not wait for windows. */
	else if (renewing->arguments->cert_name || !ari_poll_start(renewing->agent.ari_poll))
		renew_take(renewing);
}

static void renew_start(void *context)
{
	struct renewing *renewing = context;

	if (!agent_compare(&renewing->agent, false))
		on_renew_compared(renewing);
}

/* --- the verb --------------------------------------------------------------------------------- */

static int renew_report(const struct renewing *renewing)
{
	const struct agent *agent = &renewing->agent;
	const struct failure *failure = &renewing->failure;
	bool ok = !agent->failed && !agent->has_hook_failed && !failure_is_set(failure);

	if (failure_is_set(failure))
		output_failure(NULL, failure);
	else if (!json_array_size(agent->results))
		output_line(
			renewing->is_limited
				? "No order: the CA's rate limits allow none now (`sidestep plan`)."
				: "No certificate is due.");
	else
		output_line(agent->settings->dry_run
				    ? "Dry run: %zu would be renewed, %zu failed, %zu put off as "
				      "the CA asks."
				    : "%zu renewed, %zu failed, %zu put off as the CA asks.",
			    agent->renewed, agent->failed, agent->postponed);
	if (agent->undeployed)
		output_line("The hooks of %zu failed: they run again later (`sidestep plan`).",
			    agent->undeployed);
	output_document(json_pack("{s:b, s:b, s:I, s:I, s:I, s:I, s:O, s:o*}", "ok", ok, "dry_run",
				  agent->settings->dry_run, "renewed", (json_int_t)agent->renewed,
				  "failed", (json_int_t)agent->failed, "postponed",
				  (json_int_t)agent->postponed, "undeployed",
				  (json_int_t)agent->undeployed, "results", agent->results, "error",
				  failure_is_set(failure) ? failure_to_json(failure) : NULL));
	return ok ? EXIT_DONE : EXIT_FAILED;
}

int verb_renew(const struct arguments *arguments, const struct settings *settings)
{
	struct renewing renewing = {.arguments = arguments,
				    .agent = {.settings = settings,
					      .is_once = true,
					      .results = json_array(),
					      .idle = on_renew_idle,
					      .compared = on_renew_compared,
					      .polled = on_renew_polled}};
	int status;

	renewing.agent.context = &renewing;
	if (!agent_open(&renewing.agent, &renewing.failure)) {
		if (settings->dry_run)
			dry_run_announce(renewing.agent.state);
		loop_timer_start(renewing.agent.net.loop, &renewing.begin, 0, renew_start,
				 &renewing);
		net_run(&renewing.agent.net, &renewing.failure);
		loop_timer_stop(renewing.agent.net.loop, &renewing.begin);
		renewing.is_limited = engine_is_limited(renewing.agent.engine);
		agent_close(&renewing.agent);
	}
	status = renew_report(&renewing);
	json_decref(renewing.agent.results);
	failure_done(&renewing.failure);
	return status;
}
