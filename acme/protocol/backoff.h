/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When to ask the CA again about something that is not yet final (RFC 8555 section 7.5.1).  It
 * obeys the CA's Retry-After within limits; without one, the pauses grow.
 */
#ifndef ACME_PROTOCOL_BACKOFF_H
#define ACME_PROTOCOL_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#define BACKOFF_FIRST_MS          250
#define BACKOFF_LONGEST_MS        5000 /* the longest pause without a Retry-After */
#define BACKOFF_RETRY_AFTER_MAX_S 60 /* a longer Retry-After is cut to this */
#define BACKOFF_DEADLINE_S        300 /* the whole wait; then give up */
#define BACKOFF_FAILURES_MAX      4 /* failed requests in a row; then give up */

/* All zero: not started. */
struct backoff {
	uint64_t deadline_ns; /* CLOCK_MONOTONIC */
	uint32_t pause_ms;
	uint32_t failures;
};

/*
 * The CA has answered that it is not finished, with a Retry-After of `retry_after_s` (0: none).
 * Returns the pause in ms, or -1 when it would end after the deadline.
 */
int64_t backoff_again_ms(struct backoff *backoff, int64_t retry_after_s, uint64_t now_ns);

/*
 * The request has failed with an error that may pass (no answer, 5xx, 429).  Returns the pause in
 * ms, or -1 after too many failures.
 */
int64_t backoff_after_failure_ms(struct backoff *backoff, int64_t retry_after_s, uint64_t now_ns);

#endif
