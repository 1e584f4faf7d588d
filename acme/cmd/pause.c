// SPDX-License-Identifier: GPL-3.0-or-later
/* `sidestep pause`, `unpause` and `retry`: for one certificate or many. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "acme/cmd/select.h"
#include "acme/cmd/verbs.h"
#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/store/state.h"
#include "acme/store/state_deploy.h"
#include "acme/util/failure.h"
#include "acme/util/output.h"
#include "common/clock.h"

#define AT_ONCE      1000 /* rows in one transaction */
#define PAUSE_REASON "by the operator"
#define RETRY_REASON "the operator retries it"

struct changing {
	const struct arguments *arguments;
	struct state *state;
	/* Change one, if that is for it: 1; 0: it is not; or -errno. */
	int (*change)(struct changing *changing, const struct state_lineage *lineage);
	json_t *names; /* that were changed */
	struct failure failure;
};

/* --- one certificate ------------------------------------------------------------------------------ */

static int pause_one(struct changing *changing, const struct state_lineage *lineage)
{
	const char *reason = changing->arguments->reason;
	int err;

	if (lineage->status == STATE_RETIRED)
		return 0;
	err = state_pause(changing->state, lineage->id, reason ? reason : PAUSE_REASON);
	return err ? err : 1;
}

static int unpause_one(struct changing *changing, const struct state_lineage *lineage)
{
	int err;

	if (lineage->status != STATE_PAUSED)
		return 0;
	err = state_pause(changing->state, lineage->id, NULL);
	return err ? err : 1;
}

/* What waits after a failure, or until somebody acts, is due now; hooks that failed run again. */
static int retry_one(struct changing *changing, const struct state_lineage *lineage)
{
	int err = 0, changed = 0;

	if (lineage->status == STATE_PAUSED)
		err = state_pause(changing->state, lineage->id, NULL);
	if (!err && (lineage->status == STATE_PAUSED || lineage->status == STATE_RETRYING ||
		     lineage->status == STATE_HELD)) {
		err = state_postpone(changing->state, lineage->id, clock_now_s(), NULL,
				     RETRY_REASON);
		changed = 1;
	}
	if (!err && lineage->deploy_failure && lineage->status != STATE_RETIRED) {
		err = state_redeploy(changing->state, lineage->id);
		changed = 1;
	}
	return err ? err : changed;
}

/* --- all of them ---------------------------------------------------------------------------------- */

static int change_id(struct changing *changing, int64_t id)
{
	struct state_lineage lineage;
	int result = state_lineage_read(changing->state, id, &lineage);

	if (result)
		return result == -ENOENT ? 0 : result;
	result = changing->change(changing, &lineage);
	if (result > 0)
		json_array_append_new(changing->names, json_string(lineage.spec.name));
	state_lineage_done(&lineage);
	return result < 0 ? result : 0;
}

/* In transactions of some size: a running daemon writes, too. */
static int change_ids(struct changing *changing, const int64_t *ids, size_t count)
{
	size_t i = 0, end;
	int err = 0;

	while (!err && i < count) {
		err = state_begin(changing->state);
		if (err)
			return err;
		for (end = i + AT_ONCE; !err && i < count && i < end; i++)
			err = change_id(changing, ids[i]);
		if (!err)
			err = state_commit(changing->state);
		else
			state_rollback(changing->state);
	}
	return err;
}

static void change_selected(struct changing *changing, const struct settings *settings)
{
	const struct arguments *arguments = changing->arguments;
	struct failure *failure = &changing->failure;
	struct selection selection;
	int64_t *ids = NULL;
	size_t count;
	int err;

	if (select_begin(&selection, arguments, settings, failure))
		return;
	if (!select_is_some(&selection) && !arguments->all) {
		failure_set(failure, "name them, or give --ca, --tenant, --failed or --all",
			    "it is not said which certificates are meant");
		return;
	}
	if (state_open(&changing->state, settings->paths, failure))
		return;
	if (!select_ids(&selection, changing->state, &ids, &count, failure)) {
		err = change_ids(changing, ids, count);
		if (err)
			state_explain(changing->state, err, failure);
	}
	free(ids);
	state_free(changing->state);
}

static int change_many(struct changing *changing, const struct settings *settings, const char *done,
		       const char *none)
{
	struct failure *failure = &changing->failure;
	int status = EXIT_DONE;
	size_t i;

	changing->names = json_array();
	change_selected(changing, settings);
	if (failure_is_set(failure)) {
		status = output_fatal(failure);
	} else {
		for (i = 0; i < json_array_size(changing->names); i++)
			output_line("%s: %s", json_string_value(json_array_get(changing->names, i)),
				    done);
		if (!json_array_size(changing->names))
			output_line("%s", none);
		output_document(json_pack("{s:b, s:O}", "ok", 1, "names", changing->names));
	}
	json_decref(changing->names);
	failure_done(failure);
	return status;
}

int verb_pause(const struct arguments *arguments, const struct settings *settings)
{
	struct changing changing = {.arguments = arguments, .change = pause_one};

	return change_many(&changing, settings, "paused; `sidestep unpause` lets it go on",
			   "No certificate is paused.");
}

int verb_unpause(const struct arguments *arguments, const struct settings *settings)
{
	struct changing changing = {.arguments = arguments, .change = unpause_one};

	return change_many(&changing, settings, "goes on", "None of them was paused.");
}

int verb_retry(const struct arguments *arguments, const struct settings *settings)
{
	struct changing changing = {.arguments = arguments, .change = retry_one};

	return change_many(&changing, settings,
			   "due now; `sidestep run`, or the next `sidestep renew`, tries it",
			   "None of them waits after a failure.");
}
