// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/protocol/account.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "acme/protocol/client.h"
#include "acme/protocol/directory.h"
#include "acme/protocol/problem.h"
#include "acme/store/account_files.h"
#include "acme/util/failure.h"
#include "acme/util/json.h"

struct account {
	struct account_files *files;
	bool is_new;

	/* Used while account_ensure() runs. */
	struct ca *ca;
	struct ca_request *request;
	const struct account_options *options;
	bool trying_next; /* the request is signed by the next key, not by the current one */
	bool creating; /* the request creates an account, instead of looking one up */
	void (*done)(void *context, struct failure *failure);
	void *context;
	struct failure failure;
};

struct account *account_new(struct account_files *files)
{
	struct account *account = calloc(1, sizeof(*account));

	if (account)
		account->files = files;
	return account;
}

void account_free(struct account *account)
{
	if (!account)
		return;
	ca_cancel(account->request);
	failure_done(&account->failure);
	free(account);
}

bool account_is_new(const struct account *account)
{
	return account->is_new;
}

/* account_files_take_next_key() frees the old key, so give the CA the new one. */
int account_take_next_key(struct account *account)
{
	struct account_files *files = account->files;
	int err = account_files_take_next_key(files);

	return err ? err
		   : ca_set_account(account->ca, account_files_key(files),
				    account_files_url(files));
}

static void account_finish(struct account *account)
{
	account->done(account->context, &account->failure);
}

/* The account is known: let the CA's requests use it. */
static void account_adopt(struct account *account)
{
	if (ca_set_account(account->ca, account_files_key(account->files),
			   account_files_url(account->files)))
		failure_set_errno(&account->failure, ENOMEM, "using the account");
	account_finish(account);
}

static void account_create(struct account *account);
static void go_by_key(struct account *account);

static void take_account(struct account *account, const struct ca_reply *reply)
{
	const char *status = json_read_string(reply->object, "status");
	int err;

	if (!reply->location) {
		failure_set_of(&account->failure, FAILURE_OF_CA, "report this to the CA's operator",
			       "the CA's answer lacks the account's URL");
	} else if (status && strcmp(status, "valid") != 0) {
		failure_set_of(
			&account->failure, FAILURE_OF_ACCOUNT,
			"move that directory away and run `sidestep register --agree-tos` for a "
			"new account",
			"the CA says that the account in %s is %s",
			account_files_place(account->files), status);
	} else {
		err = account_files_save_url(account->files, reply->location,
					     ca_server(account->ca));
		if (err)
			failure_set_errno(&account->failure, -err,
					  "cannot write the account into %s",
					  account_files_place(account->files));
	}
	if (failure_is_set(&account->failure))
		account_finish(account);
	else
		account_adopt(account);
}

/* The answer to a lookup by the next key: does the CA know it? */
static void take_next(struct account *account, struct ca_reply *reply)
{
	int err;

	account->trying_next = false;
	if (problem_is(reply->failure->problem, "accountDoesNotExist")) {
		go_by_key(account);
		return;
	}
	if (failure_is_set(reply->failure)) {
		failure_move(&account->failure, reply->failure);
		account_finish(account);
		return;
	}
	err = account_take_next_key(account);
	if (err) {
		failure_set_errno(&account->failure, -err,
				  "cannot rename the account's key.next.pem to key.pem in %s",
				  account_files_place(account->files));
		account_finish(account);
		return;
	}
	take_account(account, reply);
}

/*
 * The answer to a look-up: there is no account for this key.  A CA that wants the binding before it
 * looks for the account says so without having looked.
 */
static bool is_no_account(const json_t *problem)
{
	return problem_is(problem, "accountDoesNotExist") ||
	       problem_is(problem, "externalAccountRequired");
}

/* What a CA says of a binding that it does not accept reads like a failed validation. */
static void account_explain_refusal(struct account *account, struct failure *failure)
{
	const json_t *problem = failure->problem;
	const char *key_id = account->options->eab.key_id;

	if (key_id && (problem_is(problem, "unauthorized") || problem_is(problem, "malformed") ||
		       problem_is(problem, "externalAccountRequired"))) {
		failure_set(&account->failure,
			    "compare --eab-kid and --eab-hmac-key-file with what the CA's web site "
			    "shows; most CAs accept a key id once only: get a new one if it was "
			    "used before",
			    "the CA %s does not accept the external account binding with the key "
			    "id '%s'",
			    ca_server(account->ca), key_id);
		failure_set_problem(&account->failure, failure->problem);
	}
	failure_move(&account->failure, failure);
}

