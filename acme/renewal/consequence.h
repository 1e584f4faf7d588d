/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What follows from the end of an order.  One table says for each failure, by its owner and by what
 * the CA said, what counts, who waits and for how long, when the next CA is asked, and whether order
 * and key are kept.  Everything that must know asks it.  renewal_time.h computes the moments.
 */
#ifndef ACME_RENEWAL_CONSEQUENCE_H
#define ACME_RENEWAL_CONSEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

struct failure;
struct state;
struct state_lineage;
struct stored;

/* No wait is longer than this, whatever a CA asks for. */
#define CONSEQUENCE_WAIT_MAX_S 86400

/* Waits in a row of a CA or an account, after which a lineage goes to its next CA. */
#define CONSEQUENCE_WAITS_MAX 3

/* Who waits before the next attempt. */
enum consequence_waits {
	CONSEQUENCE_LINEAGE,
	CONSEQUENCE_ACCOUNT, /* every order of this account at this CA */
	CONSEQUENCE_CA, /* every order at this CA */
	CONSEQUENCE_HOST, /* every order */
};

struct consequence {
	enum consequence_waits waits;
	bool counts; /* it is one of the lineage's failures in a row */
	bool is_asked; /* the CA has asked for the wait */
	/*
	 * Seconds, at most CONSEQUENCE_WAIT_MAX_S.  An account, a CA or a host waits for first_wait_s,
	 * then twice as long after each failure in a row, up to last_wait_s.  The lineage itself waits
	 * for own_wait_s; 0: as renewal_time_retry() says.
	 */
	int64_t first_wait_s;
	int64_t last_wait_s;
	int64_t own_wait_s;
	/* After so many failures or waits in a row the lineage goes to its next CA; 0: never. */
	unsigned int next_ca_after;
	bool keeps_order; /* the CA may still have the order: it and its key are kept */
};

/* What follows from this failure; the table of consequence.c. */
void consequence_of(struct consequence *ret_consequence, const struct failure *failure);

/* The wait after so many failures in a row, at least one: of CONSEQUENCE_ACCOUNT, _CA and _HOST. */
int64_t consequence_wait_s(const struct consequence *consequence, unsigned int failures);

/*
 * Whether a lineage leaves its CA after so many waits in a row (at least one), the last of which
 * takes `wait_s`: after next_ca_after of them; sooner when less than a third of its certificate's
 * life is left and the wait is long, or not the first.  Without a certificate all of its life is
 * over.
 */
bool consequence_changes_ca(const struct consequence *consequence,
			    const struct state_lineage *lineage, unsigned int waits, int64_t wait_s,
			    int64_t now_s);

/* What was written into the state. */
struct consequence_result {
	bool is_postponed; /* the CA has asked to wait */
	bool keeps_order; /* with its key, for a later attempt */
	int64_t next_attempt_s; /* Unix time; 0: none without an operator */
};

/*
 * `stored` is the lineage's new certificate, which is in use.  `failure` says why the state could not
 * be written; the certificate stays.
 */
void consequence_of_success(struct state *state, const struct state_lineage *lineage,
			    const struct stored *stored, struct failure *failure);

/* How far the order came. */
enum consequence_order {
	CONSEQUENCE_NO_ORDER, /* the state has none */
	CONSEQUENCE_ORDER_BEGUN, /* the state has it; the CA may not have heard of it */
	CONSEQUENCE_ORDER_OPEN, /* its URL is known, and its key is on the disk */
};

/*
 * Write what follows for the lineage: that it waits, where it is tried next, and whether it failed.
 * What follows for others (an account, a CA, this host) is the scheduler's.  Nothing is written when
 * the lineage has no order and others wait: then a CA that is down costs no write for each lineage.
 * 0 or -errno of the state; *ret_result is set all the same.
 */
int consequence_of_failure(struct state *state, const struct state_lineage *lineage,
			   const struct failure *failure, enum consequence_order order,
			   struct consequence_result *ret_result);

/* The CA after the lineage's present one, as a new string; NULL: there is no other, or no memory. */
char *consequence_next_ca(const struct state_lineage *lineage);

/* Records a certificate that is on the disk and not in the state, as consequence_of_success() does.
 * 0 or -errno. */
int consequence_of_found(struct state *state, int64_t lineage, const struct stored *stored);

#endif
