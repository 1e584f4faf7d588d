/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decides which orders are made now: those that the state says are due, as far as the CAs allow.
 * A CA that has renewal information does not count the replacement of a certificate (RFC 9773
 * section 5): replacements go first and never wait for a limit.  An order that would wait for one
 * CA's limit goes to the certificate's next CA, if it has one.
 */
#ifndef ACME_RENEWAL_SCHEDULER_H
#define ACME_RENEWAL_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rate_limit;
struct settings;
struct state;
struct state_lineage;

/* Most that are found at once. */
#define SCHEDULER_MAX 100

struct scheduler {
	/* To be set; all must outlive it. */
	struct state *state;
	struct rate_limit *rate_limit;
	const struct settings *settings;
	size_t max; /* at most SCHEDULER_MAX */
	/* Found. */
	int64_t ids[SCHEDULER_MAX];
	size_t count;
	size_t told; /* by the state, also those that were there already */
	bool is_limited; /* more is due than the CAs allow */
};

/* 0 or -errno of the state. */
int scheduler_find(struct scheduler *scheduler);

/* When the next order can be made, perhaps in the past; 0: never, or that cannot be known. */
int64_t scheduler_next_s(const struct scheduler *scheduler);

/* Whether the CA does not count the lineage's next order. */
bool scheduler_is_exempt(const struct state_lineage *lineage);

/* Our account at a CA where a lineage names none. */
const char *scheduler_usual_account(const struct settings *settings, const char *server);

#endif
