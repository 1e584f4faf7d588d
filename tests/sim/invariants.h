/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What must hold in every simulated world, whatever happens.  The bounds are what the agent promises;
 * each is a constant with its reason.
 */
#ifndef TESTS_SIM_INVARIANTS_H
#define TESTS_SIM_INVARIANTS_H

#include <stdbool.h>
#include <stdint.h>

struct model_certificate;
struct world;

/* A pause after a failure, a CA's wish and the asking for renewal windows are a day at most, with some
 * spread and some minutes for the work itself.  So nothing waits longer once trouble has ended. */
#define BOUND_RENEWED_S (28 * INT64_C(3600))

/* When a certificate is due at the latest, in thousandths of its life: the end of the CA's window
 * (model_issue.c), or a third of its life before its end. */
#define BOUND_DUE_PER_MILLE 690

/* An order at the first CA may fail for a third of what is left; then the next CA is asked. */
#define BOUND_FAILOVER_S (3 * INT64_C(86400))

/* Hooks are run again after a failure, at the latest after a day. */
#define BOUND_SERVED_S (28 * INT64_C(3600))

/* After servers refuse a certificate the agent goes back to the one before it.  It orders again when the
 * floor below allows that: 108 hours for a life of 90 days. */
#define BOUND_REFUSED_S (110 * INT64_C(3600))

/*
 * Never again so soon after an issuance for the same names and key: one hour, or a quarter of a life of
 * few hours; and so many thousandths of the life, unless the CA wants the certificate replaced at once.
 */
#define FLOOR_S         INT64_C(3600)
#define FLOOR_PER_MILLE 50

/* Lives below this cannot be renewed in time by anybody who keeps the floor. */
#define BOUND_LIFE_LEAST_S (2 * INT64_C(86400))

/* The name of trouble that damages files. */
#define TROUBLE_DAMAGE "damaged files"

void invariants_violated(struct world *world, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A CA has issued this. */
void invariants_issued(struct world *world, const struct model_certificate *certificate);

/* An hour has passed. */
void invariants_tick(struct world *world);

/* Everything has been quiet for days: compare what is served, on the disk and in the state. */
void invariants_quiet(struct world *world);

/* leftovers.c: what was begun on the disk was finished or removed. */
void invariants_leftovers(struct world *world);

/* Whether the plan has damaged files on the disk: then not each certificate can be read. */
bool invariants_may_be_damaged(const struct world *world);

#endif
