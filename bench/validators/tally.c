// SPDX-License-Identifier: GPL-3.0-or-later
#include "bench/validators/tally.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include "common/clock.h"

/* The second of a moment; NULL without memory: then this one second is not drawn. */
static struct tally_second *second_of(struct tally *tally, uint64_t when_ns)
{
	size_t index = when_ns / CLOCK_NS_PER_S, room = index + 1;
	struct tally_second *seconds;

	if (index >= tally->second_count) {
		seconds = reallocarray(tally->seconds, room, sizeof(*seconds));
		if (!seconds)
			return NULL;
		memset(seconds + tally->second_count, 0,
		       (room - tally->second_count) * sizeof(*seconds));
		tally->seconds = seconds;
		tally->second_count = room;
	}
	return &tally->seconds[index];
}

void tally_start(struct tally *tally, const struct tally_times *times)
{
	struct tally_second *second = second_of(tally, times->begun_ns);

	tally->started++;
	histogram_record(&tally->lag, times->begun_ns - times->due_ns);
	if (second)
		second->started++;
}

void tally_end(struct tally *tally, enum outcome outcome, int version,
	       const struct tally_times *times)
{
	struct tally_second *second = second_of(tally, times->done_ns);
	uint64_t latency_ns = times->done_ns - times->due_ns;

	tally->outcomes[outcome]++;
	if (outcome != OUTCOME_OK) {
		if (second)
			second->failed++;
		return;
	}
	histogram_record(&tally->latency, latency_ns);
	histogram_record(&tally->service, times->done_ns - times->begun_ns);
	if (version == TLS1_3_VERSION)
		tally->tls13++;
	else
		tally->tls12++;
	if (!second)
		return;
	second->validated++;
	second->latency_sum_ns += latency_ns;
	if (latency_ns > second->latency_max_ns)
		second->latency_max_ns = latency_ns;
}

void tally_add(struct tally *tally, const struct tally *more)
{
	tally->started += more->started;
	tally->tls12 += more->tls12;
	tally->tls13 += more->tls13;
	for (size_t i = 0; i < OUTCOMES; i++)
		tally->outcomes[i] += more->outcomes[i];
	histogram_add(&tally->latency, &more->latency);
	histogram_add(&tally->service, &more->service);
	histogram_add(&tally->lag, &more->lag);
	for (size_t i = 0; i < more->second_count; i++) {
		const struct tally_second *from = &more->seconds[i];
		struct tally_second *to = second_of(tally, i * CLOCK_NS_PER_S);

		if (!to)
			return;
		to->started += from->started;
		to->validated += from->validated;
		to->failed += from->failed;
		to->latency_sum_ns += from->latency_sum_ns;
		if (from->latency_max_ns > to->latency_max_ns)
			to->latency_max_ns = from->latency_max_ns;
	}
}

void tally_done(struct tally *tally)
{
	free(tally->seconds);
	tally->seconds = NULL;
	tally->second_count = 0;
}

uint64_t tally_validated(const struct tally *tally)
{
	return tally->outcomes[OUTCOME_OK];
}

uint64_t tally_failed(const struct tally *tally)
{
	uint64_t failed = 0;

	for (size_t i = OUTCOME_OK + 1; i < OUTCOMES; i++)
		failed += tally->outcomes[i];
	return failed;
}
