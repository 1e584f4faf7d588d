/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When to ask the CA again about something that is not yet final: RFC 8555
 * section 7.5.1.  Its Retry-After is obeyed within limits; without one, the
 * pauses grow.
 */
#ifndef ACME_PROTOCOL_BACKOFF_H
#define ACME_PROTOCOL_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#define BACKOFF_FIRST_MS          250
#define BACKOFF_LONGEST_MS        5000 /* of our own choice */
#define BACKOFF_RETRY_AFTER_MAX_S 60 /* of the CA's */
#define BACKOFF_DEADLINE_S        300 /* then the CA is taken to have forgotten us */
#define BACKOFF_FAILURES_MAX      4 /* failed askings in a row */

/* All zero: not begun. */
struct backoff {
	uint64_t deadline_ns; /* CLOCK_MONOTONIC */
	uint32_t pause_ms;
	uint32_t failures;
};

/*
 * The CA has answered, "not yet", with a Retry-After of `retry_after_s` (0: none).
 * Returns the pause in ms, or -1 when the deadline would pass.
 */
int64_t backoff_again_ms(struct backoff *backoff, int64_t retry_after_s, uint64_t now_ns);

/*
 * Asking failed in a way that may pass (no answer, 5xx, 429).  Returns the pause
 * in ms, or -1 when it has failed too often.
 */
int64_t backoff_after_failure_ms(struct backoff *backoff, int64_t retry_after_s, uint64_t now_ns);

#endif
