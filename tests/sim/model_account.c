// SPDX-License-Identifier: GPL-3.0-or-later
/* The model CA's accounts: RFC 8555 section 7.3. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/model_internal.h"

struct model_account *model_account_by_id(struct model_ca *ca, uint64_t id)
{
	struct model_account *account;

	for (account = TAILQ_FIRST(&ca->accounts); account; account = TAILQ_NEXT(account, link))
		if (account->id == id)
			return account;
	return NULL;
}

static struct model_account *account_by_key(struct model_ca *ca, const char *thumbprint)
{
	struct model_account *account;

	for (account = TAILQ_FIRST(&ca->accounts); account; account = TAILQ_NEXT(account, link))
		if (strcmp(account->thumbprint, thumbprint) == 0)
			return account;
	return NULL;
}

static void account_free(struct model_account *account)
{
	EVP_PKEY_free(account->key);
	json_decref(account->contact);
	free(account);
}

void model_accounts_free(struct model_ca *ca)
{
	struct model_account *account;

	while ((account = TAILQ_FIRST(&ca->accounts))) {
		TAILQ_REMOVE(&ca->accounts, account, link);
		account_free(account);
	}
}

static void reply_account(struct model_call *call, long status, const struct model_account *account)
{
	model_set_location(call, "account", account->id);
	model_reply(call, status,
		    json_pack("{s:s, s:O*, s:o}", "status", model_status_name(account->status),
			      "contact", account->contact, "orders",
			      json_sprintf("%s/account/%llu/orders", call->ca->options.base,
					   (unsigned long long)account->id)));
}

static bool check_binding(struct model_call *call, bool is_look_up)
{
	const struct model_quirks *quirks = &call->ca->options.quirks;
	const json_t *binding = json_object_get(call->payload, "externalAccountBinding");

	if (!quirks->wants_binding && !quirks->wants_binding_always)
		return true;
	if (is_look_up && !quirks->wants_binding_always)
		return true;
	if (!binding)
		model_refuse(call, 403, "externalAccountRequired",
			     "an external account binding is required");
	else if (!model_binding_is_right(call, binding))
		model_refuse(call, 403, "unauthorized", "the external account binding is wrong");
	else
		return true;
	return false;
}

static void make_account(struct model_call *call)
{
	struct model_ca *ca = call->ca;
	struct model_account *account = calloc(1, sizeof(*account));

	if (!account)
		abort();
	account->id = ++ca->next_id;
	account->key = call->key;
	call->key = NULL;
	strcpy(account->thumbprint, call->thumbprint);
	account->contact = json_incref(json_object_get(call->payload, "contact"));
	account->status = STATUS_VALID;
	TAILQ_INSERT_TAIL(&ca->accounts, account, link);
	ca->counts.accounts++;
	model_log(ca, "account %llu is made", (unsigned long long)account->id);
	reply_account(call, 201, account);
}

void model_answer_new_account(struct model_call *call)
{
	bool is_look_up = json_is_true(json_object_get(call->payload, "onlyReturnExisting"));
	struct model_account *account = account_by_key(call->ca, call->thumbprint);

	if (call->account || !call->payload)
		model_refuse(call, 400, "malformed", "newAccount is signed by the key itself");
	else if (!check_binding(call, is_look_up))
		return;
	else if (account && account->status == STATUS_VALID)
		reply_account(call, 200, account);
	else if (account)
		model_refuse(call, 403, "unauthorized",
			     "An account with the provided public key exists but is deactivated");
	else if (is_look_up)
		model_refuse(call, 400, "accountDoesNotExist",
			     "No account exists with the provided key");
	else if (!json_is_true(json_object_get(call->payload, "termsOfServiceAgreed")))
		model_refuse(call, 400, "malformed", "must agree to terms of service");
	else
		make_account(call);
}

void model_answer_account(struct model_call *call)
{
	const char *status = json_string_value(json_object_get(call->payload, "status"));
	json_t *contact = json_object_get(call->payload, "contact");

	if (!call->account || call->account->id != call->id) {
		model_refuse(call, 403, "unauthorized", "this is not the account's key");
		return;
	}
	if (status && strcmp(status, "deactivated") == 0)
		call->account->status = STATUS_DEACTIVATED;
	if (contact) {
		json_decref(call->account->contact);
		call->account->contact = json_incref(contact);
	}
	reply_account(call, 200, call->account);
}

void model_answer_key_change(struct model_call *call)
{
	char thumbprint[THUMBPRINT_MAX];
	json_t *payload = NULL;
	EVP_PKEY *key = NULL;
	char *url = NULL;

	if (!call->account || !model_read_inner(call, &payload, &key, thumbprint)) {
		model_refuse(call, 400, "malformed", "the inner message is not right");
		return;
	}
	url = model_url(call->ca, "account", call->account->id, "");
	if (!json_string_value(json_object_get(payload, "account")) ||
	    strcmp(json_string_value(json_object_get(payload, "account")), url) != 0) {
		model_refuse(call, 400, "malformed", "the inner message names another account");
	} else if (account_by_key(call->ca, thumbprint)) {
		model_set_location(call, "account", account_by_key(call->ca, thumbprint)->id);
		model_refuse(call, 409, "conflict", "the new key is in use for an account");
	} else {
		EVP_PKEY_free(call->account->key);
		call->account->key = key;
		key = NULL;
		strcpy(call->account->thumbprint, thumbprint);
		model_log(call->ca, "account %llu has a new key",
			  (unsigned long long)call->account->id);
		reply_account(call, 200, call->account);
	}
	free(url);
	EVP_PKEY_free(key);
	json_decref(payload);
}
