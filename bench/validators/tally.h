/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is counted in a run: by each thread for itself, then added up. */
#ifndef BENCH_TALLY_H
#define BENCH_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "bench/validators/histogram.h"
#include "common/validator/outcome.h"

/* One second of a run. */
struct tally_second {
	uint64_t started, validated, failed;
	uint64_t latency_sum_ns, latency_max_ns; /* of those validated in it */
};

/* All zero: empty. */
struct tally {
	uint64_t started;
	uint64_t outcomes[OUTCOMES];
	uint64_t tls12, tls13; /* of those validated */
	struct histogram latency; /* of those validated: from the moment they were due */
	struct histogram service; /* from the moment they began to connect */
	struct histogram lag; /* of all: how late they began */
	struct tally_second *seconds;
	size_t second_count;
};

/* When something happened, in nanoseconds since the run's start. */
struct tally_times {
	uint64_t due_ns, begun_ns, done_ns;
};

void tally_start(struct tally *tally, const struct tally_times *times);
/* `version` as TLS1_3_VERSION; of a failure only the time it is done counts. */
void tally_end(struct tally *tally, enum outcome outcome, int version,
	       const struct tally_times *times);
void tally_add(struct tally *tally, const struct tally *more);
void tally_done(struct tally *tally);

uint64_t tally_validated(const struct tally *tally);
uint64_t tally_failed(const struct tally *tally);

#endif
