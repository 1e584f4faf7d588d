// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/clock.h"

#include <time.h>

#define US_PER_S  1000000
#define NS_PER_US 1000

static struct timespec read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now;
}

static uint64_t read_clock_ns(clockid_t clock)
{
	struct timespec now = read_clock(clock);

	return (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
}

int64_t clock_now_s(void)
{
	return read_clock(CLOCK_REALTIME).tv_sec;
}

int64_t clock_now_us(void)
{
	struct timespec now = read_clock(CLOCK_REALTIME);

	return (int64_t)now.tv_sec * US_PER_S + now.tv_nsec / NS_PER_US;
}

uint64_t clock_monotonic_ns(void)
{
	return read_clock_ns(CLOCK_MONOTONIC);
}

uint64_t clock_boottime_ns(void)
{
	return read_clock_ns(CLOCK_BOOTTIME);
}

void clock_sleep_ms(uint32_t ms)
{
	struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	nanosleep(&pause, NULL);
}

void clock_sleep_us(uint32_t us)
{
	struct timespec pause = {.tv_sec = us / US_PER_S, .tv_nsec = us % US_PER_S * NS_PER_US};

	nanosleep(&pause, NULL);
}
