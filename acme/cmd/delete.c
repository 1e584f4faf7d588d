// SPDX-License-Identifier: GPL-3.0-or-later
/* `sidestep delete`. */
#include <errno.h>
#include <jansson.h>

#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/util/failure.h"
#include "acme/store/store_writer.h"
#include "acme/util/output.h"
#include "acme/store/state.h"
#include "acme/store/store.h"
#include "acme/cmd/verbs.h"

/*
 * Delete the row first.  Files without a row do no harm; a row without files would be ordered
 * again.
 */
static int delete_from_state(const struct settings *settings, const char *name,
			     struct failure *failure)
{
	struct state_lineage lineage;
	struct state *state;
	int err;

	if (state_open(&state, settings->paths, failure))
		return -1;
	err = state_lineage_find(state, name, &lineage);
	if (!err) {
		err = state_lineage_delete(state, lineage.id);
		state_lineage_done(&lineage);
	}
	if (err && err != -ENOENT)
		state_explain(state, err, failure);
	state_free(state);
	return failure_is_set(failure) ? -1 : 0;
}

int verb_delete(const struct arguments *arguments, const struct settings *settings)
{
	struct failure failure = {0};
	struct stored stored = {0};
	int err, status;

	err = store_read(&stored, settings->paths, arguments->name);
	if (err == -ENOENT)
		failure_set(&failure, "`sidestep certificates` lists them",
			    "there is no certificate called %s", arguments->name);
	else if (err && err != -EBADMSG)
		failure_set_errno(&failure, -err, "cannot read the certificate %s",
				  arguments->name);
	if (!failure_is_set(&failure) && !delete_from_state(settings, arguments->name, &failure))
		store_delete(settings->paths, arguments->name, &failure);
	stored_done(&stored);
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
