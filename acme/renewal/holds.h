/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What waits as a whole after a failure: CAs, accounts at them, and this host.  When a CA's or an
 * account's wait ends is in the state, so that all processes obey it; how often it was refused in a
 * row, and the rest of the host, are this process's.
 */
#ifndef ACME_RENEWAL_HOLDS_H
#define ACME_RENEWAL_HOLDS_H

#include <stdbool.h>
#include <stdint.h>

struct consequence;
struct holds;
struct state;

/* `state` must outlive it.  0 or -ENOMEM. */
int holds_new(struct holds **ret_holds, struct state *state);
void holds_free(struct holds *holds);

/* --- CAs and accounts --- */

/* How often in a row the CA, or this account there, has refused; 0: it is well. */
unsigned int holds_refusals(const struct holds *holds, const char *server, const char *account);

/*
 * An order was refused, for a reason of the account's, or of the CA's ("").  It waits as the
 * consequence says; who meets a wait that has begun does not prolong it.  *ret_until_s (Unix time) is
 * its end, *ret_waits the number of waits in a row, at least 1.  0 or -errno of the state.
 */
int holds_note_refusal(struct holds *holds, const char *server, const char *account,
		       const struct consequence *consequence, int64_t *ret_until_s,
		       unsigned int *ret_waits);

/* An order went well with both. */
void holds_note_well(struct holds *holds, const char *server, const char *account);

/* Whether to look now for what leaves a CA that waits: once a minute. */
bool holds_must_look(struct holds *holds, const char *server);

/* --- this host --- */

/*
 * An order failed for a reason of this host's.  One certificate's directory may be unusable: so only
 * the third failure in a row has all orders wait; a database that cannot be written (`is_certain`)
 * at once.
 */
void holds_note_host_failure(struct holds *holds, const struct consequence *consequence,
			     bool is_certain);
void holds_note_host_well(struct holds *holds);

/* For how many seconds no order begins; 0: orders may begin. */
int64_t holds_host_rest_s(const struct holds *holds);

#endif
