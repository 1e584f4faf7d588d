// SPDX-License-Identifier: GPL-3.0-or-later
/* `sidestep restore`: an earlier certificate is used again. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>

#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/renewal/certificate_facts.h"
#include "acme/store/state.h"
#include "acme/store/state_deploy.h"
#include "acme/store/store.h"
#include "acme/store/store_history.h"
#include "acme/util/failure.h"
#include "acme/util/output.h"
#include "acme/cmd/show.h"
#include "acme/cmd/verbs.h"
#include "common/clock.h"

/* Whoever restores one does not want the next at once, which is due when little of its life is left. */
#define RENEWAL_PAUSE_S (2 * 86400)

/* 0 or -1 with the failure filled in. */
static int restore_files(const struct settings *settings, const struct arguments *arguments,
			 struct failure *failure)
{
	int64_t generation;
	int err = store_restore(settings->paths, arguments->name, arguments->generation,
				&generation, failure);

	if (err == -ENOENT && arguments->generation)
		failure_set(failure, "ls /var/lib/sidestep/archive/NAME shows them",
			    "there is no certificate %s of the number %u", arguments->name,
			    arguments->generation);
	else if (err == -ENOENT)
		failure_set(failure, "`sidestep certificates` lists them",
			    "there is no certificate called %s, or none before the present one",
			    arguments->name);
	return err ? -1 : 0;
}

/* The state has what is on the disk now: its hooks are due, and its renewal is not. */
static int restore_state(struct state *state, const struct stored *stored)
{
	struct state_certificate present;
	struct state_lineage lineage;
	int err = state_lineage_find(state, stored->name, &lineage);

	if (err)
		return err == -ENOENT ? 0 : err;
	certificate_facts_fill(&present, stored, lineage.spec.settings.renew_before);
	err = state_begin(state);
	if (!err) {
		err = state_deploy_found(state, lineage.id, &present);
		if (!err)
			err = state_redeploy(state, lineage.id);
		if (!err)
			err = state_postpone(state, lineage.id, clock_now_s() + RENEWAL_PAUSE_S,
					     NULL, "an earlier certificate was restored");
		if (err)
			state_rollback(state);
		else
			err = state_commit(state);
	}
	state_lineage_done(&lineage);
	return err;
}

static void restore(const struct settings *settings, const struct arguments *arguments,
		    struct state *state, struct stored *ret_stored, struct failure *failure)
{
	int err;

	if (restore_files(settings, arguments, failure))
		return;
	err = store_read(ret_stored, settings->paths, arguments->name);
	if (err) {
		failure_set_errno(failure, -err, "cannot read the restored certificate %s",
				  arguments->name);
		return;
	}
	err = restore_state(state, ret_stored);
	if (err)
		state_explain(state, err, failure);
}

static int report(const struct stored *stored)
{
	output_line("The earlier certificate is in use, as archive/%s/%" PRId64
		    ". Its hooks run within a minute if `sidestep run` is running, or by `sidestep "
		    "renew`; it is not renewed for two days.",
		    stored->name, stored->generation);
	show_text(stored, clock_now_s());
	output_document(json_pack("{s:b, s:o}", "ok", 1, "certificate", show_json(stored)));
	return EXIT_DONE;
}

int verb_restore(const struct arguments *arguments, const struct settings *settings)
{
	struct failure failure = {0};
	struct stored stored = {0};
	struct state *state;
	int status;

	if (!state_open(&state, settings->paths, &failure)) {
		restore(settings, arguments, state, &stored, &failure);
		state_free(state);
	}
	status = failure_is_set(&failure) ? output_fatal(&failure) : report(&stored);
	stored_done(&stored);
	failure_done(&failure);
	return status;
}
