// SPDX-License-Identifier: GPL-3.0-or-later
/* `sidestep import`. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/cmd/show.h"
#include "acme/util/failure.h"
#include "acme/import/layouts.h"
#include "acme/import/take.h"
#include "acme/import/tree.h"
#include "acme/renewal/rebuild.h"
#include "acme/util/json.h"
#include "acme/util/output.h"
#include "acme/store/state.h"
#include "acme/store/store.h"
#include "acme/cmd/verbs.h"
#include "common/clock.h"

static const struct import_layout *const layouts[] = {
	&import_certbot,
	&import_lego,
	&import_acmesh,
	&import_dehydrated,
};

struct importing {
	const struct arguments *arguments;
	const struct settings *settings;
	const struct import_layout *layout; /* NULL: none is recognised */
	struct state *state;
	struct import_list list;
	json_int_t imported, present, failed;
	json_t *certificates, *accounts; /* the result of each, for --json */
	struct failure failure;
};

/* --- one certificate -------------------------------------------------------------------------- */

static const char *result_name(enum import_result result)
{
	switch (result) {
	case IMPORT_DONE:
		return "imported";
	case IMPORT_PRESENT:
		return "present";
	case IMPORT_NONE:
		return "none";
	case IMPORT_FAILED:
		break;
	}
	return "failed";
}

/* Print a text from the other client; characters that could confuse a terminal become '?'. */
static void show_hook(const char *format, const char *hook)
{
	char *copy = strdup(hook), *c;

	for (c = copy; c && *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	output_line(format, copy ? copy : "?");
	free(copy);
}

static void tell_hook(const struct import_options *options)
{
	const char *ours = import_hook(options), *theirs = options->found->hook;

	if (ours) {
		show_hook("  its hook: %s", ours);
	} else if (theirs) {
		show_hook("  not imported, its hook: %s", theirs);
		output_line("  set a hook with `sidestep certonly --server %s -d NAMES "
			    "--force-renewal --deploy-hook COMMAND`",
			    import_server(options));
	}
}

/* Print the imported copy.  Returns its JSON; NULL when it cannot be read. */
static json_t *tell_copy(const struct importing *importing, const struct import_options *options,
			 enum import_result result)
{
	time_t now_s = clock_now_s();
	struct stored stored;
	json_t *description;

	if (store_read(&stored, importing->settings->paths, options->found->name))
		return NULL;
	if (result == IMPORT_DONE) {
		output_line("%s: imported; sidestep renews it at %s from now on", stored.name,
			    stored.server);
		tell_hook(options);
		if (stored.certificate.not_after_s <= now_s)
			output_warning("%s has expired; the next `sidestep renew` or `run` renews "
				       "it",
				       stored.name);
	} else {
		output_line("%s: exists already; nothing changed", stored.name);
	}
	description = show_json(&stored);
	stored_done(&stored);
	return description;
}

static void import_one(struct importing *importing, const struct import_options *options)
{
	const char *theirs = options->found->hook;
	json_t *description = NULL, *err = NULL;
	struct failure failure = {0};
	enum import_result result;

	result = import_take(options, &failure);
	if (result == IMPORT_FAILED) {
		importing->failed++;
		output_failure(options->found->name, &failure);
		err = failure_to_json(&failure);
	} else {
		*(result == IMPORT_DONE ? &importing->imported : &importing->present) += 1;
		description = tell_copy(importing, options, result);
	}
	json_array_append_new(
		importing->certificates,
		json_pack("{s:o, s:s, s:o*, s:b, s:o*, s:o*}", "name",
			  json_new_text(options->found->name), "result", result_name(result),
			  "hook", theirs ? json_new_text(theirs) : NULL, "hook_taken",
			  result == IMPORT_DONE && theirs && import_hook(options) == theirs,
			  "certificate", description, "error", err));
	failure_done(&failure);
}

/* --- accounts --------------------------------------------------------------------------------- */

static bool was_seen(const json_t *accounts, const char *server)
{
	const json_t *account;
	size_t i;

	json_array_foreach (accounts, i, account)
		if (strcmp(json_read_string(account, "server"), server) == 0)
			return true;
	return false;
}

static void import_account(struct importing *importing, struct import_options *options)
{
	const char *server = import_server(options);
	struct failure failure = {0};
	struct ca_settings ca;
	enum import_result result;

	if (!server || was_seen(importing->accounts, server))
		return;
	settings_of_ca(&ca, importing->settings, server);
	options->account = ca.account;
	result = import_take_account(options, &failure);
	if (result == IMPORT_DONE)
		output_line("Imported the account at %s.", server);
	else if (result == IMPORT_NONE)
		output_line("Found no account at %s to import. Create one with `sidestep register "
			    "--agree-tos --server %s`: without it, no certificate of this CA is "
			    "renewed.",
			    server, server);
	else if (result == IMPORT_FAILED)
		output_failure(server, &failure);
	importing->failed += result == IMPORT_FAILED;
	json_array_append_new(
		importing->accounts,
		json_pack("{s:s, s:s, s:o*}", "server", server, "result", result_name(result),
			  "error", result == IMPORT_FAILED ? failure_to_json(&failure) : NULL));
	failure_done(&failure);
}

/* --- the verb --------------------------------------------------------------------------------- */

static void read_tree(struct importing *importing)
{
	const char *tree = importing->arguments->name;
	int err;
	size_t i;

	for (i = 0; !importing->layout && i < sizeof(layouts) / sizeof(*layouts); i++)
		if (layouts[i]->is_of(tree))
			importing->layout = layouts[i];
	if (!importing->layout) {
		failure_set(
			&importing->failure,
			"give the directory of certbot, lego, acme.sh or dehydrated, such as "
			"/etc/letsencrypt or ~/.acme.sh",
			"%s does not exist, or is not a directory of a client that sidestep knows",
			tree);
		return;
	}
	err = importing->layout->read(tree, &importing->list);
	if (err)
		failure_set_errno(&importing->failure, -err, "cannot read %s", tree);
}

static void import_all(struct importing *importing)
{
	const struct arguments *arguments = importing->arguments;
	struct import_options options = {
		.paths = importing->settings->paths,
		.state = importing->state,
		.client = importing->layout->client,
		.server = arguments->server_given ? importing->settings->server : NULL,
		.deploy_hook = arguments->certificate.deploy_hook,
	};
	size_t i;

	for (i = 0; i < importing->list.count; i++) {
		options.found = &importing->list.found[i];
		import_one(importing, &options);
	}
	for (i = 0; i < importing->list.count; i++) {
		options.found = &importing->list.found[i];
		if (strcmp(json_read_string(json_array_get(importing->certificates, i), "result"),
			   "failed") != 0)
			import_account(importing, &options);
	}
}

static void tell_left_out(const struct string_list *left_out)
{
	size_t i;

	for (i = 0; i < left_out->count; i++)
		output_warning("%s", left_out->items[i]);
}

static json_t *left_out_to_json(const struct string_list *left_out)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < left_out->count; i++)
		json_array_append_new(array, json_new_text(left_out->items[i]));
	return array;
}

