/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Why something failed, whose failure it is, and what the user can do about it.  The function that
 * sees the error fills it in; the function that gives up prints it, once.
 */
#ifndef ACME_UTIL_FAILURE_H
#define ACME_UTIL_FAILURE_H

#include <stdbool.h>
#include <stdint.h>

struct json_t;

/*
 * Whose failure it is.  renewal/consequence.h decides by it what is counted, what waits, and which
 * CA is asked next.
 */
enum failure_owner {
	FAILURE_OF_NAME, /* this certificate's: its names, their DNS, their server, its settings */
	FAILURE_OF_CA, /* the CA's, or the way there: whoever asks it meets the same */
	FAILURE_OF_ACCOUNT, /* our account's at this CA */
	FAILURE_OF_HOST, /* this host's: disk, memory, descriptors, permissions, the responder */
	FAILURE_OF_STATE, /* the database's */
};

/* All zero: no failure. */
struct failure {
	enum failure_owner owner;
	bool is_unsent; /* the request never reached the CA */
	bool has_issued; /* the CA has issued a certificate, which cannot be used */
	bool ends_order; /* the CA has ended the order for it: the order cannot be resumed */
	char cause[768]; /* one sentence, without a full stop */
	char seen[384]; /* what this host saw; "" when it saw nothing, or that is not known */
	char next_step[384]; /* what the user can do; "": nothing */
	struct json_t *problem; /* the CA's problem document (RFC 7807), or NULL */
	int64_t retry_after_s; /* how long the CA asks to wait; 0: it does not ask */
};

bool failure_is_set(const struct failure *failure);

/*
 * Set the cause; the first one stays, as later errors mostly follow.  `next_step` may be NULL.  The
 * owner is FAILURE_OF_NAME.
 */
void failure_set(struct failure *failure, const char *next_step, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with another owner. */
void failure_set_of(struct failure *failure, enum failure_owner owner, const char *next_step,
		    const char *format, ...) __attribute__((format(printf, 4, 5)));

/*
 * The same for a system call's error, a positive errno, which adds its text, the next step and the
 * owner: what the host lacks (space, memory, descriptors, permission) is the host's.
 */
void failure_set_errno(struct failure *failure, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Keep a reference to the CA's problem document. */
void failure_set_problem(struct failure *failure, struct json_t *problem);

/* Copy the failure.  Does nothing when `to` is already set. */
void failure_copy(struct failure *to, const struct failure *from);

/* Move the failure; `from` is empty afterwards.  Does nothing when `to` is already set. */
void failure_move(struct failure *to, struct failure *from);

/* The owner in one word, for reports. */
const char *failure_owner_text(enum failure_owner owner);

/* A new object {"cause", "seen", "next_step", "owner", "problem"}; NULL when out of memory. */
struct json_t *failure_to_json(const struct failure *failure);

/* Free and empty it; it can be used again. */
void failure_done(struct failure *failure);

#endif
