/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Letting servers know of new certificates, by hooks (hooks.h):
 *
 *	--deploy-hook and deploy/   for each certificate, as soon as it is in use
 *	reload/                     once for all that came since the last time: when no order is under
 *	                            way any more, and every DEPLOY_DELAY_MAX_S at the latest.  They test
 *	                            a server's configuration and have it reload
 *	post/                       at the end, also with the names of orders that have failed
 *
 * Whose hooks must run is in the state (store/state_deploy.h), so that a process that dies leaves the
 * rest to the next.  Hooks that fail are run again, later and later.  Only when a reload/ hook refuses the
 * configuration are the previous certificates put to use again, and all hooks run for them; when those
 * are refused as well, it is not the certificates' fault, and the new ones come back.
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
struct settings;
struct state;
struct string_list;

#define DEPLOY_DELAY_MAX_S 60

struct deploy_options {
	struct loop *loop;
	const struct paths *paths;
	struct state *state;
	const struct settings *settings;
	uint32_t pause_ms; /* at least, between two reloads */
	/* Only what deploy_certificate() names, and not all that the state has. */
	bool is_single;
	/* Something went wrong; `name` is the certificate's, NULL: of none alone. */
	void (*failed)(void *context, const char *name, const struct failure *failure);
	/* A certificate's hooks have not all succeeded: once each time, after `failed` has said why. */
	void (*undeployed)(void *context, const char *name, const struct failure *failure);
	/* Nothing is left to be done now. */
	void (*idle)(void *context);
	void *context;
};

/* What it is given must outlive it.  0 or -ENOMEM. */
int deploy_new(struct deploy **ret_deploy, const struct deploy_options *options);
void deploy_free(struct deploy *deploy);

void deploy_settings_changed(struct deploy *deploy, const struct settings *settings);

/* The lineage has a new certificate: the state has it already. */
void deploy_certificate(struct deploy *deploy, int64_t lineage);

/* Run what the state says is due.  `is_finishing`: no order is under way, so there is nothing to wait for. */
void deploy_look(struct deploy *deploy, bool is_finishing);

/* An order for these names has failed. */
void deploy_note_failure(struct deploy *deploy, const struct string_list *identifiers);

/* No order is under way.  False: there is nothing to be done, and `idle` will not be called. */
bool deploy_finish(struct deploy *deploy);

#endif
