// SPDX-License-Identifier: GPL-3.0-or-later
/* `sidestep reconfigure`: other settings for a certificate, which stays. */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "acme/config/arguments.h"
#include "acme/config/given.h"
#include "acme/config/settings.h"
#include "acme/renewal/reconcile.h"
#include "acme/renewal/renewal_time.h"
#include "acme/store/state.h"
#include "acme/store/state_deploy.h"
#include "acme/util/failure.h"
#include "acme/util/output.h"
#include "acme/cmd/verbs.h"
#include "common/clock.h"
#include "common/random.h"

struct reconfiguring {
	const struct arguments *arguments;
	const struct settings *settings;
	struct state *state;
	char changed[256]; /* the options that say something new */
	struct failure failure;
};

static void add_changed(struct reconfiguring *reconfiguring, const char *option)
{
	size_t used = strlen(reconfiguring->changed);

	snprintf(reconfiguring->changed + used, sizeof(reconfiguring->changed) - used, "%s%s",
		 used ? ", " : "", option);
}

static bool is_account(const char *account, const char *other)
{
	return strcmp(account ? account : "", other ? other : "") == 0;
}

/* What the row is to be; the lists are the row's or the settings'. */
static struct certificate_spec make_spec(struct reconfiguring *reconfiguring,
					 const struct state_lineage *lineage)
{
	const struct arguments *arguments = reconfiguring->arguments;
	struct certificate_spec spec = lineage->spec;

	given_differences(reconfiguring->changed, sizeof(reconfiguring->changed),
			  &arguments->certificate, &spec.settings);
	given_apply(&spec.settings, &arguments->certificate);
	if (arguments->server_given &&
	    !string_list_equal(&spec.cas, &reconfiguring->settings->cas)) {
		spec.cas = reconfiguring->settings->cas;
		add_changed(reconfiguring, "--server");
	}
	if (arguments->ca.account && !is_account(arguments->ca.account, spec.account)) {
		spec.account = *arguments->ca.account ? arguments->ca.account : NULL;
		add_changed(reconfiguring, "--account");
	}
	return spec;
}

/* By the new settings, which are for the present certificate, too. */
static int64_t next_renewal(const struct state_lineage *lineage,
			    const struct certificate_spec *spec)
{
	const struct renewal_facts facts = {
		.now_s = clock_now_s(),
		.not_before_s = lineage->not_before_s,
		.not_after_s = lineage->not_after_s,
		.before_s = renewal_time_before(spec->settings.renew_before),
		.has_window = lineage->window_start_s,
		.window_start_s = lineage->window_start_s,
		.window_end_s = lineage->window_end_s,
	};

	return renewal_time_next(&facts, random_unit());
}

/* In one batch, and only if the row is still as it was read. */
static int write_spec(struct reconfiguring *reconfiguring, const struct state_lineage *lineage,
		      const struct certificate_spec *spec)
{
	struct state *state = reconfiguring->state;
	int err = state_begin(state);

	if (err)
		return err;
	err = state_expect(state, lineage);
	if (!err)
		err = state_set_spec(state, spec, NULL);
	if (!err && reconfiguring->arguments->certificate.renew_before && lineage->not_after_s)
		err = state_set_renewal(state, lineage->id, next_renewal(lineage, spec),
					lineage->priority);
	if (!err && reconfiguring->arguments->run_deploy_hooks)
		err = state_redeploy(state, lineage->id);
	if (!err)
		return state_commit(state);
	state_rollback(state);
	return err;
}

static void refuse_configured(struct failure *failure, const char *name)
{
	failure_set(failure, "change it in sidestep.conf, or the file that it names, and reload",
		    "the configuration has the settings of %s", name);
}

/* 0, -EAGAIN: it has changed meanwhile; or -errno; or the failure is filled in. */
static int reconfigure(struct reconfiguring *reconfiguring)
{
	const struct arguments *arguments = reconfiguring->arguments;
	struct state_lineage lineage;
	struct certificate_spec spec;
	int err = state_lineage_find(reconfiguring->state, arguments->name, &lineage);

	if (err == -ENOENT) {
		failure_set(&reconfiguring->failure, "`sidestep plan` lists them",
			    "there is no certificate called %s", arguments->name);
		return 0;
	}
	if (err)
		return err;
	spec = make_spec(reconfiguring, &lineage);
	if (*reconfiguring->changed && strcmp(spec.source, RECONCILE_SOURCE) == 0)
		refuse_configured(&reconfiguring->failure, arguments->name);
	else
		err = write_spec(reconfiguring, &lineage, &spec);
	state_lineage_done(&lineage);
	return err;
}

static int report(const struct reconfiguring *reconfiguring)
{
	const struct arguments *arguments = reconfiguring->arguments;
	const char *name = arguments->name, *changed = reconfiguring->changed;

	if (*changed)
		output_line("%s: changed: %s; renewals use this from now on.", name, changed);
	else
		output_line("%s: nothing changes.", name);
	if (strstr(changed, "--bundle"))
		output_line("bundle.pem comes, or goes, with the next certificate.");
	if (arguments->run_deploy_hooks)
		output_line("Its hooks run again: now if `sidestep run` is running, else with the "
			    "next `sidestep renew`.");
	output_document(json_pack("{s:b, s:s, s:s, s:b}", "ok", 1, "name", name, "changed", changed,
				  "hooks_due", arguments->run_deploy_hooks));
	return EXIT_DONE;
}

int verb_reconfigure(const struct arguments *arguments, const struct settings *settings)
{
	struct reconfiguring reconfiguring = {.arguments = arguments, .settings = settings};
	struct failure *failure = &reconfiguring.failure;
	int err, status;

	if (!given_any(&arguments->certificate) && !arguments->server_given &&
	    !arguments->ca.account && !arguments->run_deploy_hooks)
		failure_set(failure, "`sidestep help reconfigure` lists what can be set",
			    "no setting is given for %s", arguments->name);
	if (!failure_is_set(failure) &&
	    !state_open(&reconfiguring.state, settings->paths, failure)) {
		do {
			err = reconfigure(&reconfiguring);
		} while (err == -EAGAIN);
		if (err)
			state_explain(reconfiguring.state, err, failure);
		state_free(reconfiguring.state);
	}
	status = failure_is_set(failure) ? output_fatal(failure) : report(&reconfiguring);
	failure_done(failure);
	return status;
}
