// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/cmd/select.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/store/state.h"
#include "acme/util/failure.h"

int select_begin(struct selection *ret_selection, const struct arguments *arguments,
		 const struct settings *settings, struct failure *failure)
{
	*ret_selection = (struct selection){.names = arguments->names,
					    .name_count = arguments->name_count,
					    .tenant = arguments->tenant,
					    .failed = arguments->failed};
	if (arguments->ca_filter)
		ret_selection->ca =
			settings_find_server(settings, arguments->ca_filter, "--ca", failure);
	return failure_is_set(failure) ? -1 : 0;
}

bool select_is_some(const struct selection *selection)
{
	return selection->name_count || selection->ca || selection->tenant || selection->failed;
}

static bool has_name(const struct selection *selection, const char *name)
{
	size_t i;

	for (i = 0; i < selection->name_count; i++)
		if (strcmp(selection->names[i], name) == 0)
			return true;
	return !selection->name_count;
}

bool select_has(const struct selection *selection, const struct state_lineage *lineage)
{
	const char *tenant = lineage->spec.tenant ? lineage->spec.tenant : "";

	return has_name(selection, lineage->spec.name) &&
	       (!selection->ca || strcmp(selection->ca, lineage->ca) == 0) &&
	       (!selection->tenant || strcmp(selection->tenant, tenant) == 0) &&
	       (!selection->failed || lineage->failures || lineage->deploy_failure ||
		lineage->status == STATE_PAUSED);
}

struct selecting {
	const struct selection *selection;
	int64_t *ids;
	size_t count, room;
};

static int add_selected(void *context, const struct state_lineage *lineage)
{
	struct selecting *selecting = context;
	size_t room = selecting->room ? 2 * selecting->room : 64;
	int64_t *grown;

	if (!select_has(selecting->selection, lineage))
		return 0;
	if (selecting->count == selecting->room) {
		grown = reallocarray(selecting->ids, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		selecting->ids = grown;
		selecting->room = room;
	}
	selecting->ids[selecting->count++] = lineage->id;
	return 0;
}

/* Every name must be known, or a typing error would go unseen. */
static int check_names(const struct selection *selection, struct state *state,
		       struct failure *failure)
{
	struct state_lineage lineage;
	size_t i;
	int err;

	for (i = 0; i < selection->name_count; i++) {
		err = state_lineage_find(state, selection->names[i], &lineage);
		if (!err)
			state_lineage_done(&lineage);
		else if (err == -ENOENT)
			failure_set(failure, "`sidestep plan` lists them",
				    "there is no certificate called %s", selection->names[i]);
		else
			state_explain(state, err, failure);
	}
	return failure_is_set(failure) ? -1 : 0;
}

int select_ids(const struct selection *selection, struct state *state, int64_t **ret_ids,
	       size_t *ret_count, struct failure *failure)
{
	struct selecting selecting = {.selection = selection};
	int err;

	if (check_names(selection, state, failure))
		return -1;
	err = state_lineages(state, add_selected, &selecting);
	if (err) {
		state_explain(state, err, failure);
		free(selecting.ids);
		return -1;
	}
	*ret_ids = selecting.ids;
	*ret_count = selecting.count;
	return 0;
}
