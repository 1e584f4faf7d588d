// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * `sidestep revoke`: RFC 8555 section 7.6, signed by the account that got the certificate, or, where
 * that is not here or not known to the CA, by the certificate's own key.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/util/base64url.h"
#include "acme/protocol/client.h"
#include "acme/crypto/certificate.h"
#include "acme/crypto/key.h"
#include "acme/protocol/directory.h"
#include "acme/protocol/problem.h"
#include "acme/util/failure.h"
#include "acme/util/file.h"
#include "acme/net/loop.h"
#include "acme/net/net.h"
#include "acme/util/output.h"
#include "acme/renewal/session.h"
#include "acme/store/account_files.h"
#include "acme/store/state.h"
#include "acme/store/store.h"
#include "acme/cmd/verbs.h"

#define NO_REASON (-1)

struct revoking {
	const struct arguments *arguments;
	const struct settings *settings;
	struct stored stored;
	char *certificate; /* DER in base64url */
	int reason; /* NO_REASON: none */
	struct net net;
	struct session session;
	struct key *key; /* the certificate's, once it signs; NULL: the account signs */
	struct ca_request *request;
	struct failure failure;
};

/* The reasons of RFC 5280 section 5.3.1 that make sense for a server's certificate. */
static const struct {
	const char *name;
	int code;
} reasons[] = {
	{"unspecified", 0}, {"keyCompromise", 1},        {"affiliationChanged", 3},
	{"superseded", 4},  {"cessationOfOperation", 5}, {"privilegeWithdrawn", 9},
};

