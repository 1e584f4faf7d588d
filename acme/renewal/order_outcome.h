/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What follows from the end of an order, written into the state: when the certificate is renewed,
 * or when and where it is tried again.  The rules are here, the moments schedule.c's.  Used by
 * engine.c.
 */
#ifndef CONSEQUENCE_H
#define CONSEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

struct failure;
struct paths;
struct state;
struct state_lineage;
struct stored;

struct consequence {
	bool is_postponed; /* for a reason that is not the lineage's: no failure was counted */
	int64_t next_attempt_s; /* Unix time; 0: none without an operator */
};

/*
 * The lineage's new certificate is in use.  What cannot be read or written is told by `failure`;
 * the certificate stays.
 */
void consequence_of_success(struct state *state, const struct paths *paths,
			    const struct state_lineage *lineage, struct failure *failure);

/*
 * The attempt has failed.  The CA asks to wait: that is obeyed, and no failure counted.  It has
 * paused us: so is the lineage.  Else the next attempt comes later each time, at the next of the
 * lineage's CAs.  0 or -errno of the state; *ret_consequence is set all the same.
 */
int consequence_of_failure(struct state *state, const struct state_lineage *lineage,
			   const struct failure *failure, struct consequence *ret_consequence);

/* The CA behind the lineage's present one, as a new string; NULL: there is no other, or no memory. */
char *consequence_next_ca(const struct state_lineage *lineage);

/* What is on the disk, when the state does not know: as consequence_of_success().  0 or -errno. */
int consequence_of_found(struct state *state, int64_t lineage, const struct stored *stored);

#endif
