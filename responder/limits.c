// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/limits.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "responder/peer.h"

/*
 * A prefix has a counter in each row, and its count is the lower of them: too high only
 * where both are shared with others, never too low.  So nothing is ever evicted.
 */
#define ROWS 2
/* Counters of a row for each connection; each connection counts for two prefixes. */
#define SPACE 8

enum breadth { SOURCE, WIDE, BREADTHS };

static const uint8_t prefix_bytes[STEER_FAMILIES][BREADTHS] = {
	[STEER_V4] = {4, 3},
	[STEER_V6] = {8, 6},
};

struct limits {
	uint64_t seed[ROWS];
	uint32_t mask;
	uint32_t most[BREADTHS];
	_Atomic uint32_t *counters; /* [ROWS][mask + 1] */
};

/* --- counting sources -------------------------------------------------------------- */

int limits_new(struct limits **ret_limits, uint32_t connections, uint32_t per_source,
	       const uint64_t seed[2])
{
	struct limits *limits = calloc(1, sizeof(*limits));
	uint32_t row = 1;

	if (!limits)
		return -ENOMEM;
	while (row < connections * SPACE)
		row *= 2;
	limits->mask = row - 1;
	limits->most[SOURCE] = per_source;
	limits->most[WIDE] = per_source * LIMITS_WIDE_FACTOR;
	memcpy(limits->seed, seed, sizeof(limits->seed));
	limits->counters = calloc((size_t)ROWS * row, sizeof(limits->counters[0]));
	if (!limits->counters) {
		free(limits);
		return -ENOMEM;
	}
	*ret_limits = limits;
	return 0;
}

void limits_free(struct limits *limits)
{
	if (!limits)
		return;
	free(limits->counters);
	free(limits);
}

/* The finalizer of splitmix64 (public domain): every bit depends on every other. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static _Atomic uint32_t *find_counter(struct limits *limits, const struct peer *peer,
				      enum breadth breadth, int row)
{
	uint64_t prefix = 0, hash;

	memcpy(&prefix, peer->address, prefix_bytes[peer->family][breadth]);
	hash = mix(limits->seed[row] + (uint64_t)peer->family * BREADTHS + (uint64_t)breadth);
	hash = mix(hash ^ prefix);
	return &limits->counters[(uint64_t)row * (limits->mask + 1u) + (hash & limits->mask)];
}

static void add(struct limits *limits, const struct peer *peer, uint32_t number)
{
	for (int breadth = 0; breadth < BREADTHS; breadth++)
		for (int row = 0; row < ROWS; row++)
			atomic_fetch_add_explicit(
				find_counter(limits, peer, (enum breadth)breadth, row), number,
				memory_order_relaxed);
}

bool limits_enter(struct limits *limits, const struct peer *peer)
{
	for (int breadth = 0; breadth < BREADTHS; breadth++) {
		uint32_t lowest = UINT32_MAX;

		for (int row = 0; row < ROWS; row++) {
			uint32_t count = atomic_load_explicit(
				find_counter(limits, peer, (enum breadth)breadth, row),
				memory_order_relaxed);

			lowest = count < lowest ? count : lowest;
		}
		if (lowest >= limits->most[breadth])
			return false;
	}
	/* Two threads may both see the last place free; one connection too many does no harm. */
	add(limits, peer, 1);
	return true;
}

void limits_leave(struct limits *limits, const struct peer *peer)
{
	add(limits, peer, UINT32_MAX); /* that is, -1 */
}

/* --- under load --------------------------------------------------------------------- */

bool limits_drop(uint32_t busy, uint32_t most, uint32_t random)
{
	uint64_t from = most - most / 4u;

	if (busy >= most)
		return true;
	return busy > from && random < ((busy - from) << 32) / (most - from);
}

uint32_t limits_deadline_ms(uint32_t busy, uint32_t most, uint32_t full_ms)
{
	uint32_t from = most / 2, shortest_ms = full_ms / 5;

	if (busy <= from)
		return full_ms;
	if (busy >= most)
		return shortest_ms;
	return full_ms -
	       (uint32_t)((uint64_t)(full_ms - shortest_ms) * (busy - from) / (most - from));
}
