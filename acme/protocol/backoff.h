/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When to ask the CA again about something that is not yet final: RFC 8555
 * section 7.5.1.  Its Retry-After is obeyed within limits; without one, the
 * pauses grow.
 */
#ifndef POLL_H
#define POLL_H

#include <stdbool.h>
#include <stdint.h>

#define POLL_FIRST_MS          250
#define POLL_LONGEST_MS        5000 /* of our own choice */
#define POLL_RETRY_AFTER_MAX_S 60 /* of the CA's */
#define POLL_DEADLINE_S        300 /* then the CA is taken to have forgotten us */
#define POLL_FAILURES_MAX      4 /* failed askings in a row */

/* All zero: not begun. */
struct poll {
	uint64_t deadline_ns; /* CLOCK_MONOTONIC */
	uint32_t pause_ms;
	uint32_t failures;
};

/*
 * The CA has answered, "not yet", with a Retry-After of `retry_after_s` (0: none).
 * Returns the pause in ms, or -1 when the deadline would pass.
 */
int64_t poll_again_ms(struct poll *poll, int64_t retry_after_s, uint64_t now_ns);

/*
 * Asking failed in a way that may pass (no answer, 5xx, 429).  Returns the pause
 * in ms, or -1 when it has failed too often.
 */
int64_t poll_after_failure_ms(struct poll *poll, int64_t retry_after_s, uint64_t now_ns);

#endif
