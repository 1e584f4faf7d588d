// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/deploy_outcome.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "acme/renewal/certificate_facts.h"
#include "acme/store/state.h"
#include "acme/store/state_deploy.h"
#include "acme/store/store.h"
#include "acme/store/store_history.h"
#include "acme/util/failure.h"
#include "acme/util/output.h"
#include "common/clock.h"

/* Failed hooks run again after a minute, then four times as long each time. */
#define RETRY_FIRST_S 60
#define RETRY_LAST_S  (4 * 3600)

/*
 * A refused certificate may be sound, and its server's configuration be wrong for a while: it is tried again
 * after an hour, then four times as long each time.
 */
#define AGAIN_FIRST_S 3600
#define AGAIN_LAST_S  86400

/* After going back: an operator has the time to act, and the CA's weekly limit is not reached. */
#define REORDER_S     (2 * 86400)
#define REORDER_MIN_S 3600

#define TEXT_MAX 1024

static int64_t later_s(int64_t first_s, int64_t last_s, unsigned int failures)
{
	int64_t wait_s = first_s;

	while (failures-- && wait_s < last_s)
		wait_s *= 4;
	return clock_now_s() + (wait_s < last_s ? wait_s : last_s);
}

static int64_t retry_at_s(unsigned int failures)
{
	return later_s(RETRY_FIRST_S, RETRY_LAST_S, failures);
}

/* Another generation is in use by now, or the lineage is gone: then this says nothing. */
static int end_outcome(const struct deploy_outcome_of *of, int err, struct failure *failure)
{
	if (!err || err == -EAGAIN || err == -ENOENT)
		return 0;
	state_explain(of->state, err, failure);
	return -1;
}

int deploy_outcome_done(const struct deploy_outcome_of *of, const struct store_retention *retention,
			struct failure *failure)
{
	struct failure ignored = {0};
	int err = state_deployed(of->state, of->lineage, of->generation);

	if (!err && store_prune(of->paths, of->name, retention, &ignored) == -1)
		output_warning("%s: old certificates are not removed: %s", of->name, ignored.cause);
	failure_done(&ignored);
	return end_outcome(of, err, failure);
}

int deploy_outcome_failed(const struct deploy_outcome_of *of, const char *why,
			  struct failure *failure)
{
	struct state_lineage lineage;
	int err = state_lineage_read(of->state, of->lineage, &lineage);

	if (!err) {
		err = state_deploy_failed(of->state, of->lineage, of->generation, why,
					  retry_at_s(lineage.deploy_failures));
		state_lineage_done(&lineage);
	}
	return end_outcome(of, err, failure);
}

/* --- refused ------------------------------------------------------------------------------------ */

/* An earlier certificate has less time left: it is not put off for longer than a third of that. */
static int64_t reorder_at_s(const struct state_certificate *present)
{
	int64_t now_s = clock_now_s(), wait_s = (present->not_after_s - now_s) / 3;

	if (wait_s > REORDER_S)
		wait_s = REORDER_S;
	return now_s + (wait_s < REORDER_MIN_S ? REORDER_MIN_S : wait_s);
}

/* Without the lineage's row there is nothing to write either. */
static void fill_facts(const struct deploy_outcome_of *of, struct state_certificate *ret_present,
		       const struct stored *stored)
{
	struct state_lineage lineage;
	int err = state_lineage_read(of->state, of->lineage, &lineage);

	certificate_facts_fill(ret_present, stored,
			       err ? NULL : lineage.spec.settings.renew_before);
	if (!err)
		state_lineage_done(&lineage);
}

/* The state has what is on the disk now.  0 or -errno. */
static int note_change(const struct deploy_outcome_of *of, const char *why, bool is_back,
		       unsigned int failures)
{
	struct state_certificate present;
	struct stored stored;
	int err = store_read(&stored, of->paths, of->name);

	if (err)
		return err;
	fill_facts(of, &present, &stored);
	err = state_begin(of->state);
	if (err) {
		stored_done(&stored);
		return err;
	}
	if (is_back)
		err = state_deploy_refused(of->state, of->lineage, of->generation, why, &present,
					   later_s(AGAIN_FIRST_S, AGAIN_LAST_S, failures));
	else
		err = state_deploy_returned(of->state, of->lineage, of->generation, why, &present,
					    retry_at_s(failures));
	if (!err && is_back)
		err = state_postpone(of->state, of->lineage, reorder_at_s(&present), NULL,
				     "a server refused the new certificate");
	if (err)
		state_rollback(of->state);
	else
		err = state_commit(of->state);
	stored_done(&stored);
	return err;
}

