// SPDX-License-Identifier: GPL-3.0-or-later
/* `sidestep register`. */
#include <jansson.h>
#include <stddef.h>

#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/util/failure.h"
#include "acme/net/loop.h"
#include "acme/net/net.h"
#include "acme/util/output.h"
#include "acme/renewal/session.h"
#include "acme/store/account_files.h"
#include "acme/cmd/verbs.h"

struct registering {
	struct net net;
	struct session session;
	struct failure failure;
};

static void on_registered(void *context, struct failure *failure)
{
	struct registering *registering = context;

	failure_move(&registering->failure, failure);
	loop_stop(registering->net.loop);
}

static void register_report(const struct registering *registering,
			    const struct arguments *arguments, const struct settings *settings)
{
	const char *url = account_files_url(registering->session.files);
	bool is_new = account_is_new(registering->session.account);

	output_line(is_new ? "Account created: %s" : "Account found: %s", url);
	if (!is_new && arguments->ca.email)
		output_line(
			"The contact address is unchanged: `sidestep update_account` changes it.");
	output_document(json_pack("{s:b, s:{s:s, s:b, s:s}}", "ok", 1, "account", "url", url, "new",
				  is_new, "server", settings->server));
}

int verb_register(const struct arguments *arguments, const struct settings *settings)
{
	struct registering registering = {0};
	int status = EXIT_FAILED;

	if (net_open(&registering.net, settings->timeout_s, &registering.failure))
		goto out;
	if (session_open(&registering.session, &registering.net, settings, settings->server,
			 &registering.failure))
		goto out_net;
	if (session_open_account(&registering.session, arguments->ca.account, &registering.failure))
		goto out_session;
	registering.session.options.ask_ca = true;
	session_start(&registering.session, on_registered, &registering);
	net_run(&registering.net, &registering.failure);
	if (!failure_is_set(&registering.failure)) {
		register_report(&registering, arguments, settings);
		status = EXIT_DONE;
	}
out_session:
	session_close(&registering.session);
out_net:
	net_close(&registering.net);
out:
	if (status != EXIT_DONE)
		output_fatal(&registering.failure);
	failure_done(&registering.failure);
	return status;
}
