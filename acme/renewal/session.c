// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/session.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "acme/config/settings.h"
#include "acme/net/net.h"
#include "acme/protocol/client.h"
#include "acme/store/account_files.h"
#include "acme/util/failure.h"
#include "acme/util/output.h"
#include "common/paths.h"

int session_open(struct session *session, const struct net *net, const struct settings *settings,
		 const char *server, struct failure *failure)
{
	struct ca_settings ca;
	int err;

	settings_of_ca(&ca, settings, server);
	*session = (struct session){.settings = settings};
	err = ca_new(&session->ca, net->http, server, ca.cacert);
	if (!err)
		return 0;
	failure_set_errno(failure, -err, "preparing to talk to the CA");
	session_close(session);
	return -1;
}

static void free_account(struct session *session)
{
	account_free(session->account);
	account_files_free(session->files);
	session->account = NULL;
	session->files = NULL;
}

static void close_account(struct session *session)
{
	free_account(session);
	eab_done(&session->options.eab);
	free(session->email);
	free(session->account_name);
	free(session->paths);
	session->email = NULL;
	session->account_name = NULL;
	session->paths = NULL;
	session->options = (struct account_options){0};
}

/* Whatever the files have of the account now.  0, or -1 with `failure` filled in. */
static int read_account(struct session *session, struct failure *failure)
{
	if (account_files_open(&session->files, session->paths, ca_server(session->ca),
			       session->account_name, failure))
		return -1;
	session->account = account_new(session->files);
	if (session->account)
		return 0;
	failure_set_errno(failure, ENOMEM, "preparing to talk to the CA");
	return -1;
}

static void on_account_found(void *context, struct failure *failure)
{
	struct session *session = context;

	session->options.ask_ca = session->asks_ca;
	ca_account_found(session->ca, failure);
	failure_done(failure);
}

/* The CA does not know the account, or its key: perhaps the files have another one by now. */
static void on_account_lost(void *context)
{
	struct session *session = context;
	struct failure failure = {0};

	output_step("the CA %s does not know this account or its key; looking for it again",
		    ca_server(session->ca));
	free_account(session);
	(void)ca_set_account(session->ca, NULL, NULL);
	session->asks_ca = session->options.ask_ca;
	session->options.ask_ca = true;
	if (read_account(session, &failure))
		on_account_found(session, &failure);
	else
		account_ensure(session->account, session->ca, &session->options, on_account_found,
			       session);
}

/* NULL stays NULL.  False: out of memory. */
static bool copy_text(char **ret_copy, const char *text)
{
	*ret_copy = text ? strdup(text) : NULL;
	return *ret_copy || !text;
}

int session_open_account(struct session *session, const char *name, struct failure *failure)
{
	const char *server = ca_server(session->ca);
	struct ca_settings ca;

	close_account(session);
	settings_of_ca(&ca, session->settings, server);
	session->options.agree_tos = ca.agree_tos;
	session->paths = malloc(sizeof(*session->paths));
	if (!session->paths || !copy_text(&session->email, ca.email) ||
	    !copy_text(&session->account_name, settings_account(session->settings, server, name))) {
		failure_set_errno(failure, ENOMEM, "preparing to talk to the CA");
		close_account(session);
		return -1;
	}
	*session->paths = *settings_account_paths(session->settings, server);
	session->options.is_trial = session->settings->dry_run && settings_is_staging(server);
	session->options.email = session->email;
	if ((ca.eab_kid &&
	     eab_read(&session->options.eab, ca.eab_kid, ca.eab_hmac_key_file, failure)) ||
	    read_account(session, failure)) {
		/* The other accounts are well. */
		failure->owner = FAILURE_OF_ACCOUNT;
		close_account(session);
		return -1;
	}
	if (session->follows_account)
		ca_on_account_lost(session->ca, on_account_lost, session);
	return 0;
}

static void ensure_account(struct session *session)
{
	struct failure none = {0};

	if (session->account)
		account_ensure(session->account, session->ca, &session->options, session->ready,
			       session->context);
	else
		session->ready(session->context, &none);
}

static void on_session_connected(void *context, struct failure *failure)
{
	struct session *session = context;

	session->is_connected = !failure_is_set(failure);
	if (!session->is_connected) {
		session->ready(session->context, failure);
		return;
	}
	if (session->connected)
		session->connected(session->context);
	ensure_account(session);
}

void session_start(struct session *session, void (*ready)(void *context, struct failure *failure),
		   void *context)
{
	session->ready = ready;
	session->context = context;
	if (session->account)
		output_step("asking %s", ca_server(session->ca));
	if (session->is_connected)
		ensure_account(session);
	else
		ca_connect(session->ca, on_session_connected, session);
}

void session_close(struct session *session)
{
	close_account(session);
	ca_free(session->ca);
	*session = (struct session){0};
}
