/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `sidestep renew`: all that is due, once. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "acme/arguments.h"
#include "acme/engine.h"
#include "acme/failure.h"
#include "acme/loop.h"
#include "acme/output.h"
#include "acme/renewals.h"
#include "acme/state.h"
#include "acme/verbs.h"

static void on_idle(void *context)
{
	struct renewals *renewals = context;

	loop_stop(renewals->net.loop);
}

/* --- which ------------------------------------------------------------------------------------ */

struct chosen {
	int64_t *ids;
	size_t count, room;
};

static int add(void *context, const struct state_lineage *lineage)
{
	struct chosen *chosen = context;
	int64_t *ids;

	if (lineage->retired)
		return 0;
	if (chosen->count == chosen->room) {
		chosen->room = chosen->room ? 2 * chosen->room : 64;
		ids = reallocarray(chosen->ids, chosen->room, sizeof(*ids));
		if (!ids)
			return -ENOMEM;
		chosen->ids = ids;
	}
	chosen->ids[chosen->count++] = lineage->id;
	return 0;
}

/* Make everything due, so that it is taken with the rest: --force-renewal. */
static void force_all(struct renewals *renewals, struct failure *failure)
{
	struct chosen chosen = {0};
	size_t i;
	int error;

	error = state_lineages(renewals->state, add, &chosen);
	if (!error)
		error = state_begin(renewals->state);
	for (i = 0; !error && i < chosen.count; i++)
		error = state_set_renewal(renewals->state, chosen.ids[i], 0, STATE_NORMAL);
	if (!error)
		error = state_commit(renewals->state);
	free(chosen.ids);
	if (error)
		state_explain(renewals->state, error, failure);
}

/* Take the one that is named, if it is due or forced; *ret_taken tells. */
static void take_named(struct renewals *renewals, bool *ret_taken, struct failure *failure)
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
	*ret_taken = arguments->force_renewal || lineage.in_flight ||
		     (lineage.issue_at_s && lineage.issue_at_s <= time(NULL));
	if (*ret_taken)
		engine_take(renewals->engine, lineage.id, failure);
	state_lineage_done(&lineage);
}

static void take(struct renewals *renewals, bool *ret_taken, struct failure *failure)
{
	if (renewals->arguments->cert_name) {
		take_named(renewals, ret_taken, failure);
		return;
	}
	if (renewals->arguments->force_renewal)
		force_all(renewals, failure);
	if (!failure_is_set(failure))
		engine_take_due(renewals->engine, failure);
	*ret_taken = engine_count(renewals->engine) || renewals->renewed || renewals->failed ||
		     renewals->postponed;
}

/* --- the verb --------------------------------------------------------------------------------- */

static int report(const struct renewals *renewals, bool taken, const struct failure *failure)
{
	bool ok = !renewals->failed && !failure_is_set(failure);

	if (failure_is_set(failure))
		output_failure(NULL, failure);
	else if (!taken)
		output_line("No certificate is due.");
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
	struct renewals renewals = {
		.arguments = arguments, .results = json_array(), .idle = on_idle};
	struct failure failure = {0};
	bool taken = false;
	int status;

	renewals.context = &renewals;
	if (!renewals_open(&renewals, &failure)) {
		take(&renewals, &taken, &failure);
		if (taken && !failure_is_set(&failure))
			net_run(&renewals.net, &failure);
		renewals_close(&renewals);
	}
	status = report(&renewals, taken, &failure);
	json_decref(renewals.results);
	failure_done(&failure);
	return status;
}