/* A failure of the store leaves the certificate in use: that is what the hooks have failed for. */
static int keep_refused(const struct deploy_outcome_of *of, const struct failure *told,
			struct failure *failure)
{
	return deploy_outcome_failed(of, told->cause, failure);
}

/* Kept short: `why` comes from a hook's name and has no end of its own. */
static int go_back(const struct deploy_outcome_of *of, unsigned int failures, const char *why,
		   struct failure *told, struct failure *failure)
{
	int err = store_go_back(of->paths, of->name, of->generation, told);

	if (err == -EAGAIN)
		return 0;
	if (err == -ENOENT)
		failure_set(told, "correct the server's configuration, then reload it",
			    "there is no certificate before this one to go back to: %s", why);
	if (err)
		return keep_refused(of, told, failure);
	failure_set(
		told,
		"correct the server's configuration, then run `sidestep renew "
		"--force-renewal --cert-name` with its name",
		"the previous certificate is in use again (the new one is in archive/%s/%" PRId64
		"): %s",
		of->name, of->generation, why);
	return end_outcome(of, note_change(of, told->cause, true, failures), failure);
}

static int go_forward(const struct deploy_outcome_of *of, int64_t refused, const char *why,
		      struct failure *told, struct failure *failure)
{
	if (store_go_forward(of->paths, of->name, refused, told)) {
		failure_set(told, "correct the server's configuration, then reload it",
			    "the refused certificate is no longer there: %s", why);
		return keep_refused(of, told, failure);
	}
	failure_set(
		told, "correct the server's configuration: the hooks run again by themselves",
		"the previous certificate is refused, too, so it is not the certificate's fault: the "
		"new one is in use again: %s",
		why);
	return end_outcome(of, note_change(of, told->cause, false, 1), failure);
}

int deploy_outcome_retry(const struct deploy_outcome_of *of, int64_t refused,
			 struct failure *failure)
{
	struct state_certificate present;
	struct failure ignored = {0};
	struct stored stored;
	int err = store_go_forward(of->paths, of->name, refused, &ignored);

	failure_done(&ignored);
	/* It is no longer there, or cannot be used: the next order replaces it. */
	if (err && err != STORE_BUSY)
		return end_outcome(of, state_deploy_retried(of->state, of->lineage, NULL), failure);
	if (err)
		return 0;
	err = store_read(&stored, of->paths, of->name);
	if (err) {
		failure_set_errno(failure, -err, "cannot read the certificate %s", of->name);
		return -1;
	}
	fill_facts(of, &present, &stored);
	err = state_deploy_retried(of->state, of->lineage, &present);
	stored_done(&stored);
	return end_outcome(of, err, failure);
}

int deploy_outcome_refused(const struct deploy_outcome_of *of, const char *why,
			   struct failure *ret_told, struct failure *failure)
{
	struct state_lineage lineage;
	int64_t generation, refused;
	unsigned int failures;
	int err = state_lineage_read(of->state, of->lineage, &lineage);

	if (err)
		return end_outcome(of, err, failure);
	generation = lineage.generation;
	refused = lineage.refused_generation;
	failures = lineage.deploy_failures;
	state_lineage_done(&lineage);
	if (generation != of->generation)
		return 0;
	if (refused > generation)
		return go_forward(of, refused, why, ret_told, failure);
	if (refused < generation)
		return go_back(of, failures, why, ret_told, failure);
	/* Going back has not helped before. */
	failure_set(ret_told,
		    "correct the server's configuration: the hooks run again by themselves", "%s",
		    why);
	return keep_refused(of, ret_told, failure);
}
