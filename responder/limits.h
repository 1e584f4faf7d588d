/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who may have how much.  Decisions only: it makes no system call.  One object
 * for all threads counts the connections of each source; the rest are functions
 * of how full a thread is.
 */
#ifndef LIMITS_H
#define LIMITS_H

#include <stdbool.h>
#include <stdint.h>

struct limits;
struct peer;

/*
 * Connections at once, of all threads.  At a few RTTs each this is far more than
 * a processor can answer; each takes 11 KB while it shakes hands.
 */
#define LIMITS_CONNECTIONS     16384
#define LIMITS_CONNECTIONS_MAX 1048576
/*
 * Of one source, as a part of all.  A CA validates a fleet's thousands of names from
 * one or two addresses for each of its six perspectives: two thousand a second,
 * each open for 0.3 s, are 600 at once of one address, and a quarter is 4096.  It
 * is there so that no one source can take all, not to slow it.
 */
#define LIMITS_SOURCE_PART 4
/* Of one neighbourhood, in the limits of a source. */
#define LIMITS_WIDE_FACTOR 2

/*
 * Count for up to `connections` at once, of which a source (IPv4 /32, IPv6 /64) may
 * have `per_source`, and a neighbourhood (/24, /48) twice that.  `seed` is random, so
 * that nobody can choose an address that is counted together with another.
 * 0 or -ENOMEM; no memory is taken later.
 */
int limits_new(struct limits **ret_limits, uint32_t connections, uint32_t per_source,
	       const uint64_t seed[2]);
void limits_free(struct limits *limits);

/* May one more come from there?  If so it is counted, until limits_leave().  From any thread. */
bool limits_enter(struct limits *limits, const struct peer *peer);
void limits_leave(struct limits *limits, const struct peer *peer);

/*
 * Early random drop: whether to refuse a new connection, while `busy` of at most
 * `most` shake hands.  Never below three quarters, always at `most`, and between with a
 * probability that grows evenly.  `random` is of all 32-bit numbers.
 */
bool limits_drop(uint32_t busy, uint32_t most, uint32_t random);

/*
 * How long a connection may take, which is `full_ms` up to half of `most`, and then
 * falls evenly to a fifth of it: the slow make room before the new are refused.
 */
uint32_t limits_deadline_ms(uint32_t busy, uint32_t most, uint32_t full_ms);

#endif
