/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Getting one certificate and storing it: key, place on disk and request first,
 * then the order, then the check that the CA delivered what was asked for, then
 * the switch.  Many may be under way on one loop.
 */
#ifndef ISSUE_H
#define ISSUE_H

#include <stddef.h>

struct ca;
struct challenge_table;
struct failure;
struct identifier;
struct issue;
struct order;
struct paths;

/* What it points to must outlive the issue. */
struct issue_wish {
	const struct paths *paths;
	const char *name; /* of the certificate on disk */
	const struct identifier *identifiers;
	size_t identifier_count;
	struct challenge_table *table;
	/* Called once, from the loop; an empty failure: stored and in use. */
	void (*done)(void *context, struct failure *failure);
	void *context;
};

/* All that can be done without the CA.  0, or -1 with `failure` filled in. */
int issue_prepare(struct issue **ret_issue, const struct issue_wish *wish, struct failure *failure);

/* Order from `ca`, which has an account and must outlive the issue. */
void issue_start(struct issue *issue, struct ca *ca);

/* In any state: nothing stays armed, nothing half-written.  Not from within `done`. */
void issue_free(struct issue *issue);

/* NULL before issue_start(). */
const struct order *issue_order(const struct issue *issue);

#endif
