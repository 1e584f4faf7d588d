/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/renewal/session.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "acme/protocol/client.h"
#include "acme/config/settings.h"
#include "acme/store/account_files.h"
#include "acme/util/failure.h"
#include "acme/net/net.h"
#include "acme/util/output.h"

int session_open(struct session *session, const struct net *net, const struct settings *settings,
		 const char *server, const char *name, struct failure *failure)
{
	struct ca_settings ca;
	int error = 0;

	settings_of_ca(&ca, settings, server);
	*session = (struct session){0};
	if ((ca.eab_kid &&
	     eab_read(&session->options.eab, ca.eab_kid, ca.eab_hmac_key_file, failure)) ||
	    account_files_open(&session->files, settings->paths, server, name ? name : ca.account,
			       failure)) {
		session_close(session);
		return -1;
	}
	if (ca.email) {
		session->email = strdup(ca.email);
		error = session->email ? 0 : -ENOMEM;
	}
	session->options.agree_tos = ca.agree_tos;
	session->options.email = session->email;
	session->account = account_new(session->files);
	if (!session->account)
		error = -ENOMEM;
	if (!error)
		error = ca_new(&session->ca, net->http, server, ca.cacert);
	if (!error)
		return 0;
	failure_set_errno(failure, -error, "preparing to talk to the CA");
	session_close(session);
	return -1;
}

static void on_session_connected(void *context, struct failure *failure)
{
	struct session *session = context;

	if (failure_is_set(failure))
		session->ready(session->context, failure);
	else
		account_ensure(session->account, session->ca, &session->options, session->ready,
			       session->context);
}

void session_start(struct session *session, void (*ready)(void *context, struct failure *failure),
		   void *context)
{
	session->ready = ready;
	session->context = context;
	output_step("asking %s", ca_server(session->ca));
	ca_connect(session->ca, on_session_connected, session);
}

void session_close(struct session *session)
{
	account_free(session->account);
	account_files_free(session->files);
	ca_free(session->ca);
	eab_done(&session->options.eab);
	free(session->email);
	*session = (struct session){0};
}
