// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/order_outcome.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "acme/protocol/problem.h"
#include "acme/util/failure.h"
#include "acme/util/json.h"
#include "acme/renewal/renewal_time.h"
#include "acme/store/state.h"
#include "acme/store/store.h"
#include "common/clock.h"
#include "common/random.h"

/* A limit without a Retry-After: RFC 8555 section 6.6 asks for one, but not all give it. */
#define LIMIT_PAUSE_S 3600

static struct state_certificate describe_certificate(const struct stored *stored)
{
	const struct renewal_facts facts = {
		.now_s = clock_now_s(),
		.not_before_s = stored->certificate.not_before_s,
		.not_after_s = stored->certificate.not_after_s,
	};
	const char *ari_id = stored->certificate.ari_id;

	return (struct state_certificate){
		.server = stored->server,
		.generation = stored->generation,
		.ari_id = *ari_id ? ari_id : NULL,
		.check_at_s = *ari_id ? facts.now_s : 0,
		.not_before_s = facts.not_before_s,
		.not_after_s = facts.not_after_s,
		.renew_at_s = renewal_time_next(&facts, random_unit()),
	};
}

void order_outcome_success(struct state *state, const struct state_lineage *lineage,
			   const struct stored *stored, struct failure *failure)
{
	const struct state_certificate certificate = describe_certificate(stored);
	int err = state_order_succeeded(state, lineage->id, &certificate, clock_now_s());

	if (err)
		state_explain(state, err, failure);
}

int order_outcome_found(struct state *state, int64_t lineage, const struct stored *stored)
{
	const struct state_certificate certificate = describe_certificate(stored);

	return state_set_certificate(state, lineage, &certificate);
}

char *order_outcome_next_ca(const struct state_lineage *lineage)
{
	const struct string_list *cas = &lineage->spec.cas;
	size_t next = string_list_find(cas, lineage->ca) + 1;

	if (cas->count < 2)
		return NULL;
	/* Behind the last, and when the present one is none of them any more, the first. */
	return strdup(cas->items[next < cas->count ? next : 0]);
}

/* The order is void, or never was: the lineage is as due as before, but not yet. */
static int postpone_lineage(struct state *state, const struct state_lineage *lineage,
			    int64_t until_s, const char *reason)
{
	int err = state_order_drop(state, lineage->id);

	if (err && err != -ENOENT)
		return err;
	return state_postpone(state, lineage->id, until_s, NULL, reason);
}

int order_outcome_failure(struct state *state, const struct state_lineage *lineage,
			  const struct failure *failure, struct order_outcome *ret_outcome)
{
	struct order_outcome outcome = {0};
	struct state_failure description = {
		.text = failure->cause,
		.problem = json_read_string(failure->problem, "type"),
	};
	int64_t now_s = clock_now_s(), wait_s = failure->retry_after_s;
	char *ca = NULL;
	int err;

	if (!wait_s && problem_is(failure->problem, "rateLimited"))
		wait_s = LIMIT_PAUSE_S;
	if (problem_is_pause(failure->problem)) {
		err = state_order_failed(state, lineage->id, &description, now_s);
		if (!err)
			err = state_pause(state, lineage->id, failure->cause);
	} else if (wait_s) {
		outcome.is_postponed = true;
		outcome.next_attempt_s = now_s + wait_s;
		err = postpone_lineage(state, lineage, outcome.next_attempt_s, failure->cause);
	} else {
		ca = order_outcome_next_ca(lineage);
		description.next_ca = ca;
		description.next_attempt_s = outcome.next_attempt_s = renewal_time_retry(
			now_s, lineage->failures + 1, 0, lineage->not_after_s, random_unit());
		err = state_order_failed(state, lineage->id, &description, now_s);
		free(ca);
	}
	*ret_outcome = outcome;
	return err;
}
