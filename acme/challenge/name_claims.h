/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names that orders are under way for.  The table has one challenge for each name, and a CA may give
 * two orders for the same names the same order, so orders with a name in common run one after the
 * other, in this process and in others.  Between processes a lock on a byte of ROOT/var/lib/sidestep/
 * names.lock stands for a name; the kernel releases it when the process ends.
 */
#ifndef ACME_CHALLENGE_NAME_CLAIMS_H
#define ACME_CHALLENGE_NAME_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "acme/net/loop.h"

struct failure;
struct identifier;
struct name_claims;
struct paths;

/* An order waits this long for another process, then fails. */
#define NAME_CLAIMS_PATIENCE_S 600

/* Embedded in its user; all zero: no claim. */
struct name_claim {
	TAILQ_ENTRY(name_claim) link;
	struct name_claims *claims; /* NULL: no claim */
	uint64_t *keys; /* of the names, sorted */
	size_t count;
	uint64_t since_ns; /* CLOCK_MONOTONIC; when it first met another process; 0: it did not */
	bool is_held;
	void (*ready)(void *context, struct failure *failure);
	void *context;
};

/* `loop` and `paths` must outlive it.  0 or -ENOMEM. */
int name_claims_new(struct name_claims **ret_claims, struct loop *loop, const struct paths *paths);

/* All claims must have ended. */
void name_claims_free(struct name_claims *claims);

/*
 * Claim the names together.  `ready` is called once, later, from the loop, unless the claim ends
 * before: the names are the claim's, or `failure` says why not, and the claim has ended.  Claims with a name in common get it
 * in the sequence in which they began.  0 or -ENOMEM.
 */
int name_claim_begin(struct name_claim *claim, struct name_claims *claims,
		     const struct identifier *identifiers, size_t count,
		     void (*ready)(void *context, struct failure *failure), void *context);

/* Give the names back, or stop waiting for them.  Ending what is no claim does nothing. */
void name_claim_end(struct name_claim *claim);

#endif
