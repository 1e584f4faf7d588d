/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decides which orders are made now: those that the state says are due, as far as the CAs allow.
 * Nobody else knows of limits (rate_limit.h) and of the pauses that CAs ask for.
 *
 * A CA or an account that has failed is held for a while (consequence.h); then one order probes it, and
 * only when that ends well do the others follow.  So a CA that is down costs the same, whatever is
 * due.  What is held goes to the certificate's next CA after some waits, or when a third of its life
 * is left.  After several failures in a row of this host nothing begins for a while.
 *
 * A CA that has renewal information does not count the replacement of a certificate inside of the
 * window that it suggests (RFC 9773 section 5): such orders go first and never wait for a limit.  An order that would wait for one
 * CA's limit goes to the certificate's next CA, if it has one.
 */
#ifndef ACME_RENEWAL_SCHEDULER_H
#define ACME_RENEWAL_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct failure;
struct json_t;
struct scheduler;
struct settings;
struct state;
struct state_lineage;

#define SCHEDULER_MAX 100

/* Lineages, none of them twice. */
struct scheduler_list {
	int64_t ids[SCHEDULER_MAX];
	size_t count;
};

/* What this process is at work on. */
struct scheduler_under_way {
	bool (*has_lineage)(void *context, int64_t lineage);
	bool (*has_ca)(void *context, const char *server);
	void *context;
};

/* What it is given must outlive it; `under_way` NULL: to ask about limits only.  0 or -ENOMEM. */
int scheduler_new(struct scheduler **ret_scheduler, struct state *state,
		  const struct settings *settings, const struct scheduler_under_way *under_way);
void scheduler_free(struct scheduler *scheduler);

/* The limits of the new settings hold from now on. */
void scheduler_settings_changed(struct scheduler *scheduler, const struct settings *settings);

/* From here on only what was due at this moment (Unix seconds) is due. */
void scheduler_set_moment(struct scheduler *scheduler, int64_t moment_s);

/*
 * The lineages to order for now, at most `max` (which SCHEDULER_MAX bounds).  *ret_is_limited: more
 * are due than the CAs allow.  0 or -errno of the state.
 */
int scheduler_next(struct scheduler *scheduler, size_t max, struct scheduler_list *ret_list,
		   bool *ret_is_limited);

/*
 * The lineages whose order began before `made_before_s` and did not end, at most `max`: a process
 * may have died over them.  Left out are those that this process is at work on, those that another
 * living process was found to be at work on a moment ago, and those whose CA waits.  0 or -errno.
 */
int scheduler_in_flight(struct scheduler *scheduler, int64_t made_before_s, size_t max,
			struct scheduler_list *ret_list);

/* When the next order can be made, perhaps in the past; 0: never, or that cannot be known. */
int64_t scheduler_next_s(struct scheduler *scheduler);

/*
 * When the lineage's next order may be made by all limits and pauses of the CA; *ret_at_s is 0 when
 * that is now.  Otherwise `failure` says which of them stands in the way.  0 or -errno.
 */
int scheduler_wait_until(struct scheduler *scheduler, const struct state_lineage *lineage,
			 int64_t *ret_at_s, struct failure *failure);

/*
 * Write that an order for the lineage is about to be made, and take it from the CA's limits, in one
 * transaction; an earlier order that did not end is forgotten.  *ret_is_counted: it took from the
 * limits.  0 or -errno of the state.
 */
int scheduler_reserve(struct scheduler *scheduler, const struct state_lineage *lineage,
		      bool *ret_is_counted);

/* How an order ended that got no certificate and is not kept. */
struct scheduler_end {
	bool is_counted; /* as scheduler_reserve() said */
	bool was_made; /* the CA has made the order */
	const char *const *failed; /* the names that the CA could not validate */
	size_t failed_count;
};

/* Give the limits back what it did not use, and take from them what it did. */
void scheduler_settle(struct scheduler *scheduler, const struct state_lineage *lineage,
		      const struct scheduler_end *end);

/* The lineage's order succeeded: its CA and its account are well. */
void scheduler_note_success(struct scheduler *scheduler, const struct state_lineage *lineage);

/*
 * The lineage's order failed.  Its CA, its account or this host waits, if consequence.h says so for
 * this failure; a failure that is the name's own shows that CA and account are well.  Call it when
 * what follows for the lineage is written: it may leave the CA now, without its order.  Whether it
 * did.
 */
bool scheduler_note_failure(struct scheduler *scheduler, const struct state_lineage *lineage,
			    const struct failure *failure);

/* rate_limit_to_json() for the account that is usual at this CA. */
struct json_t *scheduler_limits_to_json(struct scheduler *scheduler, const char *server,
					int64_t now_s);

#endif
