/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * common/clock.h on a clock that the test sets.  To be included by one file of a test program, in the
 * place of common/clock.c.
 */
#ifndef TESTS_UNIT_FAKE_CLOCK_H
#define TESTS_UNIT_FAKE_CLOCK_H

#include "common/clock.h"

#define FAKE_CLOCK_US_PER_S INT64_C(1000000)

static int64_t fake_wall_us = INT64_C(1800000000) * FAKE_CLOCK_US_PER_S;
static uint64_t fake_monotonic_ns = CLOCK_NS_PER_S;

/* An administrator sets the wall clock. */
static inline void fake_clock_set(int64_t now_s)
{
	fake_wall_us = now_s * FAKE_CLOCK_US_PER_S;
}

/* Time passes. */
static inline void fake_clock_pass(int64_t seconds)
{
	fake_wall_us += seconds * FAKE_CLOCK_US_PER_S;
	fake_monotonic_ns += (uint64_t)seconds * CLOCK_NS_PER_S;
}

int64_t clock_now_s(void)
{
	return fake_wall_us / FAKE_CLOCK_US_PER_S;
}

int64_t clock_now_us(void)
{
	return fake_wall_us;
}

uint64_t clock_monotonic_ns(void)
{
	return fake_monotonic_ns;
}

uint64_t clock_boottime_ns(void)
{
	return fake_monotonic_ns;
}

void clock_sleep_us(uint32_t us)
{
	fake_wall_us += us;
	fake_monotonic_ns += (uint64_t)us * 1000;
}

void clock_sleep_ms(uint32_t ms)
{
	clock_sleep_us(ms * 1000);
}

#endif
