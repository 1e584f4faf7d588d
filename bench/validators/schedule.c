// SPDX-License-Identifier: GPL-3.0-or-later
#include "bench/validators/schedule.h"

#include <math.h>

#define NS_PER_S 1e9

uint64_t schedule_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* Exponentially distributed, with mean 1: the distance of Poisson arrivals. */
static double exponential(uint64_t *state)
{
	double uniform = ((double)(schedule_random(state) >> 11) + 1) / (double)(UINT64_C(1) << 53);

	return -log(uniform);
}

void schedule_init(struct schedule *schedule, double rate, double ramp_s, bool poisson,
		   unsigned int part, unsigned int parts, uint64_t seed)
{
	*schedule = (struct schedule){
		.rate = rate / parts,
		.ramp_s = ramp_s,
		.poisson = poisson,
		.random = (seed ^ UINT64_C(0x9e3779b97f4a7c15) * (part + 1)) | 1,
	};
	/* Evenly spaced shares take turns. */
	schedule->position = poisson ? exponential(&schedule->random) : (double)part / parts;
}

/*
 * While the rate grows, rate * t^2 / (2 * ramp) arrivals are expected until t; from then
 * on they grow evenly.  This is the inverse: the time until which `position` are.
 */
uint64_t schedule_due_ns(const struct schedule *schedule)
{
	double in_ramp = schedule->rate * schedule->ramp_s / 2;
	double due_s;

	if (schedule->position < in_ramp)
		due_s = sqrt(2 * schedule->ramp_s * schedule->position / schedule->rate);
	else
		due_s = schedule->ramp_s + (schedule->position - in_ramp) / schedule->rate;
	return (uint64_t)(due_s * NS_PER_S);
}

void schedule_advance(struct schedule *schedule)
{
	schedule->position += schedule->poisson ? exponential(&schedule->random) : 1;
}
