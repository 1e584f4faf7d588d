/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The only source of time in acme/ and common/: tests/sim replaces clock.c. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

#define CLOCK_NS_PER_S UINT64_C(1000000000)

/* The wall clock in Unix seconds and microseconds.  An administrator can set it, in both directions. */
int64_t clock_now_s(void);
int64_t clock_now_us(void);

/* Nanoseconds that never go back; the clock stops while the machine is suspended. */
uint64_t clock_monotonic_ns(void);

/* Nanoseconds since the machine started, including those it was suspended. */
uint64_t clock_boottime_ns(void);

/* Sleep this long; a signal may end it early. */
void clock_sleep_ms(uint32_t ms);
void clock_sleep_us(uint32_t us);

#endif
