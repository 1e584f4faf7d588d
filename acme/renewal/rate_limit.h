/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a CA still allows: its documented limits, less what this host has used, and the pauses that
 * it asked for.  Both are in the state, so that they survive restarts and all processes share them.
 * The limits are Let's Encrypt's documented ones, and those of the configuration: [ca] orders-limit,
 * domain-limit and set-limit.
 */
#ifndef ACME_RENEWAL_RATE_LIMIT_H
#define ACME_RENEWAL_RATE_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rate_limit;
struct settings;
struct failure;
struct json_t;
struct state;
struct string_list;

/* What it is given must outlive it.  0 or -ENOMEM. */
int rate_limit_new(struct rate_limit **ret_rate_limit, struct state *state,
		   const struct settings *settings);
void rate_limit_free(struct rate_limit *rate_limit);

/* From now on these hold. */
void rate_limit_settings_changed(struct rate_limit *rate_limit, const struct settings *settings);

/* Whether any limit of this CA is known. */
bool rate_limit_has_limits(const struct rate_limit *rate_limit, const char *server);

/*
 * How many orders the account (never NULL) at the CA may begin now, and, if none, when the next; and
 * whether the CA has asked to wait, so that there may be none of any kind.  0 or -errno of the state.
 */
int rate_limit_orders(struct rate_limit *rate_limit, const char *server, const char *account,
		      int64_t now_s, size_t *ret_count, bool *ret_is_held, int64_t *ret_next_s);

struct rate_limit_order {
	const char *server;
	const char *account; /* never NULL */
	const struct string_list *identifiers;
	/* The CA has issued a certificate for exactly these names: no limit of a domain counts it. */
	bool is_renewal;
};

/*
 * When it may be made by all limits and pauses; *ret_at_s is 0 when that is now.  Else `failure` says
 * which of them it is.  0 or -errno of the state.
 */
int rate_limit_when(struct rate_limit *rate_limit, const struct rate_limit_order *order,
		    int64_t now_s, int64_t *ret_at_s, struct failure *failure);

/*
 * It is about to be made: reserve what it takes from all limits.  To be called in the batch of
 * state_order_begin().  0 or -errno.
 */
int rate_limit_take(struct rate_limit *rate_limit, const struct rate_limit_order *order,
		    int64_t now_s);

/*
 * It ended without a certificate.  Limits of names count certificates, and limits of accounts orders
 * that the CA made (`was_made`): give back the others.  0 or -errno.
 */
int rate_limit_give_back(struct rate_limit *rate_limit, const struct rate_limit_order *order,
			 bool was_made);

/* The CA could not validate the name for this account.  0 or -errno. */
int rate_limit_note_failed(struct rate_limit *rate_limit, const char *server, const char *account,
			   const char *name, int64_t now_s);

/*
 * The account's limit of orders, and its pause, as a new object: {"server", "account", "now",
 * "orders_limit" (0: none), "window" (seconds), "left", "next", "held_until" (Unix times; 0: not)}.
 * NULL: out of memory, or the state cannot be read.
 */
struct json_t *rate_limit_to_json(struct rate_limit *rate_limit, const char *server,
				  const char *account, int64_t now_s);

#endif
