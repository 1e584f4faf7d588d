/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Opens in the right order what renewals need: the state, the challenge table, the net and the
 * engine.  Reports the end of each order and deploys its certificate.
 */
#ifndef ACME_RENEWAL_AGENT_H
#define ACME_RENEWAL_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme/net/net.h"

struct settings;
struct ca_pool;
struct challenge_table;
struct compare;
struct compare_options;
struct deploy;
struct deploy_options;
struct engine;
struct engine_options;
struct engine_result;
struct failure;
struct json_t;
struct state;
struct ari_poll;

struct agent {
	const struct settings *settings;
	struct state *state;
	struct challenge_table *table;
	struct net net;
	struct engine_options *options;
	struct engine *engine;
	struct ca_pool *ca_pool;
	struct ari_poll *ari_poll;
	struct deploy_options *deploy_options;
	struct deploy *deploy;
	struct compare_options *compare_options;
	struct compare *compare;
	struct notices *notices;
	bool waits_for_notices; /* before `idle` */
	uint32_t reload_pause_ms; /* at least, between two reloads of the servers */
	size_t renewed, failed, postponed;
	size_t undeployed; /* certificates whose hooks have failed */
	bool has_hook_failed; /* theirs, or another */
	struct json_t *results; /* an array, one of each order; NULL: they are not kept */
	/*
	 * One certificate that somebody asks for: the configuration is not read into the state, each
	 * step is shown, and these two report what the agent otherwise reports itself.
	 */
	bool is_single;
	bool is_once; /* this run takes each certificate once: what is due at its beginning */
	bool reconciles_later; /* the caller brings the configuration into the state, in steps */
	void (*finished)(void *context, const struct engine_result *result);
	void (*hook_failed)(void *context, const struct failure *failure);
	void (*idle)(void *context); /* no order is under way any more, and no hook */
	void (*compared)(void *context); /* state and disk; NULL: nobody waits for it */
	void (*polled)(void *context); /* the CAs have answered what was due to be asked */
	void *context;
};

/*
 * `agent` holds settings, reload_pause_ms, results, is_single with its two functions, reconciles_later,
 * idle, polled and context.  0, or -1 with `failure` filled in: closed.
 */
int agent_open(struct agent *agent, struct failure *failure);

/*
 * Compare state and disk (compare.h), if that has not been done for a day, or `always`.  False: it has;
 * else `compared` is called.
 */
bool agent_compare(struct agent *agent, bool always);

/* The database is damaged: nothing that it says is to be relied on.  `failure` says what to do. */
bool agent_is_damaged(const struct agent *agent, struct failure *failure);

/* No order is under way: run the hooks that are due, then call `idle`. */
void agent_finish(struct agent *agent);

/* Run the hooks that are due, also of certificates of another process. */
void agent_deploy(struct agent *agent);

/* Orders under way keep the old settings, which may be freed then; others use these. */
void agent_settings_changed(struct agent *agent, const struct settings *settings);

/* Leaves what is under way for the next process. */
void agent_close(struct agent *agent);

#endif
