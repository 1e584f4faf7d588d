// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/compare.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/net/loop.h"
#include "acme/renewal/certificate_facts.h"
#include "acme/store/state.h"
#include "acme/store/state_deploy.h"
#include "acme/store/store.h"
#include "acme/store/store_examine.h"
#include "acme/store/store_history.h"
#include "acme/store/store_wanted.h"
#include "acme/util/failure.h"
#include "common/clock.h"

#define REST_NS \
	(UINT64_C(3600) * CLOCK_NS_PER_S) /* between two, when the state cannot be written */
#define STEP_NS UINT64_C(10000000) /* without a look at the loop */

/* When the last one ended, kept like the fingerprint of a file. */
#define COMPARED_AT "compared-at"

struct compare {
	const struct compare_options *options;
	struct timer timer;
	int64_t id; /* compared last; 0: none yet */
	uint64_t
		rests_until_ns; /* of clock_monotonic_ns(), whether the last one could be noted or not */
};

static void report_found(struct compare *compare, const char *name, struct failure *failure)
{
	if (failure_is_set(failure))
		compare->options->found(compare->options->context, name, failure);
	failure_done(failure);
}

/* 0, -ENOENT and -EAGAIN, when the lineage has changed meanwhile, need no word. */
static void report_state(struct compare *compare, const char *name, int err)
{
	struct failure failure = {0};

	if (!err || err == -ENOENT || err == -EAGAIN)
		return;
	state_explain(compare->options->state, err, &failure);
	report_found(compare, name, &failure);
}

/* --- what is wrong ------------------------------------------------------------------------------ */

static bool is_ordered_by_itself(const struct state_lineage *lineage)
{
	return lineage->status != STATE_PAUSED && lineage->status != STATE_RETIRED;
}

/* Servers that start now have no certificate: the next one is due at once. */
static void order_again(struct compare *compare, const struct state_lineage *lineage,
			const char *fault)
{
	bool is_ordered = is_ordered_by_itself(lineage);
	struct failure failure = {0};
	int err = 0;

	if (is_ordered && (lineage->priority != STATE_URGENT || lineage->renew_at_s))
		err = state_set_renewal(compare->options->state, lineage->id, 0, STATE_URGENT);
	report_state(compare, lineage->spec.name, err);
	if (err)
		return;
	failure_set(&failure,
		    is_ordered
			    ? "nothing, when somebody has removed it on purpose and `sidestep "
			      "delete` is next; else find out what changes the files below archive/"
			    : "`sidestep delete` forgets it; `sidestep renew --force-renewal "
			      "--cert-name` with its name gets a new one",
		    "on the disk, %s%s", fault, is_ordered ? ": a new certificate is ordered" : "");
	report_found(compare, lineage->spec.name, &failure);
}

static void complete_links(struct compare *compare, const struct state_lineage *lineage)
{
	struct failure failure = {0};
	int64_t generation;
	int err =
		store_complete(compare->options->paths, lineage->spec.name, &generation, &failure);

	if (!err)
		failure_set(&failure, NULL, "links in live/%s were missing: they are there again",
			    lineage->spec.name);
	if (err != STORE_BUSY)
		report_found(compare, lineage->spec.name, &failure);
	failure_done(&failure);
}

/* The state follows the disk. */
static void adopt(struct compare *compare, const struct state_lineage *lineage,
		  const struct stored *stored)
{
	struct state *state = compare->options->state;
	struct state_certificate present;
	struct failure failure = {0};
	int err;

	certificate_facts_fill(&present, stored, lineage->spec.settings.renew_before);
	/* A state from before it knew generations: servers use what is there. */
	if (!lineage->generation && lineage->not_after_s == present.not_after_s)
		err = state_set_generation(state, lineage->id, stored->generation, true);
	else
		err = state_deploy_found(state, lineage->id, &present);
	report_state(compare, lineage->spec.name, err);
	if (err || !lineage->generation)
		return;
	failure_set(&failure, NULL,
		    "archive/%s/%" PRId64 " is in use, not %" PRId64
		    " as after the last renewal: the hooks run for it",
		    lineage->spec.name, stored->generation, lineage->generation);
	report_found(compare, lineage->spec.name, &failure);
}

