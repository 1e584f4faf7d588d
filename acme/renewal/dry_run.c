// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/dry_run.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acme/config/settings.h"
#include "acme/util/failure.h"
#include "acme/util/file.h"
#include "acme/renewal/reconcile.h"
#include "acme/store/store_history.h"
#include "acme/util/output.h"
#include "acme/store/state.h"
#include "acme/store/store.h"
#include "common/paths.h"

/* --- its own place ------------------------------------------------------------------------------- */

static void remove_certificates(const struct paths *paths)
{
	struct failure failure = {0};
	size_t count, i;
	char **names;

	if (store_names(&names, &count, paths))
		return;
	for (i = 0; i < count; i++)
		if (store_delete(paths, names[i], NULL, NULL, &failure)) {
			output_failure(names[i], &failure);
			failure_done(&failure);
		}
	file_list_free(names, count);
}

static void remove_state(const struct paths *paths)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	char path[PATHS_MAX + sizeof(STATE_FILE) + 8];
	size_t i;

	for (i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		snprintf(path, sizeof(path), "%s/" STATE_FILE "%s", paths->state, ends[i]);
		if (unlink(path) && errno != ENOENT)
			output_warning("cannot remove %s: %s", path, strerror(errno));
	}
}

void dry_run_end(const struct settings *settings)
{
	remove_certificates(settings->paths);
	remove_state(settings->paths);
}

int dry_run_begin(const struct settings *settings, struct failure *failure)
{
	int directory, err;

	err = file_open_path(settings->paths->state, 0700, &directory);
	if (err) {
		failure_set_errno(failure, -err, "preparing the dry run in %s",
				  settings->paths->state);
		return -1;
	}
	close(directory);
	/* One that was killed may have left something. */
	dry_run_end(settings);
	return 0;
}

/* --- what the operator must know ----------------------------------------------------------------- */

static int announce_ca(void *context, const char *ca)
{
	(void)context;
	if (!settings_is_staging(ca))
		output_warning("dry run: sidestep knows no staging environment of %s: the orders "
			       "there are real ones, under its limits",
			       ca);
	return 0;
}

void dry_run_announce(struct state *state)
{
	int err;

	output_line("Dry run: certificates are ordered for trial; none is kept, and no hook runs.");
	err = state_cas(state, announce_ca, NULL);
	if (err)
		output_warning("dry run: the CAs cannot be listed: %s", strerror(-err));
}

/* --- what is wanted ------------------------------------------------------------------------------ */

struct copying {
	struct state *state;
	int err;
};

int dry_run_make_spec(struct certificate_spec *spec, const struct string_list *cas)
{
	size_t i;

	spec->settings.deploy_hook = NULL;
	spec->account = NULL;
	spec->cas = (struct string_list){0};
	for (i = 0; i < cas->count; i++)
		if (string_list_add(&spec->cas, settings_staging(cas->items[i]))) {
			string_list_done(&spec->cas);
			return -ENOMEM;
		}
	return 0;
}

static int copy_spec(void *context, const struct state_lineage *lineage)
{
	struct copying *copying = context;
	struct certificate_spec spec = lineage->spec;

	/* What the configuration names is read from the files, as they are now. */
	if (lineage->status == STATE_RETIRED || strcmp(spec.source, RECONCILE_SOURCE) == 0)
		return 0;
	copying->err = dry_run_make_spec(&spec, &lineage->spec.cas);
	if (!copying->err) {
		copying->err = state_set_spec(copying->state, &spec, NULL);
		string_list_done(&spec.cas);
	}
	return copying->err;
}

int dry_run_copy_specs(struct state *state, const struct settings *settings,
		       struct failure *failure)
{
	struct copying copying = {.state = state};
	struct state *source;
	int err;

	if (state_open(&source, settings->real_paths, failure))
		return -1;
	err = state_begin(state);
	if (!err)
		err = state_lineages(source, copy_spec, &copying);
	if (!err)
		err = state_commit(state);
	else
		state_rollback(state);
	if (err)
		state_explain(copying.err ? state : source, err, failure);
	state_free(source);
	return err ? -1 : 0;
}
