/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When to repeat an action that fails, or whose effect does not last: at once, then after pauses
 * that double up to a minute.
 */
#ifndef RESPONDER_RETRY_H
#define RESPONDER_RETRY_H

#include <stdbool.h>
#include <stdint.h>

/* Zero: nothing was tried yet.  All times are of clock_boottime_ns(). */
struct retry {
	uint64_t attempt_ns; /* the last one */
	unsigned int pause_s; /* after it */
};

/* Is an attempt due? */
bool retry_is_due(const struct retry *retry, uint64_t now_ns);

/* An attempt starts now. */
void retry_note(struct retry *retry, uint64_t now_ns);

/* It works: reset the pause, if it has worked for long enough. */
void retry_settle(struct retry *retry, uint64_t now_ns);

#endif
