/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Letting servers know of new certificates, by hooks (hooks.h):
 *
 *	--deploy-hook and deploy/   for each certificate, as soon as it is in use
 *	reload/                     once for all that came since the last time: when no order is under
 *	                            way any more, and every DEPLOY_DELAY_MAX_S at the latest.  They test
 *	                            a server's configuration and have it reload.  When one fails, the
 *	                            previous certificates are put to use again, and reload/ is run for them
 *	post/                       at the end, also with the names of orders that have failed
 *
 * There is no pre/: what such hooks do, stopping a server, Sidestep never needs.
 */
#ifndef ACME_RENEWAL_DEPLOY_H
#define ACME_RENEWAL_DEPLOY_H

#include <stdbool.h>
#include <stdint.h>

struct deploy;
struct failure;
struct loop;
struct paths;
struct state;
struct state_lineage;
struct stored;
struct string_list;

#define DEPLOY_DELAY_MAX_S 60

struct deploy_options {
	struct loop *loop;
	const struct paths *paths;
	struct state *state;
	uint32_t pause_ms; /* at least, between two reloads */
	/* Something went wrong; `name` is the certificate's, NULL: of none alone. */
	void (*failed)(void *context, const char *name, const struct failure *failure);
	/* Nothing is left to be done. */
	void (*idle)(void *context);
	void *context;
};

/* What it is given must outlive it.  0 or -ENOMEM. */
int deploy_new(struct deploy **ret_deploy, const struct deploy_options *options);
void deploy_free(struct deploy *deploy);

/* `stored` is the lineage's new certificate, which is in use. */
void deploy_certificate(struct deploy *deploy, const struct state_lineage *lineage,
			const struct stored *stored);

/* An order for these names has failed. */
void deploy_note_failure(struct deploy *deploy, const struct string_list *identifiers);

/* No order is under way.  False: there is nothing to be done, and `idle` will not be called. */
bool deploy_finish(struct deploy *deploy);

#endif
