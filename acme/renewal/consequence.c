// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/consequence.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "acme/protocol/problem.h"
#include "acme/util/failure.h"
#include "acme/util/json.h"
#include "acme/renewal/certificate_facts.h"
#include "acme/renewal/renewal_time.h"
#include "acme/store/state.h"
#include "acme/store/store.h"
#include "common/clock.h"
#include "common/random.h"

#define MINUTE_S INT64_C(60)
#define HOUR_S   (60 * MINUTE_S)
#define DAY_S    CONSEQUENCE_WAIT_MAX_S

/* A limit without a Retry-After: RFC 8555 section 6.6 asks for one, but not all give it. */
#define LIMIT_WAIT_S HOUR_S

/* A wait above this is long: a certificate that is about to expire does not sit it out. */
#define LONG_WAIT_S (10 * MINUTE_S)

/* What the CA said, as far as it matters. */
enum said {
	SAID_NOTHING, /* or what is no more than its reason */
	SAID_WAIT, /* Retry-After, or a limit */
	SAID_VISIT, /* an operator must act first */
	SAID_ENDED, /* the order is over */
};

#define ANY (-1)

/*
 * The table; the first match counts.  Reasons for what is not plain:
 * - What a CA says of one name (its limit, its pause) holds back this name only.  A CA that wants a
 *   visit is asked again once a day, since nobody tells us that the operator has been there.
 * - An order that the CA ended with an error of its own is the name's: a CA that cannot validate one
 *   name can validate others.
 * - A CA that is down is probed by one order at a time; the others do not even begin.
 */
static const struct rule {
	int owner, said;
	struct consequence consequence;
} rules[] = {
	/* clang-format off */
	{FAILURE_OF_NAME, SAID_WAIT, {CONSEQUENCE_LINEAGE, .counts = true, .is_asked = true,
				      .own_wait_s = LIMIT_WAIT_S, .next_ca_after = CONSEQUENCE_WAITS_MAX}},
	{FAILURE_OF_NAME, SAID_VISIT, {CONSEQUENCE_LINEAGE, .counts = true,
				       .own_wait_s = DAY_S, .next_ca_after = 1}},
	{FAILURE_OF_NAME, ANY, {CONSEQUENCE_LINEAGE, .counts = true, .next_ca_after = 1}},

	{FAILURE_OF_CA, SAID_ENDED, {CONSEQUENCE_LINEAGE, .counts = true, .next_ca_after = 2}},
	{FAILURE_OF_CA, SAID_WAIT, {CONSEQUENCE_CA, .is_asked = true, .keeps_order = true,
				    .first_wait_s = MINUTE_S, .last_wait_s = 10 * MINUTE_S,
				    .next_ca_after = CONSEQUENCE_WAITS_MAX}},
	{FAILURE_OF_CA, ANY, {CONSEQUENCE_CA, .keeps_order = true,
			      .first_wait_s = MINUTE_S, .last_wait_s = 10 * MINUTE_S,
			      .next_ca_after = CONSEQUENCE_WAITS_MAX}},

	{FAILURE_OF_ACCOUNT, SAID_WAIT, {CONSEQUENCE_ACCOUNT, .is_asked = true,
					 .own_wait_s = LIMIT_WAIT_S,
					 .first_wait_s = MINUTE_S, .last_wait_s = HOUR_S,
					 .next_ca_after = CONSEQUENCE_WAITS_MAX}},
	{FAILURE_OF_ACCOUNT, SAID_VISIT, {CONSEQUENCE_ACCOUNT,
					  .first_wait_s = HOUR_S, .last_wait_s = DAY_S,
					  .next_ca_after = 1}},
	{FAILURE_OF_ACCOUNT, ANY, {CONSEQUENCE_ACCOUNT,
				   .first_wait_s = MINUTE_S, .last_wait_s = HOUR_S,
				   .next_ca_after = CONSEQUENCE_WAITS_MAX}},

	{FAILURE_OF_HOST, ANY, {CONSEQUENCE_HOST, .keeps_order = true,
				.first_wait_s = MINUTE_S, .last_wait_s = 10 * MINUTE_S,
				.own_wait_s = 10 * MINUTE_S}},
	{FAILURE_OF_STATE, ANY, {CONSEQUENCE_HOST, .keeps_order = true,
				 .first_wait_s = MINUTE_S, .last_wait_s = 10 * MINUTE_S}},
	/* clang-format on */
};

static enum said said_by_ca(const struct failure *failure)
{
	if (problem_is_pause(failure->problem) ||
	    problem_is(failure->problem, "userActionRequired"))
		return SAID_VISIT;
	if (failure->retry_after_s || problem_is(failure->problem, "rateLimited"))
		return SAID_WAIT;
	return failure->ends_order ? SAID_ENDED : SAID_NOTHING;
}

