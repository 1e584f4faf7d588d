// SPDX-License-Identifier: GPL-3.0-or-later
/* `sidestep delete`. */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/renewal/reconcile.h"
#include "acme/util/failure.h"
#include "acme/store/store_history.h"
#include "acme/util/output.h"
#include "acme/store/state.h"
#include "acme/cmd/verbs.h"

struct deleting {
	const char *name;
	struct state *state;
	bool was_known;
	bool is_configured; /* it will be ordered again */
};

/*
 * Delete the row first.  Files without a row do no harm; a row without files would be ordered
 * again.
 */
static int forget_lineage(void *context, struct failure *failure)
{
	struct deleting *deleting = context;
	struct state_lineage lineage;
	int err;

	err = state_lineage_find(deleting->state, deleting->name, &lineage);
	if (!err) {
		deleting->is_configured = lineage.status != STATE_RETIRED &&
					  strcmp(lineage.spec.source, RECONCILE_SOURCE) == 0;
		err = state_lineage_delete(deleting->state, lineage.id);
		state_lineage_done(&lineage);
		deleting->was_known = !err;
	}
	if (err && err != -ENOENT)
		state_explain(deleting->state, err, failure);
	return failure_is_set(failure) ? -1 : 0;
}

/* The name is locked before anything is deleted: an order for it may be under way. */
static void delete_certificate(const struct settings *settings, const char *name,
			       struct failure *failure)
{
	struct deleting deleting = {.name = name};
	int err;

	if (state_open(&deleting.state, settings->paths, failure))
		return;
	err = store_delete(settings->paths, name, forget_lineage, &deleting, failure);
	state_free(deleting.state);
	if (err == -ENOENT && !deleting.was_known)
		failure_set(failure, "`sidestep certificates` lists them",
			    "there is no certificate called %s", name);
	else if (!err && deleting.is_configured)
		output_warning(
			"the configuration still names %s: remove it there, or it is ordered "
			"again when the configuration has changed",
			name);
}

int verb_delete(const struct arguments *arguments, const struct settings *settings)
{
	struct failure failure = {0};
	int status;

	delete_certificate(settings, arguments->name, &failure);
	if (failure_is_set(&failure)) {
		status = output_fatal(&failure);
	} else {
		output_line("Deleted the certificate %s.", arguments->name);
		output_document(json_pack("{s:b, s:s}", "ok", 1, "name", arguments->name));
		status = EXIT_DONE;
	}
	failure_done(&failure);
	return status;
}
