/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Durations, counted so that any percentile can be told to 0.2 %: as HdrHistogram does
 * it, each power of two is cut into the same number of equal parts.  Every thread of a
 * run fills its own; tally.c adds them up.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_PART_BITS  9 /* a power of two has 2^9 parts */
#define HISTOGRAM_VALUE_BITS 40 /* 2^40 ns are 18 minutes; what is longer counts as that */
#define HISTOGRAM_CELLS      ((HISTOGRAM_VALUE_BITS - HISTOGRAM_PART_BITS + 1) << HISTOGRAM_PART_BITS)

/* All zero: empty. */
struct histogram {
	uint64_t count, sum_ns, max_ns, min_ns;
	uint64_t cells[HISTOGRAM_CELLS];
};

void histogram_record(struct histogram *histogram, uint64_t value_ns);
void histogram_add(struct histogram *histogram, const struct histogram *more);

/*
 * The duration that `percent` of all do not exceed: the upper end of its cell, and never
 * over the longest that was recorded.  0 when empty.
 */
uint64_t histogram_percentile_ns(const struct histogram *histogram, double percent);
uint64_t histogram_mean_ns(const struct histogram *histogram);

#endif
