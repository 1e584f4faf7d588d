/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Gets many certificates at once: those that the state (state.h) says are due, and those that a
 * caller asks for.  It owns the orders under way (job.h).  Each step of an order is in the state
 * before the next step begins, so that the next process resumes after a kill at any point.  While the
 * state cannot be written nothing new begins.
 */
#ifndef ACME_RENEWAL_ENGINE_H
#define ACME_RENEWAL_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct settings;
struct ca_pool;
struct challenge_table;
struct engine;
struct failure;
struct loop;
struct order;
struct state;
struct state_lineage;
struct stored;

/* Orders under way at once: a CA validates each in a second or so. */
#define ENGINE_ORDERS_MAX 100

/* Of one certificate, at its end.  Valid during the callback only. */
struct engine_result {
	const struct state_lineage *lineage; /* as it was before */
	const struct order *order; /* NULL: it did not come to one */
	const struct failure *failure; /* empty: the certificate is in use */
	const struct stored *stored; /* it; NULL: there is no new one */
	bool is_postponed; /* it failed for a reason that is not its own: the CA asks to wait */
	int64_t next_attempt_s; /* Unix time; 0: none without an operator */
};

struct engine_options {
	const struct settings *settings; /* at the start; see engine_settings_changed() */
	struct loop *loop;
	struct ca_pool *ca_pool;
	struct state *state;
	struct challenge_table **table; /* as in struct issue_env */
	bool shows_progress; /* of the steps of a single order */
	bool is_once; /* this run takes each lineage once: what is due at its beginning */
	/* A certificate is there, or an attempt has failed; it may call the engine. */
	void (*finished)(void *context, const struct engine_result *result);
	/* Nothing is under way any more, and nothing more can be taken now; it may free what it likes,
	   but not the engine. */
	void (*idle)(void *context);
	void *context;
};

/* What `options` points to must outlive it.  0 or -ENOMEM. */
int engine_new(struct engine **ret_engine, const struct engine_options *options);

/* Leaves what is under way for the next process; nothing stays armed. */
void engine_free(struct engine *engine);

/* Take one certificate, due or not, whatever the known limits; an order in flight is resumed.  It may
 * end before this returns.  0, or -1 with `failure`: the state cannot be read, or there is none. */
int engine_take(struct engine *engine, int64_t lineage, struct failure *failure);

/*
 * Resume the orders that were in flight when the last process died, and take all that is due, as
 * many at once as allowed: the others follow by themselves.  0, or -1 with `failure`.
 */
int engine_take_due(struct engine *engine, struct failure *failure);

/* When the next order will be due, perhaps in the past; 0: never, or that cannot be known, or the
 * state could not be written: engine_take_due() tries again. */
int64_t engine_next_order_s(struct engine *engine);

/* The CAs' settings have changed: orders under way keep the old ones, others use the new. */
void engine_settings_changed(struct engine *engine, const struct settings *settings);

/* Whether limits or pauses of the CAs allow fewer orders than are due. */
bool engine_is_limited(const struct engine *engine);

/* Nothing is under way, and `idle` is not about to be called either. */
bool engine_is_idle(const struct engine *engine);

/* How many are under way. */
size_t engine_count(const struct engine *engine);

#endif
