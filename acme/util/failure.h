/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Why something failed, and what the user can do about it.  The function that sees the error fills
 * it in; the function that gives up prints it, once.
 */
#ifndef ACME_UTIL_FAILURE_H
#define ACME_UTIL_FAILURE_H

#include <stdbool.h>
#include <stdint.h>

struct json_t;

/* All zero: no failure. */
struct failure {
	char cause[768]; /* one sentence, without a full stop */
	char seen[384]; /* what this host saw; "" when it saw nothing, or that is not known */
	char next_step[384]; /* what the user can do; "": nothing */
	struct json_t *problem; /* the CA's problem document (RFC 7807), or NULL */
	int64_t retry_after_s; /* how long the CA asks to wait; 0: it does not ask */
};

bool failure_is_set(const struct failure *failure);

/* Set the cause; the first one stays, as later errors mostly follow.  `next_step` may be NULL. */
void failure_set(struct failure *failure, const char *next_step, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same for a system call's error, a positive errno, which adds its text and the next step. */
void failure_set_errno(struct failure *failure, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Keep a reference to the CA's problem document. */
void failure_set_problem(struct failure *failure, struct json_t *problem);

/* Move the failure; `from` is empty afterwards.  Does nothing when `to` is already set. */
void failure_move(struct failure *to, struct failure *from);

/* A new object {"cause", "seen", "next_step", "problem"}; NULL when out of memory. */
struct json_t *failure_to_json(const struct failure *failure);

/* Free and empty it; it can be used again. */
void failure_done(struct failure *failure);

#endif