/* --- one at a time ------------------------------------------------------------------------------ */

static void note_wanted(struct compare *compare, const struct state_lineage *lineage)
{
	struct failure failure = {0};
	int err = store_wanted_note(compare->options->paths, &lineage->spec);

	if (!err || err == -ENOENT || err == -EBUSY)
		return;
	failure_set_errno(&failure, -err,
			  "what is wanted cannot be written into archive/%s, where it is restored "
			  "from if the database is lost",
			  lineage->spec.name);
	report_found(compare, lineage->spec.name, &failure);
}

static void compare_whole(struct compare *compare, const struct state_lineage *lineage,
			  const struct stored *stored)
{
	if (stored->generation != lineage->generation ||
	    stored->certificate.not_after_s != lineage->not_after_s)
		adopt(compare, lineage, stored);
	note_wanted(compare, lineage);
}

static void compare_one(struct compare *compare, const struct state_lineage *lineage)
{
	const char *fault = NULL;
	struct stored stored;
	int err = 0;

	/* An order in flight is about to change both. */
	if (lineage->status == STATE_ORDERING)
		return;
	switch (store_examine(&stored, compare->options->paths, lineage->spec.name, &fault, &err)) {
	case STORE_INCOMPLETE:
		complete_links(compare, lineage);
		if (store_read(&stored, compare->options->paths, lineage->spec.name))
			break;
		/* fall through */
	case STORE_WHOLE:
		compare_whole(compare, lineage, &stored);
		stored_done(&stored);
		break;
	case STORE_MISSING:
		/* One that was never issued is no loss. */
		if (lineage->not_after_s)
			order_again(compare, lineage, "the certificate is gone");
		break;
	case STORE_DAMAGED:
		order_again(compare, lineage, fault);
		break;
	case STORE_UNKNOWN:
		break;
	}
}

static void end_pass(struct compare *compare)
{
	char now[32];

	compare->id = 0;
	snprintf(now, sizeof(now), "%" PRId64, clock_now_s());
	report_state(compare, NULL,
		     state_fingerprint_write(compare->options->state, COMPARED_AT, now));
	compare->options->done(compare->options->context);
}

static void on_step(void *context)
{
	const uint64_t began_ns = clock_monotonic_ns();
	struct compare *compare = context;
	struct state_lineage lineage;
	int err;

	do {
		err = state_lineage_next(compare->options->state, compare->id, &lineage);
		if (err)
			break;
		compare->id = lineage.id;
		compare_one(compare, &lineage);
		state_lineage_done(&lineage);
	} while (clock_monotonic_ns() - began_ns < STEP_NS);
	if (!err) {
		loop_timer_start(compare->options->loop, &compare->timer, 1, on_step, compare);
		return;
	}
	if (err == -ENOENT) {
		end_pass(compare);
		return;
	}
	report_state(compare, NULL, err);
	compare->options->done(compare->options->context);
}

/* --- as a whole --------------------------------------------------------------------------------- */

void compare_start(struct compare *compare)
{
	compare->id = 0;
	compare->rests_until_ns = clock_monotonic_ns() + REST_NS;
	loop_timer_start(compare->options->loop, &compare->timer, 0, on_step, compare);
}

bool compare_is_due(struct compare *compare)
{
	int64_t last_s, now_s = clock_now_s();
	char *text;

	if (compare->timer.running || compare->rests_until_ns > clock_monotonic_ns())
		return false;
	if (state_fingerprint_read(compare->options->state, COMPARED_AT, &text))
		return true;
	last_s = strtoll(text, NULL, 10);
	free(text);
	/* A clock that was ahead has written it. */
	return last_s > now_s || now_s - last_s >= COMPARE_PAUSE_S;
}

int compare_new(struct compare **ret_compare, const struct compare_options *options)
{
	struct compare *compare = calloc(1, sizeof(*compare));

	if (!compare)
		return -ENOMEM;
	compare->options = options;
	*ret_compare = compare;
	return 0;
}

void compare_free(struct compare *compare)
{
	if (!compare)
		return;
	loop_timer_stop(compare->options->loop, &compare->timer);
	free(compare);
}
