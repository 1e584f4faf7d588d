// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Let's Encrypt's limits, as it documents them: counts that refill evenly.  They are computed here
 * with code of the model's own, so that a fault in the agent's cannot hide behind the same fault.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/model_internal.h"

#define US_PER_S INT64_C(1000000)
#define HOUR_US  (3600 * US_PER_S)

static const struct limit {
	const char *name;
	int64_t count, window_us;
} by_account = {"orders", 300, 3 * HOUR_US}, by_domain = {"domain", 50, 7 * 24 * HOUR_US},
  by_set = {"set", 5, 7 * 24 * HOUR_US}, by_failure = {"failures", 5, HOUR_US};

/* --- buckets ---------------------------------------------------------------------------------- */

static struct model_bucket *find_bucket(struct model_ca *ca, const char *what)
{
	struct model_bucket *bucket, *next;
	int64_t now_us = model_now(ca) * US_PER_S;

	for (bucket = TAILQ_FIRST(&ca->buckets); bucket; bucket = next) {
		next = TAILQ_NEXT(bucket, link);
		if (strcmp(bucket->what, what) == 0)
			return bucket;
		if (bucket->full_at_us > now_us)
			continue;
		TAILQ_REMOVE(&ca->buckets, bucket, link);
		free(bucket->what);
		free(bucket);
	}
	return NULL;
}

/* Until when nothing is left; 0: something is. */
static int64_t empty_until_us(struct model_ca *ca, const struct limit *limit, const char *what)
{
	const struct model_bucket *bucket = find_bucket(ca, what);
	int64_t now_us = model_now(ca) * US_PER_S;
	int64_t one_us = limit->window_us / limit->count;
	int64_t free_at_us = bucket ? bucket->full_at_us - limit->window_us + one_us : 0;

	return free_at_us > now_us ? free_at_us : 0;
}

static void take(struct model_ca *ca, const struct limit *limit, const char *what)
{
	struct model_bucket *bucket = find_bucket(ca, what);
	int64_t now_us = model_now(ca) * US_PER_S;

	if (!bucket) {
		bucket = calloc(1, sizeof(*bucket));
		if (!bucket)
			abort();
		bucket->what = strdup(what);
		TAILQ_INSERT_TAIL(&ca->buckets, bucket, link);
	}
	if (bucket->full_at_us < now_us)
		bucket->full_at_us = now_us;
	bucket->full_at_us += limit->window_us / limit->count;
}

void model_limits_free(struct model_ca *ca)
{
	struct model_refusal *refusal;
	struct model_bucket *bucket;

	while ((bucket = TAILQ_FIRST(&ca->buckets))) {
		TAILQ_REMOVE(&ca->buckets, bucket, link);
		free(bucket->what);
		free(bucket);
	}
	while ((refusal = TAILQ_FIRST(&ca->refusals))) {
		TAILQ_REMOVE(&ca->refusals, refusal, link);
		free(refusal->what);
		free(refusal);
	}
}

/* --- what is counted by ----------------------------------------------------------------------- */

/* In the simulation every domain is registered below one label. */
static const char *domain_of(const char *name)
{
	const char *last = strrchr(name, '.'), *at;

	for (at = last; at && at > name; at--)
		if (at[-1] == '.')
			return at;
	return name;
}

static void describe_set(char *ret_text, size_t size, const struct model_order *order)
{
	size_t used, i;

	used = (size_t)snprintf(ret_text, size, "%s", by_set.name);
	for (i = 0; i < order->name_count && used < size; i++)
		used += (size_t)snprintf(ret_text + used, size - used, " %s", order->names[i]);
}

/* The beginning of a longer set of names stands for all of it. */
#define WHAT_MAX 8192

/* Names that were issued for together before: their renewal is exempt from two limits. */
bool model_is_renewal(const struct model_order *order)
{
	const struct model_certificate *old;
	size_t i;

	for (old = order->ca->certificates; old; old = old->next) {
		if (old->name_count != order->name_count)
			continue;
		for (i = 0; i < old->name_count; i++)
			if (strcmp(old->names[i], order->names[i]) != 0)
				break;
		if (i == old->name_count)
			return true;
	}
	return false;
}