static void take_reason(struct revoking *revoking)
{
	const char *text = revoking->arguments->reason;
	size_t i;

	revoking->reason = NO_REASON;
	if (!text)
		return;
	for (i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		if (strcasecmp(text, reasons[i].name) == 0)
			revoking->reason = reasons[i].code;
	if (revoking->reason == NO_REASON)
		failure_set(&revoking->failure,
			    "one of unspecified, keyCompromise, affiliationChanged, superseded, "
			    "cessationOfOperation, privilegeWithdrawn",
			    "there is no revocation reason '%s'", text);
}

/* --- the certificate to revoke ---------------------------------------------------------------- */

static int load_certificate(struct revoking *revoking)
{
	char path[STORE_PATH_MAX + 32], *pem;
	size_t size;
	int err;

	snprintf(path, sizeof(path), "%s/%s", revoking->stored.path, store_file_names[STORE_CERT]);
	err = file_read(AT_FDCWD, path, STORE_PEM_MAX, &pem, &size);
	if (err)
		return err;
	err = certificate_to_base64url(&revoking->certificate, pem, size);
	free(pem);
	return err;
}

static void find_certificate(struct revoking *revoking)
{
	const struct arguments *arguments = revoking->arguments;
	int err;

	err = store_read(&revoking->stored, revoking->settings->paths, arguments->name);
	if (err == -ENOENT)
		failure_set(&revoking->failure, "`sidestep certificates` lists them",
			    "there is no certificate called %s", arguments->name);
	else if (!err && !revoking->stored.server)
		failure_set(&revoking->failure, "revoke it with the ACME client that got it",
			    "sidestep does not know which CA issued %s", arguments->name);
	else if (!err)
		err = load_certificate(revoking);
	if (err && !failure_is_set(&revoking->failure))
		failure_set_errno(&revoking->failure, -err, "cannot read the certificate %s",
				  arguments->name);
}

/* --- at the CA -------------------------------------------------------------------------------- */

static void ask_ca(struct revoking *revoking);

/* Whether the certificate's own key signs from now on. */
static bool take_certificate_key(struct revoking *revoking)
{
	const char *name = revoking->stored.name;
	int err;

	err = store_read_key(&revoking->key, revoking->settings->paths, name);
	if (!err)
		err = ca_set_account(revoking->session.ca, revoking->key, NULL);
	if (err)
		output_warning("the key of %s cannot be used to revoke it: %s", name,
			       strerror(-err));
	return !err;
}

/* Whether the account that asked is not the one that may revoke. */
static bool is_refused_account(const struct failure *failure)
{
	return problem_is(failure->problem, "unauthorized") ||
	       problem_is(failure->problem, "accountDoesNotExist");
}

static void on_revoked(void *context, struct ca_reply *reply)
{
	struct revoking *revoking = context;

	revoking->request = NULL;
	if (!revoking->key && is_refused_account(reply->failure) &&
	    take_certificate_key(revoking)) {
		ask_ca(revoking);
		return;
	}
	failure_move(&revoking->failure, reply->failure);
	loop_stop(revoking->net.loop);
}

static void ask_ca(struct revoking *revoking)
{
	struct ca *ca = revoking->session.ca;
	json_t *payload;

	payload = json_pack("{s:s}", "certificate", revoking->certificate);
	if (payload && revoking->reason != NO_REASON)
		json_object_set_new(payload, "reason", json_integer(revoking->reason));
	output_step(revoking->key ? "asking for the revocation, signed by the certificate's key"
				  : "asking for the revocation");
	revoking->request =
		ca_post(ca, &(struct ca_call){.url = ca_directory(ca)->revoke_cert,
					      .payload = payload,
					      .signer = revoking->key ? CA_SIGNED_BY_KEY
								      : CA_SIGNED_BY_ACCOUNT,
					      .answer = CA_ANSWER_NOTHING,
					      .done = on_revoked,
					      .context = revoking});
	if (revoking->request)
		return;
	failure_set_errno(&revoking->failure, ENOMEM, "asking for the revocation");
	loop_stop(revoking->net.loop);
}

static void on_revoking_ready(void *context, struct failure *failure)
{
	struct revoking *revoking = context;
	struct ca *ca = revoking->session.ca;

	if (is_refused_account(failure) && take_certificate_key(revoking))
		failure_done(failure);
	failure_move(&revoking->failure, failure);
	if (!failure_is_set(&revoking->failure) && !ca_directory(ca)->revoke_cert)
		failure_set(&revoking->failure, "ask the CA's operator to revoke the certificate",
			    "the CA %s does not revoke certificates by ACME", ca_server(ca));
	if (failure_is_set(&revoking->failure))
		loop_stop(revoking->net.loop);
	else
		ask_ca(revoking);
}

/* The account, if it is here; else the certificate's key.  0, or -1 with the failure set. */
static int choose_signer(struct revoking *revoking)
{
	const char *account = revoking->arguments->ca.account;
	struct account_files *files;
	bool is_here;

	if (account_files_open(
		    &files, revoking->settings->paths, revoking->stored.server,
		    settings_account(revoking->settings, revoking->stored.server, account),
		    &revoking->failure))
		return -1;
	is_here = account_files_key(files);
	account_files_free(files);
	if (!is_here && take_certificate_key(revoking))
		return 0;
	if (session_open_account(&revoking->session, account, &revoking->failure))
		return -1;
	revoking->session.options.must_exist = true;
	return 0;
}

static void ask_revocation(struct revoking *revoking)
{
	if (net_open(&revoking->net, revoking->settings->timeout_s, &revoking->failure))
		return;
	if (!session_open(&revoking->session, &revoking->net, revoking->settings,
			  revoking->stored.server, &revoking->failure)) {
		if (!choose_signer(revoking)) {
			session_start(&revoking->session, on_revoking_ready, revoking);
			net_run(&revoking->net, &revoking->failure);
			ca_cancel(revoking->request);
		}
		session_close(&revoking->session);
	}
	net_close(&revoking->net);
	key_free(revoking->key);
}

/* --- after the revocation --------------------------------------------------------------------- */

/* Pause the certificate: the operator revoked it on purpose, so nothing renews it. */
static void pause_renewal(struct revoking *revoking)
{
	struct failure failure = {0};
	struct state_lineage lineage;
	struct state *state;
	int err;

	if (!state_open(&state, revoking->settings->paths, &failure)) {
		err = state_lineage_find(state, revoking->stored.name, &lineage);
		if (!err) {
			err = state_pause(state, lineage.id,
					  "revoked; get a new one with `sidestep certonly`");
			state_lineage_done(&lineage);
		}
		if (err && err != -ENOENT)
			state_explain(state, err, &failure);
		state_free(state);
	}
	if (failure_is_set(&failure))
		output_failure("the certificate is revoked, but sidestep will renew it", &failure);
	failure_done(&failure);
}

int verb_revoke(const struct arguments *arguments, const struct settings *settings)
{
	struct revoking revoking = {.arguments = arguments, .settings = settings};
	int status;

	take_reason(&revoking);
	status = failure_is_set(&revoking.failure) ? EXIT_USAGE : EXIT_FAILED;
	if (!failure_is_set(&revoking.failure))
		find_certificate(&revoking);
	if (!failure_is_set(&revoking.failure))
		ask_revocation(&revoking);
	if (failure_is_set(&revoking.failure)) {
		output_fatal(&revoking.failure);
	} else {
		pause_renewal(&revoking);
		output_line("Revoked the certificate %s.", revoking.stored.name);
		output_document(json_pack("{s:b, s:s, s:s}", "ok", 1, "name", revoking.stored.name,
					  "serial", revoking.stored.certificate.serial));
		status = EXIT_DONE;
	}
	free(revoking.certificate);
	stored_done(&revoking.stored);
	failure_done(&revoking.failure);
	return status;
}
