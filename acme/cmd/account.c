// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * `sidestep show_account`, `update_account` and `rollover`: show, change and end an existing
 * account, and replace its key.  RFC 8555 sections 7.3.2 to 7.3.6.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/protocol/client.h"
#include "acme/protocol/directory.h"
#include "acme/util/failure.h"
#include "acme/util/json.h"
#include "acme/protocol/jws.h"
#include "acme/crypto/key.h"
#include "acme/net/loop.h"
#include "acme/net/net.h"
#include "acme/util/output.h"
#include "acme/renewal/session.h"
#include "acme/store/account_files.h"
#include "acme/cmd/verbs.h"

/* One request to the CA about the account, and the CA's answer. */
struct visit {
	const struct arguments *arguments;
	const struct settings *settings;
	const char *step; /* for the user */
	/* Fills in the request; on an error it leaves call->payload NULL and sets the failure. */
	void (*compose)(struct visit *visit, struct ca_call *call);
	struct net net;
	struct session session;
	struct ca_request *request;
	bool may_pass; /* the failure may pass; the CA may have made the change nevertheless */
	json_t *object; /* the account as the CA has it now; NULL: the CA did not send it */
	struct failure failure;
};

/* --- the request ------------------------------------------------------------------------------ */

static void on_account_answer(void *context, struct ca_reply *reply)
{
	struct visit *visit = context;

	visit->request = NULL;
	visit->object = json_incref(reply->object);
	visit->may_pass = reply->may_pass;
	failure_move(&visit->failure, reply->failure);
	loop_stop(visit->net.loop);
}

static void on_account_ready(void *context, struct failure *failure)
{
	struct visit *visit = context;
	struct ca_call call = {.url = account_files_url(visit->session.files),
			       .done = on_account_answer,
			       .context = visit};

	failure_move(&visit->failure, failure);
	if (!failure_is_set(&visit->failure))
		visit->compose(visit, &call);
	if (!failure_is_set(&visit->failure)) {
		output_step("%s", visit->step);
		visit->request = ca_post(visit->session.ca, &call);
		if (visit->request)
			return;
		failure_set_errno(&visit->failure, ENOMEM, "asking the CA");
	}
	loop_stop(visit->net.loop);
}

/* The session stays open: visit_leave() closes it. */
static void visit_enter(struct visit *visit)
{
	const struct arguments *arguments = visit->arguments;

	if (net_open(&visit->net, visit->settings->timeout_s, &visit->failure))
		return;
	if (session_open(&visit->session, &visit->net, visit->settings, visit->settings->server,
			 &visit->failure)) {
		net_close(&visit->net);
		return;
	}
	if (session_open_account(&visit->session, arguments->ca.account, &visit->failure))
		return;
	visit->session.options.must_exist = true;
	session_start(&visit->session, on_account_ready, visit);
	net_run(&visit->net, &visit->failure);
	ca_cancel(visit->request);
}

/* Returns the exit status. */
static int visit_leave(struct visit *visit)
{
	bool failed = failure_is_set(&visit->failure);

	if (visit->session.ca) {
		session_close(&visit->session);
		net_close(&visit->net);
	}
	if (failed)
		output_fatal(&visit->failure);
	json_decref(visit->object);
	failure_done(&visit->failure);
	return failed ? EXIT_FAILED : EXIT_DONE;
}

/* --- the report ------------------------------------------------------------------------------- */

/* Only printable ASCII from the CA goes to a terminal. */
static const char *printable_text(const char *text)
{
	const char *c;

	for (c = text; c && *c; c++)
		if (*c < ' ' || *c > '~')
			return "(not printable)";
	return text;
}

static void account_report(const struct visit *visit, const char *headline)
{
	const struct account_files *files = visit->session.files;
	const char *status = json_read_string(visit->object, "status");
	json_t *contact = json_object_get(visit->object, "contact"), *entry;
	size_t i;

	output_line("%s: %s", headline, account_files_url(files));
	output_line("  CA: %s", visit->settings->server);
	output_line("  key: %s", account_files_place(files));
	if (status)
		output_line("  status: %s", printable_text(status));
	json_array_foreach (contact, i, entry)
		if (json_is_string(entry))
			output_line("  contact: %s", printable_text(json_string_value(entry)));
	output_document(json_pack("{s:b, s:{s:s, s:s, s:o, s:s*, s:O*}}", "ok", 1, "account", "url",
				  account_files_url(files), "server", visit->settings->server,
				  "place", json_new_text(account_files_place(files)), "status",
				  status, "contact", json_is_array(contact) ? contact : NULL));
}

/* --- show_account ----------------------------------------------------------------------------- */

/* POST-as-GET of the account. */
static void compose_look(struct visit *visit, struct ca_call *call)
{
	(void)visit;
	(void)call;
}

int verb_show_account(const struct arguments *arguments, const struct settings *settings)
{
	struct visit visit = {.arguments = arguments,
			      .settings = settings,
			      .step = "asking for the account",
			      .compose = compose_look};

	visit_enter(&visit);
	if (!failure_is_set(&visit.failure))
		account_report(&visit, "Account");
	return visit_leave(&visit);
}

