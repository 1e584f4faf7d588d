// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/cmd/request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "acme/config/arguments.h"
#include "acme/config/given.h"
#include "acme/config/identifiers.h"
#include "acme/config/settings.h"
#include "acme/renewal/dry_run.h"
#include "acme/renewal/rebuild.h"
#include "acme/renewal/reconcile.h"
#include "acme/util/failure.h"

/* Read the row, if there is one.  A state that cannot be read is for whoever writes it to explain. */
static void read_row(struct request *request, const struct settings *settings, const char *name)
{
	struct failure *failure = &request->unread;
	struct state *state;
	int err;

	if (state_open(&state, settings->real_paths, failure))
		return;
	if (!rebuild(state, settings->real_paths, failure)) {
		err = state_lineage_find(state, name, &request->lineage);
		request->is_known = !err;
		if (err && err != -ENOENT)
			state_explain(state, err, failure);
	}
	state_free(state);
}

static void add_difference(struct request *request, const char *option)
{
	size_t used = strlen(request->differences);

	snprintf(request->differences + used, sizeof(request->differences) - used, "%s%s",
		 used ? ", " : "", option);
}

static bool has_same_names(const struct string_list *identifiers, const struct identifier *names,
			   size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (string_list_find(identifiers, names[i].value) == identifiers->count)
			return false;
	return identifiers->count == count;
}

/* Which options say something else than the row. */
static void find_differences(struct request *request, const struct arguments *arguments,
			     const struct settings *settings)
{
	const struct certificate_spec *known = &request->lineage.spec;
	const char *account = arguments->ca.account;

	given_differences(request->differences, sizeof(request->differences),
			  &arguments->certificate, &known->settings);
	if (arguments->server_given &&
	    string_list_find(&known->cas, settings->server) == known->cas.count)
		add_difference(request, "--server");
	if (account && (!known->account || strcmp(account, known->account) != 0))
		add_difference(request, "--account");
}

static void refuse_configured(const struct request *request, bool same_names,
			      struct failure *failure)
{
	failure_set(failure,
		    "change it in sidestep.conf, or the file that it names, and reload; or give "
		    "--cert-name to get another certificate",
		    "the configuration names the certificate %s, and %s%s not as it says there",
		    request->lineage.spec.name, same_names ? request->differences : "the names are",
		    !same_names                         ? ""
		    : strchr(request->differences, ',') ? " are"
							: " is");
}

/* What is known, with what the command line gives in its place. */
static void merge(struct request *request, const struct arguments *arguments)
{
	const struct certificate_spec *known = &request->lineage.spec;

	request->spec.settings = known->settings;
	given_apply(&request->spec.settings, &arguments->certificate);
	request->spec.tenant = known->tenant;
	if (!arguments->server_given)
		request->spec.cas = known->cas;
	if (!arguments->ca.account)
		request->spec.account = known->account;
	if (request->is_configured)
		request->spec.source = known->source;
}

int request_load(struct request *ret_request, const struct arguments *arguments,
		 const struct settings *settings, const char *name, const struct identifier *names,
		 size_t name_count, struct failure *failure)
{
	struct request *request = ret_request;
	bool same_names;
	int err;

	*request = (struct request){.spec = {.name = name,
					     .cas = settings->cas,
					     .account = arguments->ca.account,
					     .settings = settings->certificate,
					     .source = "cli"}};
	read_row(request, settings, name);
	if (request->is_known) {
		request->is_configured =
			request->lineage.status != STATE_RETIRED &&
			strcmp(request->lineage.spec.source, RECONCILE_SOURCE) == 0;
		find_differences(request, arguments, settings);
		same_names = has_same_names(&request->lineage.spec.identifiers, names, name_count);
		if (request->is_configured && (!same_names || *request->differences))
			refuse_configured(request, same_names, failure);
		merge(request, arguments);
	}
	err = identifiers_to_list(&request->spec.identifiers, names, name_count);
	if (!err && settings->dry_run && request->is_known && !arguments->server_given) {
		err = dry_run_make_spec(&request->spec, &request->lineage.spec.cas);
		request->cas = request->spec.cas;
	} else if (!err && settings->dry_run) {
		request->spec.settings.deploy_hook = NULL;
	}
	if (err)
		failure_set_errno(failure, -err, "reading what is known of %s", name);
	if (!failure_is_set(failure))
		return 0;
	request_done(request);
	return -1;
}

void request_done(struct request *request)
{
	string_list_done(&request->spec.identifiers);
	string_list_done(&request->cas);
	state_lineage_done(&request->lineage);
	failure_done(&request->unread);
	*request = (struct request){0};
}
