/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Everything that renewing needs, opened in the right order: the state, the table, the net and
 * the engine; and what is done and said at the end of each order.  Used by renew and run.
 */
#ifndef RENEWALS_H
#define RENEWALS_H

#include <stddef.h>
#include <stdint.h>

#include "acme/net/net.h"

struct arguments;
struct challenge_table;
struct deploy;
struct deploy_options;
struct engine;
struct engine_options;
struct failure;
struct json_t;
struct state;
struct windows;

struct renewals {
	const struct arguments *arguments;
	struct state *state;
	struct challenge_table *table;
	struct net net;
	struct engine_options *options;
	struct engine *engine;
	struct windows *windows;
	struct deploy_options *deploy_options;
	struct deploy *deploy;
	uint32_t reload_pause_ms; /* at least, between two reloads of the servers */
	size_t renewed, failed, postponed;
	struct json_t *results; /* an array, one of each order; NULL: they are not kept */
	void (*idle)(void *context); /* no order is under way any more, and no hook */
	void (*asked)(void *context); /* all windows that were to be asked for are known */
	void *context;
};

/* `renewals` holds arguments, reload_pause_ms, results, idle, asked and context.  0, or -1 with `failure`: closed. */
int renewals_open(struct renewals *renewals, struct failure *failure);

/* What is under way is left for the next process. */
void renewals_close(struct renewals *renewals);

#endif