/* --- update_account --------------------------------------------------------------------------- */

static void compose_update(struct visit *visit, struct ca_call *call)
{
	const struct arguments *arguments = visit->arguments;

	if (arguments->deactivate)
		call->payload = json_pack("{s:s}", "status", "deactivated");
	else if (arguments->ca.email[0])
		call->payload = json_pack("{s:[s+]}", "contact", "mailto:", arguments->ca.email);
	else
		call->payload = json_pack("{s:[]}", "contact");
	if (!call->payload)
		failure_set(&visit->failure, NULL, "--email must be UTF-8");
}

/* Deactivation is final (RFC 8555 section 7.3.6): the next account needs a new key. */
static void account_key_retire(struct visit *visit)
{
	int err = account_files_retire(visit->session.files);

	if (err)
		failure_set_errno(&visit->failure, -err,
				  "the account is deactivated, but its key in %s cannot be moved "
				  "aside",
				  account_files_place(visit->session.files));
}

int verb_update_account(const struct arguments *arguments, const struct settings *settings)
{
	struct visit visit = {.arguments = arguments,
			      .settings = settings,
			      .step = "changing the account",
			      .compose = compose_update};

	if (!arguments->deactivate == !arguments->ca.email) {
		failure_set(&visit.failure,
			    "give --email ADDRESS, or --deactivate to end the account",
			    "update_account needs one change: --email or --deactivate");
		visit_leave(&visit);
		return EXIT_USAGE;
	}
	visit_enter(&visit);
	if (!failure_is_set(&visit.failure) && arguments->deactivate)
		account_key_retire(&visit);
	if (!failure_is_set(&visit.failure))
		account_report(&visit,
			       arguments->deactivate ? "Account deactivated" : "Account changed");
	return visit_leave(&visit);
}

/* --- rollover --------------------------------------------------------------------------------- */

/* RFC 8555 section 7.3.5: the new key signs the inner message, the old key the outer one. */
static json_t *key_change(struct visit *visit, struct key *next, const char *url)
{
	char *jwk = NULL, *payload = NULL, *inner = NULL;
	json_t *object = NULL, *message = NULL;

	if (!jws_jwk_new(&jwk, ca_account_key(visit->session.ca)))
		object = json_pack("{s:s, s:o}", "account", account_files_url(visit->session.files),
				   "oldKey", json_loads(jwk, 0, NULL));
	payload = json_dumps(object, JSON_COMPACT);
	if (payload && !jws_sign(&inner, next, NULL, NULL, url, payload))
		message = json_loads(inner, 0, NULL);
	json_decref(object);
	free(inner);
	free(payload);
	free(jwk);
	return message;
}

static void compose_rollover(struct visit *visit, struct ca_call *call)
{
	struct account_files *files = visit->session.files;
	struct ca *ca = visit->session.ca;
	int err;

	if (!ca_directory(ca)->key_change) {
		failure_set(&visit->failure,
			    "end this account with update_account --deactivate, then "
			    "register a new one",
			    "the CA %s cannot replace account keys", ca_server(ca));
		return;
	}
	err = account_files_lock(files);
	if (err == -EWOULDBLOCK) {
		failure_set(&visit->failure, "wait until it has finished, then run this again",
			    "another sidestep process is replacing the key in %s",
			    account_files_place(files));
		return;
	}
	if (!err)
		err = account_files_make_next_key(files);
	if (err) {
		failure_set_errno(&visit->failure, -err, "cannot create the next key in %s",
				  account_files_place(files));
		return;
	}
	call->url = ca_directory(ca)->key_change;
	call->answer = CA_ANSWER_NOTHING;
	call->payload = key_change(visit, account_files_next_key(files), call->url);
	if (!call->payload)
		failure_set_errno(&visit->failure, ENOMEM, "signing with the next key");
}

/* Keep every key on the disk that the CA may know. */
static void conclude_rollover(struct visit *visit)
{
	struct account_files *files = visit->session.files;
	int err;

	if (!failure_is_set(&visit->failure)) {
		err = account_take_next_key(visit->session.account);
		if (err)
			failure_set_errno(&visit->failure, -err,
					  "the CA uses the new key, but key.next.pem in %s cannot "
					  "be renamed to key.pem",
					  account_files_place(files));
	} else if (visit->failure.problem && !visit->may_pass) {
		err = account_files_drop_next_key(files);
		if (err)
			output_warning(
				"cannot remove the key that the CA refused, key.next.pem in %s: %s",
				account_files_place(files), strerror(-err));
	}
}

int verb_rollover(const struct arguments *arguments, const struct settings *settings)
{
	struct visit visit = {.arguments = arguments,
			      .settings = settings,
			      .step = "replacing the account's key",
			      .compose = compose_rollover};

	visit_enter(&visit);
	if (visit.session.account)
		conclude_rollover(&visit);
	if (!failure_is_set(&visit.failure))
		account_report(&visit, "Account key replaced");
	return visit_leave(&visit);
}