static int import_report(const struct importing *importing)
{
	const struct failure *failure = &importing->failure;
	const struct import_layout *layout = importing->layout;
	bool ok = !importing->failed && !failure_is_set(failure);

	if (failure_is_set(failure)) {
		output_failure(NULL, failure);
	} else {
		output_line("Imported %lld from %s; %lld existed already, %lld failed.",
			    (long long)importing->imported, layout->client,
			    (long long)importing->present, (long long)importing->failed);
		tell_left_out(&importing->list.left_out);
		if (importing->imported)
			output_line("Next: let your servers read %s/live, and stop the renewals by "
				    "%s: %s.",
				    importing->settings->paths->state, layout->client,
				    layout->farewell);
	}
	output_document(json_pack("{s:b, s:s*, s:I, s:I, s:I, s:O, s:O, s:o, s:o*}", "ok", ok,
				  "client", layout ? layout->client : NULL, "imported",
				  importing->imported, "present", importing->present, "failed",
				  importing->failed, "certificates", importing->certificates,
				  "accounts", importing->accounts, "left_out",
				  left_out_to_json(&importing->list.left_out), "error",
				  failure_is_set(failure) ? failure_to_json(failure) : NULL));
	return ok ? EXIT_DONE : EXIT_FAILED;
}

int verb_import(const struct arguments *arguments, const struct settings *settings)
{
	struct importing importing = {.arguments = arguments,
				      .settings = settings,
				      .certificates = json_array(),
				      .accounts = json_array()};
	int status;

	read_tree(&importing);
	if (!failure_is_set(&importing.failure) &&
	    !state_open(&importing.state, settings->paths, &importing.failure)) {
		if (!rebuild(importing.state, settings->paths, &importing.failure))
			import_all(&importing);
		state_free(importing.state);
	}
	status = import_report(&importing);
	import_list_done(&importing.list);
	json_decref(importing.certificates);
	json_decref(importing.accounts);
	failure_done(&importing.failure);
	return status;
}
