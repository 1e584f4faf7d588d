/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Moments that were kept: in the state, on the disk, at a CA.  The clock that wrote one may have been
 * wrong, and so may a CA be.  So each is judged where it is read: one that lies further ahead than its
 * kind allows says nothing, and counts as now.  All times are Unix seconds.
 */
#ifndef ACME_UTIL_MOMENT_H
#define ACME_UTIL_MOMENT_H

#include <stdint.h>

#define MOMENT_DAY_S 86400

/*
 * The kinds, and how far ahead each may lie, in seconds.  What is bounded by something else than the
 * present is not here: a renewal by the certificate's end (renewal_time.h), a token bucket by its own
 * window.  The database has ATTEMPT, CHECK and ISSUED in computed columns, too: state_schema.c.
 */
#define MOMENTS(X)                                                                      \
	X(ATTEMPT, 2 * MOMENT_DAY_S) /* the next order, or the next run of the hooks */ \
	X(CHECK, MOMENT_DAY_S) /* the next question for a renewal window */             \
	X(HOLD, MOMENT_DAY_S) /* a CA or an account may not be asked until then */      \
	X(ISSUED, 0) /* what has happened */

enum moment_kind {
#define MOMENT_KIND(name, most_ahead_s) MOMENT_##name,
	MOMENTS(MOMENT_KIND)
#undef MOMENT_KIND
};

/* MOMENT_CHECK_MAX_S and so on. */
enum moment_most_ahead {
#define MOMENT_MOST(name, most_ahead_s) MOMENT_##name##_MAX_S = (most_ahead_s),
	MOMENTS(MOMENT_MOST)
#undef MOMENT_MOST
};

/* The moment; now, when it lies further ahead than its kind allows. */
int64_t moment_bound(enum moment_kind kind, int64_t moment_s, int64_t now_s);

#endif
