/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What follows for one certificate from the end of its hooks: the state has it, and on the disk an
 * earlier generation may be used again.
 */
#ifndef ACME_RENEWAL_DEPLOY_OUTCOME_H
#define ACME_RENEWAL_DEPLOY_OUTCOME_H

#include <stdint.h>

struct failure;
struct paths;
struct state;
struct store_retention;

struct deploy_outcome_of {
	struct state *state;
	const struct paths *paths;
	int64_t lineage;
	const char *name;
	int64_t generation; /* whose hooks have run */
};

/*
 * All succeeded.  Old generations are removed.  0 or -1 with `failure` filled in: the state could not be
 * written.
 */
int deploy_outcome_done(const struct deploy_outcome_of *of, const struct store_retention *retention,
			struct failure *failure);

/* A hook failed, for the reason `why`: they are run again later.  As deploy_outcome_done(). */
int deploy_outcome_failed(const struct deploy_outcome_of *of, const char *why,
			  struct failure *failure);

/*
 * Use the generation `refused` again, to which this one is the previous: its hooks are due then.  As
 * deploy_outcome_done().
 */
int deploy_outcome_retry(const struct deploy_outcome_of *of, int64_t refused,
			 struct failure *failure);

/*
 * A server refuses its configuration, for the reason `why`.  *ret_told says what was done.  Goes back to
 * the previous generation, once: when that is refused, too, the new one is used again.  As
 * deploy_outcome_done().
 */
int deploy_outcome_refused(const struct deploy_outcome_of *of, const char *why,
			   struct failure *ret_told, struct failure *failure);

#endif
