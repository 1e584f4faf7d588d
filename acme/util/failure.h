/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Why something did not work, and what to do about it: filled in where it is
 * known, printed once by whoever gives up.
 */
#ifndef ACME_UTIL_FAILURE_H
#define ACME_UTIL_FAILURE_H

#include <stdbool.h>
#include <stdint.h>

struct json_t;

/* All zero: no failure. */
struct failure {
	char cause[768]; /* one sentence, without a full stop */
	char seen[384]; /* what this host saw of it; "" when that is nothing, or not known */
	char next_step[384]; /* what the user can do; "" when there is nothing */
	struct json_t *problem; /* the CA's problem document (RFC 7807), or NULL */
	int64_t retry_after_s; /* the CA asks to wait for so long; 0: it does not */
};

bool failure_is_set(const struct failure *failure);

/* The first cause stays: what fails later is mostly its consequence.  `next_step` may be NULL. */
void failure_set(struct failure *failure, const char *next_step, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A system call's error (positive errno): its text is appended, the next step chosen by it. */
void failure_set_errno(struct failure *failure, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Keep a reference to the CA's problem document. */
void failure_set_problem(struct failure *failure, struct json_t *problem);

/* Hand over: `from` is empty afterwards.  Does nothing when `to` is already set. */
void failure_move(struct failure *to, struct failure *from);

/* A new object {"cause", "seen", "next_step", "problem"}; NULL when out of memory. */
struct json_t *failure_to_json(const struct failure *failure);

/* Empty it; it can be used again. */
void failure_done(struct failure *failure);

#endif
