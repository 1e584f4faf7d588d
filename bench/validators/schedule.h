/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When connections are due to start in an open loop: at a rate that nothing the server
 * does can change.  One of each thread, of which each takes its share.  Pure: time is
 * what the caller says.
 */
#ifndef BENCH_SCHEDULE_H
#define BENCH_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

struct schedule {
	double rate; /* arrivals a second of this schedule, once it is ramped up */
	double ramp_s; /* the rate grows evenly from 0 over this time */
	double position; /* of the next arrival, as the number of those expected before it */
	bool poisson; /* else evenly spaced */
	uint64_t random; /* the generator's state */
};

/*
 * Share `part` of `parts` of arrivals at `rate` a second in all.  `seed` makes Poisson
 * arrivals of different shares independent.
 */
void schedule_init(struct schedule *schedule, double rate, double ramp_s, bool poisson,
		   unsigned int part, unsigned int parts, uint64_t seed);

/* When the next arrival is due, in nanoseconds since the start. */
uint64_t schedule_due_ns(const struct schedule *schedule);
/* Go on to the one behind it. */
void schedule_advance(struct schedule *schedule);

/* A small generator (xorshift64*), for what needs no secrecy; its state is never 0. */
uint64_t schedule_random(uint64_t *state);

#endif
