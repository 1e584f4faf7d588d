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

static void close_account(struct session *session)
{
	account_free(session->account);
	account_files_free(session->files);
	eab_done(&session->options.eab);
	free(session->email);
	session->account = NULL;
	session->files = NULL;
	session->email = NULL;
	session->options = (struct account_options){0};
}

int session_open_account(struct session *session, const char *name, struct failure *failure)
{
	const char *server = ca_server(session->ca);
	struct ca_settings ca;

	settings_of_ca(&ca, session->settings, server);
	if ((ca.eab_kid &&
	     eab_read(&session->options.eab, ca.eab_kid, ca.eab_hmac_key_file, failure)) ||
	    account_files_open(&session->files, session->settings->paths, server,
			       settings_account(session->settings, server, name), failure)) {
		close_account(session);
		return -1;
	}
	session->email = ca.email ? strdup(ca.email) : NULL;
	session->account = account_new(session->files);
	session->options.agree_tos = ca.agree_tos;
	session->options.email = session->email;
	if (session->account && (session->email || !ca.email))
		return 0;
	failure_set_errno(failure, ENOMEM, "preparing to talk to the CA");
	close_account(session);
	return -1;
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
