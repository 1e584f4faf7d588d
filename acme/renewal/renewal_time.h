/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When a certificate is to be renewed, and when to try again.  Pure: the moment, and the
 * random number in [0, 1) that spreads what would fall together, are the caller's.  A
 * moment is chosen once, at issuance or when the CA's window changes, and then kept
 * in the state; it is not rolled again at each look.  All times are Unix seconds.
 */
#ifndef ACME_RENEWAL_RENEWAL_TIME_H
#define ACME_RENEWAL_RENEWAL_TIME_H

#include <stdbool.h>
#include <stdint.h>

/* RFC 9773 section 4.2: the window's next look is never sooner or later than this. */
#define RENEWAL_CHECK_MIN_S     60
#define RENEWAL_CHECK_MAX_S     86400
#define RENEWAL_CHECK_DEFAULT_S (6 * 3600) /* when the CA does not say */

/* What is known of the certificate and of the window that the CA suggests. */
struct renewal_facts {
	int64_t now_s;
	int64_t not_before_s;
	int64_t not_after_s;
	int64_t before_s; /* the operator wants it renewed so long before its end; 0: does not say */
	bool has_window; /* ARI: the CA suggested one */
	int64_t window_start_s;
	int64_t window_end_s;
};

/*
 * The moment of renewal, perhaps in the past: then it is due at once.  It does not depend on this
 * host's clock, which may be wrong.  By the CA's window: a random moment inside it.  Without: at two thirds of the certificate's life, at half of one that
 * is under ten days, and up to SPREAD of it earlier by `random`; or when the operator says, which a
 * window only moves forward, and not in the first third of its life.  Always early enough
 * that retries are possible before it expires.
 */
int64_t renewal_time_next(const struct renewal_facts *facts, double random);

/* renewal_facts.before_s from the setting renew-before; NULL, or what is no time, is 0. */
int64_t renewal_time_before(const char *text);

/* Whether the CA wants it replaced at once: its window is in the past. */
bool renewal_time_is_early(const struct renewal_facts *facts);

/*
 * When to ask for the window again (RFC 9773 section 4.2): after `retry_after_s` (0: not told), and
 * for certificates so short-lived that a window might open and close meanwhile, sooner.
 */
int64_t renewal_time_check(const struct renewal_facts *facts, int64_t retry_after_s, double random);

/*
 * When to try again after `failures` failures in a row (at least one): 1, 10, 100 minutes, then
 * daily, each up to a fifth longer by `random`.  Not before retry_at_s, which the CA asked for (0:
 * it did not).  A certificate that expires sooner (not_after_s; 0: there is none) is tried again
 * sooner, hourly at most.
 */
int64_t renewal_time_retry(int64_t now_s, unsigned int failures, int64_t retry_at_s,
			   int64_t not_after_s, double random);

#endif
