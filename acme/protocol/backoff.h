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
#define BACKOFF_FAILURES_MAX      8 /* failed requests in a row, in 8 s; then give up */
#define BACKOFF_MISSING_S         30 /* a CA may not know its own new URL for this long */

/* All zero: not started. */
struct backoff {
	uint64_t deadline_ns; /* CLOCK_MONOTONIC */
	uint32_t pause_ms;
	uint32_t failures;
	uint64_t missing_since_ns; /* 0: the CA knows the URL */
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

/*
 * The CA does not know a URL that it has given a moment ago: its servers have not told each other
 * yet.  Returns the pause in ms, or -1 after BACKOFF_MISSING_S.
 */
int64_t backoff_after_missing_ms(struct backoff *backoff, int64_t retry_after_s, uint64_t now_ns);

#endif
