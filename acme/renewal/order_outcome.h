/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writes into the state what follows from the end of an order: when the certificate is renewed, or
 * when and at which CA it is tried again.  renewal_time.h computes the moments.
 */
#ifndef ACME_RENEWAL_ORDER_OUTCOME_H
#define ACME_RENEWAL_ORDER_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

struct failure;
struct state;
struct state_lineage;
struct stored;

struct order_outcome {
	bool is_postponed; /* for a reason that is not the lineage's: no failure was counted */
	int64_t next_attempt_s; /* Unix time; 0: none without an operator */
};

/*
 * `stored` is the lineage's new certificate, which is in use.  `failure` says why the state could not
 * be written; the certificate stays.
 */
void order_outcome_success(struct state *state, const struct state_lineage *lineage,
			   const struct stored *stored, struct failure *failure);

/*
 * The attempt has failed.  If the CA asks to wait, the lineage waits and no failure is counted.  If
 * the CA has paused the account, the lineage is paused.  Otherwise each next attempt comes later,
 * at the next of the lineage's CAs.  0 or -errno of the state; *ret_outcome is set all the same.
 */
int order_outcome_failure(struct state *state, const struct state_lineage *lineage,
			  const struct failure *failure, struct order_outcome *ret_outcome);

/* The CA after the lineage's present one, as a new string; NULL: there is no other, or no memory. */
char *order_outcome_next_ca(const struct state_lineage *lineage);

/* Records a certificate that is on the disk and not in the state, as order_outcome_success() does.
 * 0 or -errno. */
int order_outcome_found(struct state *state, int64_t lineage, const struct stored *stored);

#endif