static int64_t sooner_of(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/*
 * The CA has said how long.  Of a limit it has not said whether it is the account's or a name's: so
 * the account's other orders wait for a minute, then for two, and so on.
 */
static void obey(struct consequence *consequence, int64_t wait_s)
{
	consequence->own_wait_s = wait_s;
	if (consequence->waits == CONSEQUENCE_LINEAGE)
		return;
	if (consequence->waits == CONSEQUENCE_CA || wait_s < consequence->first_wait_s)
		consequence->first_wait_s = wait_s;
	if (consequence->waits == CONSEQUENCE_ACCOUNT || wait_s > consequence->last_wait_s)
		consequence->last_wait_s = wait_s;
}

void consequence_of(struct consequence *ret_consequence, const struct failure *failure)
{
	const enum said said = said_by_ca(failure);
	const struct rule *rule = rules;

	while (rule->owner != (int)failure->owner || (rule->said != ANY && rule->said != (int)said))
		rule++;
	*ret_consequence = rule->consequence;
	if (failure->ends_order)
		ret_consequence->keeps_order = false;
	if (ret_consequence->is_asked && failure->retry_after_s)
		obey(ret_consequence, sooner_of(failure->retry_after_s, CONSEQUENCE_WAIT_MAX_S));
	/* Behind the others, so that another one is the next probe. */
	if (ret_consequence->waits != CONSEQUENCE_LINEAGE && !ret_consequence->own_wait_s)
		ret_consequence->own_wait_s = 2 * ret_consequence->first_wait_s;
}

int64_t consequence_wait_s(const struct consequence *consequence, unsigned int failures)
{
	int64_t wait_s = consequence->first_wait_s;

	/* What a CA asks for is obeyed once as it is; then it is a minute at least. */
	if (failures > 1 && wait_s < MINUTE_S)
		wait_s = MINUTE_S;
	while (--failures && wait_s < consequence->last_wait_s)
		wait_s = sooner_of(2 * wait_s, consequence->last_wait_s);
	return wait_s;
}

bool consequence_changes_ca(const struct consequence *consequence,
			    const struct state_lineage *lineage, unsigned int waits, int64_t wait_s,
			    int64_t now_s)
{
	int64_t life_s = lineage->not_after_s - lineage->not_before_s;
	bool is_late = lineage->not_after_s - now_s < life_s / 3 || life_s <= 0;

	if (!consequence->next_ca_after || !waits)
		return false;
	return waits >= consequence->next_ca_after ||
	       (is_late && (waits > 1 || wait_s >= LONG_WAIT_S));
}

void consequence_of_success(struct state *state, const struct state_lineage *lineage,
			    const struct stored *stored, struct failure *failure)
{
	struct state_certificate certificate;
	int err;

	certificate_facts_fill(&certificate, stored, lineage->spec.settings.renew_before);
	err = state_order_succeeded(state, lineage->id, &certificate, clock_now_s());
	if (err)
		state_explain(state, err, failure);
}

int consequence_of_found(struct state *state, int64_t lineage, const struct stored *stored)
{
	struct state_certificate certificate;

	certificate_facts_fill(&certificate, stored, NULL);
	return state_set_certificate(state, lineage, &certificate);
}

char *consequence_next_ca(const struct state_lineage *lineage)
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

/* The lineage has failed, and is tried again at `at_s`. */
static int fail_lineage(struct state *state, const struct state_lineage *lineage,
			const struct failure *failure, bool changes_ca, int64_t at_s, int64_t now_s)
{
	char *ca = changes_ca ? consequence_next_ca(lineage) : NULL;
	const struct state_failure description = {
		.text = failure->cause,
		.problem = json_read_string(failure->problem, "type"),
		.next_attempt_s = at_s,
		.next_ca = ca,
	};
	int err = state_order_failed(state, lineage->id, &description, now_s);

	free(ca);
	return err;
}

/*
 * When the lineage is tried again.  Not within an hour when a certificate was issued in vain: by a clock
 * that is ahead each one has expired already, and CAs issue few for the same names.
 */
static int64_t next_attempt_s(const struct consequence *consequence, const struct failure *failure,
			      const struct state_lineage *lineage, bool changes_ca, int64_t now_s)
{
	int64_t at_s;

	/* At another CA the wait is not the one that this CA asks for. */
	if (consequence->own_wait_s && !changes_ca)
		at_s = now_s + consequence->own_wait_s;
	else
		at_s = renewal_time_retry(now_s, lineage->failures + 1, 0, lineage->not_after_s,
					  random_unit());
	return failure->has_issued && at_s < now_s + HOUR_S ? now_s + HOUR_S : at_s;
}

int consequence_of_failure(struct state *state, const struct state_lineage *lineage,
			   const struct failure *failure, enum consequence_order order,
			   struct consequence_result *ret_result)
{
	const int64_t now_s = clock_now_s();
	struct consequence consequence;
	bool changes_ca;

	consequence_of(&consequence, failure);
	changes_ca = consequence.counts && lineage->spec.cas.count > 1 &&
		     consequence_changes_ca(&consequence, lineage, lineage->failures + 1,
					    consequence.own_wait_s, now_s);
	*ret_result = (struct consequence_result){
		.is_postponed = consequence.is_asked,
		.keeps_order = consequence.keeps_order && order == CONSEQUENCE_ORDER_OPEN,
		.next_attempt_s = next_attempt_s(&consequence, failure, lineage, changes_ca, now_s),
	};
	if (consequence.counts)
		return fail_lineage(state, lineage, failure, changes_ca, ret_result->next_attempt_s,
				    now_s);
	if (ret_result->keeps_order)
		return state_postpone(state, lineage->id, ret_result->next_attempt_s, NULL,
				      failure->cause);
	if (order == CONSEQUENCE_NO_ORDER && consequence.waits != CONSEQUENCE_HOST &&
	    !consequence.is_asked)
		return 0;
	return postpone_lineage(state, lineage, ret_result->next_attempt_s, failure->cause);
}
