/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/session.h"

#include <curl/curl.h>
#include <errno.h>
#include <stddef.h>

#include "acme/arguments.h"
#include "acme/ca.h"
#include "acme/failure.h"
#include "acme/http.h"
#include "acme/loop.h"
#include "acme/output.h"

int session_open(struct session *session, const struct arguments *arguments,
		 struct failure *failure)
{
	struct http_options options = {.cacert = arguments->cacert,
				       .timeout_s = arguments->timeout_s};
	int error;

	*session = (struct session){
		.wish = {.agree_tos = arguments->agree_tos, .email = arguments->email}};
	if (account_open(&session->account, &arguments->paths, arguments->server, failure))
		return -1;
	error = curl_global_init(CURL_GLOBAL_DEFAULT) ? -ENOMEM : 0;
	if (!error)
		error = loop_new(&session->loop);
	if (!error)
		error = http_new(&session->http, session->loop, &options);
	if (!error)
		error = ca_new(&session->ca, session->http, arguments->server);
	if (!error)
		return 0;
	failure_set_errno(failure, -error, "preparing to talk to the CA");
	session_close(session);
	return -1;
}

static void on_connected(void *context, struct failure *failure)
{
	struct session *session = context;

	if (failure_is_set(failure))
		session->ready(session->context, failure);
	else
		account_ensure(session->account, session->ca, &session->wish, session->ready,
			       session->context);
}

void session_start(struct session *session, void (*ready)(void *context, struct failure *failure),
		   void *context)
{
	session->ready = ready;
	session->context = context;
	output_step("asking %s", ca_server(session->ca));
	ca_connect(session->ca, on_connected, session);
}

int session_run(struct session *session, struct failure *failure)
{
	int error = loop_run(session->loop);

	if (error == -EINTR)
		failure_set(failure, "run this again when you like",
			    "interrupted; nothing stays armed");
	else if (error)
		failure_set_errno(failure, -error, "waiting for the CA");
	return error ? -1 : 0;
}

void session_close(struct session *session)
{
	account_free(session->account);
	ca_free(session->ca);
	http_free(session->http);
	loop_free(session->loop);
	curl_global_cleanup();
	*session = (struct session){0};
}
