/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When to try again what fails, or what does not last: at once, then after pauses that
 * double up to a minute.
 */
#ifndef RETRY_H
#define RETRY_H

#include <stdbool.h>
#include <stdint.h>

/* Zero: nothing was tried yet.  All times are of challenge_clock_ns(). */
struct retry {
	uint64_t attempt_ns; /* the last one */
	unsigned int pause_s; /* after it */
};

/* May it be tried now? */
bool retry_is_due(const struct retry *retry, uint64_t now_ns);

/* It is tried now. */
void retry_note(struct retry *retry, uint64_t now_ns);

/* It works: forget the pause, if it has worked for long. */
void retry_settle(struct retry *retry, uint64_t now_ns);

#endif
