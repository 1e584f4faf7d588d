/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Limits on connections. These functions only decide; they make no system call. One object for all
 * threads counts the connections of each source. The other functions depend on how full a thread
 * is. server.c owns the object.
 */
#ifndef RESPONDER_LIMITS_H
#define RESPONDER_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

struct limits;
struct peer;

/*
 * Connections at once, over all threads. At a few RTTs each this is far more than a processor can
 * answer. Each takes 11 KB during its handshake.
 */
#define LIMITS_CONNECTIONS     16384
#define LIMITS_CONNECTIONS_MAX 1048576
/*
 * The share of one source. A CA validates thousands of names from one or two addresses for each of
 * its six perspectives: two thousand a second, each open for 0.3 s, are 600 at once from one
 * address, and a quarter is 4096. The limit prevents one source from taking every place; it does
 * not slow a CA down.
 */
#define LIMITS_SOURCE_PART 4
/* The limit of a neighbourhood, as a multiple of the limit of a source. */
#define LIMITS_WIDE_FACTOR 2

/*
 * Count up to `connections` at once. A source (IPv4 /32, IPv6 /64) may have `per_source` of them,
 * and a neighbourhood (/24, /48) twice that. `seed` is random, so that no client can choose an
 * address that shares a counter with another. 0 or -ENOMEM. Allocates no memory later.
 */
int limits_new(struct limits **ret_limits, uint32_t connections, uint32_t per_source,
	       const uint64_t seed[2]);
void limits_free(struct limits *limits);

/* May one more connect?  If so, counts it until limits_leave().  Any thread may call it. */
bool limits_enter(struct limits *limits, const struct peer *peer);
void limits_leave(struct limits *limits, const struct peer *peer);

/*
 * Early random drop: refuse this new connection while `busy` of at most `most` are in their
 * handshakes? Never below three quarters, always at `most`, in between with a probability that
 * grows evenly. `random` is uniform over all 32-bit numbers.
 */
bool limits_drop(uint32_t busy, uint32_t most, uint32_t random);

/*
 * The deadline of a connection: `full_ms` up to half of `most`, then falling evenly to a fifth of
 * that. So slow connections make room before new ones are refused.
 */
uint32_t limits_deadline_ms(uint32_t busy, uint32_t most, uint32_t full_ms);

#endif