/* --- refusing --------------------------------------------------------------------------------- */

static struct model_refusal *find_refusal(struct model_ca *ca, const char *what)
{
	struct model_refusal *refusal;

	for (refusal = TAILQ_FIRST(&ca->refusals); refusal; refusal = TAILQ_NEXT(refusal, link))
		if (strcmp(refusal->what, what) == 0)
			return refusal;
	return NULL;
}

/* Whoever asks again before the Retry-After of the last refusal pesters. */
static void note_refusal(struct model_call *call, const char *what, int64_t until_s)
{
	struct model_ca *ca = call->ca;
	struct model_refusal *refusal;

	if (call->request->by_operator)
		return;
	ca->counts.limited++;
	refusal = find_refusal(ca, what);
	if (!refusal) {
		refusal = calloc(1, sizeof(*refusal));
		if (!refusal)
			abort();
		refusal->what = strdup(what);
		TAILQ_INSERT_TAIL(&ca->refusals, refusal, link);
	} else if (model_now(ca) < refusal->until_s) {
		ca->counts.pestered++;
	}
	refusal->until_s = until_s;
}

/* True: the answer is made. */
static bool refuse_if_empty(struct model_call *call, const struct limit *limit, const char *what)
{
	int64_t until_s = empty_until_us(call->ca, limit, what) / US_PER_S + 1;

	if (until_s == 1)
		return false;
	note_refusal(call, what, until_s);
	model_refuse(call, 429, "rateLimited", "too many %s (%lld): %.100s", limit->name,
		     (long long)limit->count, what);
	model_set_retry_after(call->answer, call->ca, RETRY_AFTER_SECONDS,
			      until_s - model_now(call->ca));
	return true;
}

bool model_within_limits(struct model_call *call, const struct model_order *order)
{
	char what[WHAT_MAX];
	size_t i;

	if (call->ca->options.quirks.no_limits || order->is_exempt)
		return true;
	for (i = 0; i < order->name_count; i++) {
		snprintf(what, sizeof(what), "failures %llu %s",
			 (unsigned long long)order->account->id, order->names[i]);
		if (refuse_if_empty(call, &by_failure, what))
			return false;
	}
	describe_set(what, sizeof(what), order);
	if (refuse_if_empty(call, &by_set, what))
		return false;
	if (order->is_renewal)
		return true;
	snprintf(what, sizeof(what), "orders %llu", (unsigned long long)order->account->id);
	if (refuse_if_empty(call, &by_account, what))
		return false;
	for (i = 0; i < order->name_count; i++) {
		snprintf(what, sizeof(what), "domain %s", domain_of(order->names[i]));
		if (refuse_if_empty(call, &by_domain, what))
			return false;
	}
	return true;
}

/* --- counting --------------------------------------------------------------------------------- */

void model_count_order(const struct model_order *order)
{
	char what[64];

	if (order->is_exempt || order->is_renewal)
		return;
	snprintf(what, sizeof(what), "orders %llu", (unsigned long long)order->account->id);
	take(order->ca, &by_account, what);
}

/* At issuance: what was ordered and never issued does not count. */
void model_count_certificate(const struct model_order *order)
{
	char what[WHAT_MAX], last[WHAT_MAX] = "";
	size_t i;

	if (order->is_exempt)
		return;
	describe_set(what, sizeof(what), order);
	take(order->ca, &by_set, what);
	if (order->is_renewal)
		return;
	for (i = 0; i < order->name_count; i++) {
		snprintf(what, sizeof(what), "domain %s", domain_of(order->names[i]));
		if (strcmp(what, last) != 0)
			take(order->ca, &by_domain, what);
		strcpy(last, what);
	}
}

void model_count_failure(const struct model_authorization *authorization)
{
	char what[WHAT_MAX];

	snprintf(what, sizeof(what), "failures %llu %s",
		 (unsigned long long)authorization->account->id, authorization->name);
	take(authorization->ca, &by_failure, what);
}
