/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which orders are to be made now: what the state says is due, as far as the CAs allow.  Replacing
 * a certificate is not counted by a CA that has renewal information (RFC 9773 section 5): those
 * go first, and never wait for a limit.  What waits for one, and has another CA, goes there.  Used by
 * engine.c.
 */
#ifndef DUE_H
#define DUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct allowance;
struct arguments;
struct state;
struct state_lineage;

/* Most that are found at once. */
#define DUE_MAX 100

struct due {
	/* To be set; all must outlive it. */
	struct state *state;
	struct allowance *allowance;
	const struct arguments *arguments;
	size_t max; /* at most DUE_MAX */
	/* Found. */
	int64_t ids[DUE_MAX];
	size_t count;
	size_t told; /* by the state, also those that were there already */
	bool is_limited; /* more is due than the CAs allow */
};

/* 0 or -errno of the state. */
int due_find(struct due *due);

/* When the next order can be made, perhaps in the past; 0: never, or that cannot be known. */
int64_t due_next_s(const struct due *due);

/* Whether the CA does not count the lineage's next order. */
bool due_is_exempt(const struct state_lineage *lineage);

/* Our account at a CA where a lineage names none. */
const char *due_usual_account(const struct arguments *arguments, const char *server);

#endif