static void on_account(void *context, struct ca_reply *reply)
{
	struct account *account = context;

	account->request = NULL;
	if (account->trying_next) {
		take_next(account, reply);
	} else if (!failure_is_set(reply->failure)) {
		account->is_new = account->creating;
		take_account(account, reply);
	} else if (!account->creating && is_no_account(reply->failure->problem)) {
		account_create(account);
	} else {
		account_explain_refusal(account, reply->failure);
		account_finish(account);
	}
}

static void account_post(struct account *account, json_t *payload)
{
	struct key *key = account->trying_next ? account_files_next_key(account->files)
					       : account_files_key(account->files);
	struct ca_call call = {.url = ca_directory(account->ca)->new_account,
			       .payload = payload,
			       .signer = CA_SIGNED_BY_KEY,
			       .answer = CA_ANSWER_HEADERS,
			       .done = on_account,
			       .context = account};

	if (payload && !ca_set_account(account->ca, key, NULL))
		account->request = ca_post(account->ca, &call);
	if (!account->request) {
		failure_set_errno(&account->failure, ENOMEM, "asking for the account");
		account_finish(account);
	}
}

/* Add the binding of the key that signs to newAccount's payload, which is lost on an error. */
static json_t *with_binding(const struct account *account, json_t *payload)
{
	struct key *key = account->trying_next ? account_files_next_key(account->files)
					       : account_files_key(account->files);

	if (!account->options->eab.key_id ||
	    json_object_set_new(payload, "externalAccountBinding",
				eab_bind(&account->options->eab, key,
					 ca_directory(account->ca)->new_account)) == 0)
		return payload;
	json_decref(payload);
	return NULL;
}

/* Look the account up by its key (RFC 8555 section 7.3.1).  Some CAs want the binding here, too. */
static void account_look_up(struct account *account)
{
	account->creating = false;
	account_post(account, with_binding(account, json_pack("{s:b}", "onlyReturnExisting", 1)));
}

/* Whether a new account may be created; if not, sets the failure. */
static bool may_create(struct account *account)
{
	const struct directory *directory = ca_directory(account->ca);

	if (account->options->must_exist)
		failure_set_of(&account->failure, FAILURE_OF_ACCOUNT,
			       "create one with `sidestep register`", "there is no account in %s",
			       account_files_place(account->files));
	else if (directory->external_account_required && !account->options->eab.key_id)
		failure_set_of(
			&account->failure, FAILURE_OF_ACCOUNT,
			"get a key id and an HMAC key on the CA's web site, and give them with "
			"--eab-kid and --eab-hmac-key-file",
			"the CA %s requires an external account binding", ca_server(account->ca));
	else if (directory->terms_of_service && !account->options->agree_tos)
		failure_set_of(&account->failure, FAILURE_OF_ACCOUNT,
			       "read the terms, and add --agree-tos if you agree",
			       "there is no account%s at %s yet, and a new account must agree to "
			       "the terms of service: %s",
			       account->options->is_trial ? " for dry runs" : "",
			       ca_server(account->ca), directory->terms_of_service);
	return !failure_is_set(&account->failure);
}

static void account_create(struct account *account)
{
	const char *email = account->options->email;
	json_t *payload;
	int err;

	if (!may_create(account)) {
		account_finish(account);
		return;
	}
	err = account_files_make_key(account->files);
	if (err) {
		failure_set_errno(&account->failure, -err, "cannot create the account key in %s",
				  account_files_place(account->files));
		account_finish(account);
		return;
	}
	account->creating = true;
	payload = email ? json_pack("{s:[s+]}", "contact", "mailto:", email) : json_object();
	if (account->options->agree_tos &&
	    json_object_set_new(payload, "termsOfServiceAgreed", json_true())) {
		json_decref(payload);
		payload = NULL;
	}
	account_post(account, with_binding(account, payload));
}

/* Use the stored URL, look the account up by its key, or create an account. */
static void go_by_key(struct account *account)
{
	if (account_files_url(account->files) && !account->options->ask_ca)
		account_adopt(account);
	else if (account_files_key(account->files))
		account_look_up(account);
	else
		account_create(account);
}

void account_ensure(struct account *account, struct ca *ca, const struct account_options *options,
		    void (*done)(void *context, struct failure *failure), void *context)
{
	account->ca = ca;
	account->options = options;
	account->done = done;
	account->context = context;
	account->trying_next = account_files_next_key(account->files);
	if (account->trying_next)
		account_look_up(account);
	else
		go_by_key(account);
}
