// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/cmd/sidestep.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/util/failure.h"
#include "acme/util/output.h"
#include "acme/renewal/dry_run.h"
#include "acme/cmd/verbs.h"
#include "common/process.h"

static int (*const verbs[VERBS])(const struct arguments *arguments,
				 const struct settings *settings) = {
	[VERB_REGISTER] = verb_register,
	[VERB_CERTONLY] = verb_certonly,
	[VERB_RECONFIGURE] = verb_reconfigure,
	[VERB_RENEW] = verb_renew,
	[VERB_RUN] = verb_run,
	[VERB_PLAN] = verb_plan,
	[VERB_CERTIFICATES] = verb_certificates,
	[VERB_PAUSE] = verb_pause,
	[VERB_UNPAUSE] = verb_unpause,
	[VERB_RETRY] = verb_retry,
	[VERB_REVOKE] = verb_revoke,
	[VERB_RESTORE] = verb_restore,
	[VERB_DELETE] = verb_delete,
	[VERB_IMPORT] = verb_import,
	[VERB_PUBLISH] = verb_publish,
	[VERB_WITHDRAW] = verb_withdraw,
	[VERB_STATUS] = verb_status,
	[VERB_SHOW_ACCOUNT] = verb_show_account,
	[VERB_UPDATE_ACCOUNT] = verb_update_account,
	[VERB_ROLLOVER] = verb_rollover,
	[VERB_CHECK] = verb_check,
};

/*
 * What the service renews as its user, root must not leave files of its own among.  Not in the
 * list: what changes no file there, and what reads files that only root can.
 */
static bool writes_state(enum verb verb)
{
	switch (verb) {
	case VERB_REGISTER:
	case VERB_UPDATE_ACCOUNT:
	case VERB_ROLLOVER:
	case VERB_CERTONLY:
	case VERB_RECONFIGURE:
	case VERB_PAUSE:
	case VERB_UNPAUSE:
	case VERB_RETRY:
	case VERB_RENEW:
	case VERB_RUN:
	case VERB_REVOKE:
	case VERB_RESTORE:
	case VERB_DELETE:
		return true;
	default:
		return false;
	}
}

static int become_owner(const struct arguments *arguments, struct failure *failure)
{
	int err = writes_state(arguments->verb) ? process_become_owner(arguments->paths.state) : 0;

	if (err)
		failure_set_errno(failure, -err, "cannot become the user that owns %s",
				  arguments->paths.state);
	return err;
}

static int run_verb(const struct arguments *arguments, struct failure *failure)
{
	struct settings *settings;
	int status;

	if (become_owner(arguments, failure) || settings_load(&settings, arguments, failure)) {
		output_fatal(failure);
		return EXIT_USAGE;
	}
	if (settings->dry_run && dry_run_begin(settings, failure)) {
		output_fatal(failure);
		status = EXIT_USAGE;
	} else {
		status = verbs[arguments->verb](arguments, settings);
		if (settings->dry_run)
			dry_run_end(settings);
	}
	settings_free(settings);
	return status;
}

int sidestep_main(int argc, char **argv)
{
	struct arguments arguments = {0};
	struct failure failure = {0};
	enum arguments_result result;
	int status;

	result = arguments_parse(&arguments, argc, argv, &failure);
	output_init(&(struct output_options){
		.json = arguments.json, .quiet = arguments.quiet, .verbose = arguments.verbose});
	if (result == ARGUMENTS_RUN) {
		status = run_verb(&arguments, &failure);
		arguments_done(&arguments);
	} else if (result == ARGUMENTS_WRONG) {
		output_fatal(&failure);
		status = EXIT_USAGE;
	} else {
		status = EXIT_DONE;
	}
	failure_done(&failure);
	if (!output_done() && status == EXIT_DONE)
		status = EXIT_FAILED;
	return status;
}
