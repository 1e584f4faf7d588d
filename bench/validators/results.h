/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What came out of a run, for people and as JSON.  SIDESTEP-BENCH.md documents the
 * JSON's keys.
 */
#ifndef BENCH_RESULTS_H
#define BENCH_RESULTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct histogram;
struct settings;
struct tally;

struct results {
	const struct settings *settings;
	const struct tally *tally;
	uint64_t elapsed_ns;
	uint64_t own_cpu_ns; /* of this process, user and system */
	bool interrupted;
};

/* The percentiles of the report, and their names in JSON. */
#define RESULTS_PERCENTILES 5
extern const struct results_percentile {
	double percent;
	const char *text, *key;
} results_percentiles[RESULTS_PERCENTILES];

/* A sentence on what the run was: where to, how, what. */
void results_print_run(const struct results *results, FILE *file);
void results_print(const struct results *results, FILE *file);
int results_print_json(const struct results *results, FILE *file); /* 0, -ENOMEM or -EIO */

/*
 * Whether this machine rather than the server may have been the limit: starts were late.
 * Such latencies say little about the server.
 */
bool results_bench_was_late(const struct results *results);

double results_per_s(const struct results *results); /* validated */

#endif
