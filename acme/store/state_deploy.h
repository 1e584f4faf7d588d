/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which certificates the servers do not use yet: a part of the state (state.h has the rules of errors,
 * batches and lists).
 *
 * A lineage has the generation in use on the disk, the generation whose hooks have run, and the last
 * one that a server refused.  While the first two differ the hooks are due: so a process that dies
 * between the issuance and the hooks leaves them to the next.  A refused generation that is later than
 * the one in use was left for it; the one in use may itself be refused, when going back did not help.
 *
 * state_order_succeeded() sets the generation of a new certificate, and makes its hooks due at once.
 */
#ifndef ACME_STORE_STATE_DEPLOY_H
#define ACME_STORE_STATE_DEPLOY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct state;
struct state_certificate;

/* What is not deployed.  Texts live until the callback returns. */
struct state_undeployed {
	int64_t id; /* of the lineage */
	const char *name;
	int64_t generation;
	unsigned int failures; /* in a row */
	int64_t due_at_s;
};

/*
 * At most `max` lineages whose hooks are due, the longest due first.  `each` returns 0 to go on,
 * anything else to end, which is then returned.
 */
int state_undeployed(struct state *state, int64_t now_s, size_t max,
		     int (*each)(void *context, const struct state_undeployed *undeployed),
		     void *context);

/* When the next hooks are due, perhaps in the past; 0: never. */
int state_next_deploy(struct state *state, int64_t *ret_at_s);

/*
 * How the hooks of `generation` ended.  -EAGAIN: another generation is in use by now, so this says
 * nothing of it, and nothing is written.  -ENOENT: there is no such lineage.
 */
int state_deployed(struct state *state, int64_t id, int64_t generation);

/* They could not run, or failed, for the reason `text`: run them again at next_s, at most two days
 * ahead. */
int state_deploy_failed(struct state *state, int64_t id, int64_t generation, const char *text,
			int64_t next_s);

/*
 * A server does not accept `generation`, for the reason `text`: `present`, an earlier one, is in use
 * again, and its hooks are due.  Its moments decide when the next order comes; state_postpone() may put
 * it off.  At again_s the refused one is due to be tried once more, for nothing need be wrong with it.
 */
int state_deploy_refused(struct state *state, int64_t id, int64_t generation, const char *text,
			 const struct state_certificate *present, int64_t again_s);

/*
 * The refused generation, `present`, is in use again to be tried once more, or (NULL) is no longer there.
 * The order that was put off after the refusal is so no longer.
 */
int state_deploy_retried(struct state *state, int64_t id, const struct state_certificate *present);

/*
 * A server does not accept `generation` either, to which state_deploy_refused() went back: `present`,
 * the refused one, is in use again.  Its hooks run at next_s, and the next order is put off no longer.
 */
int state_deploy_returned(struct state *state, int64_t id, int64_t generation, const char *text,
			  const struct state_certificate *present, int64_t next_s);

/*
 * The disk has another generation than the state.  Its hooks are due, unless they have run already.
 */
int state_deploy_found(struct state *state, int64_t id, const struct state_certificate *present);

/* Something else changed the generation in use.  Its hooks run unless is_deployed. */
int state_set_generation(struct state *state, int64_t id, int64_t generation, bool is_deployed);

/* Run the hooks again, as if they had never run.  Also after a refusal. */
int state_redeploy(struct state *state, int64_t id);

#endif
