// SPDX-License-Identifier: GPL-3.0-or-later
/* The model CA's authorizations and the validation of names: RFC 8555 section 7.5, RFC 8737. */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/model_internal.h"

#define PENDING_LIFE_S (7 * 86400)

void model_authorizations_free(struct model_ca *ca)
{
	struct model_authorization *authorization;

	while ((authorization = TAILQ_FIRST(&ca->authorizations))) {
		TAILQ_REMOVE(&ca->authorizations, authorization, link);
		json_decref(authorization->error);
		free(authorization);
	}
}

static void make_token(const struct model_ca *ca, uint64_t id, char ret_text[44])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char text[MODEL_URL_MAX];
	int size = snprintf(text, sizeof(text), "%s %llu %llu", ca->options.base,
			    (unsigned long long)ca->options.seed, (unsigned long long)id);

	SHA256((uint8_t *)text, (size_t)size, digest);
	model_base64url_encode(ret_text, digest, sizeof(digest));
}

/* One that is pending or valid is used again, as at Let's Encrypt. */
struct model_authorization *model_authorize(struct model_ca *ca, struct model_account *account,
					    const char *name)
{
	struct model_authorization *authorization;
	int64_t now_s = model_now(ca);

	for (authorization = ca->options.quirks.fresh_authorizations
				     ? NULL
				     : TAILQ_LAST(&ca->authorizations, model_authorizations);
	     authorization; authorization = TAILQ_PREV(authorization, model_authorizations, link))
		if (authorization->account == account && authorization->status <= STATUS_VALID &&
		    authorization->expires_s > now_s && strcmp(authorization->name, name) == 0)
			return authorization;
	authorization = calloc(1, sizeof(*authorization));
	if (!authorization)
		abort();
	authorization->ca = ca;
	authorization->id = ++ca->next_id;
	authorization->account = account;
	authorization->made_s = authorization->changed_s = now_s;
	authorization->expires_s = now_s + PENDING_LIFE_S;
	snprintf(authorization->name, sizeof(authorization->name), "%s", name);
	make_token(ca, authorization->id, authorization->token);
	TAILQ_INSERT_TAIL(&ca->authorizations, authorization, link);
	return authorization;
}

/* --- validating ------------------------------------------------------------------------------- */

static void enter(struct model_authorization *authorization, enum model_status status)
{
	authorization->old_status = authorization->status;
	authorization->status = status;
	authorization->changed_s = model_now(authorization->ca);
}

static void conclude(struct model_authorization *authorization, const struct model_verdict *verdict)
{
	struct model_ca *ca = authorization->ca;
	bool stays = verdict->problem && ca->options.quirks.failed_stays_pending &&
		     strcmp(verdict->problem, "connection") == 0;

	authorization->is_validating = false;
	if (verdict->problem) {
		json_decref(authorization->error);
		authorization->error = model_problem(verdict->problem, verdict->detail);
		ca->counts.failed_validations++;
		model_count_failure(authorization);
		model_log(ca, "authorization %llu of %s: %s: %s",
			  (unsigned long long)authorization->id, authorization->name,
			  verdict->problem, verdict->detail);
	}
	if (stays)
		return;
	enter(authorization, verdict->problem ? STATUS_INVALID : STATUS_VALID);
	if (!verdict->problem)
		authorization->expires_s = model_now(ca) + ca->options.authorization_s;
}

static void validate(void *argument)
{
	struct model_authorization *authorization = argument;
	struct model_ca *ca = authorization->ca;
	const struct model_host *host = &ca->options.host;
	struct model_verdict verdict = {0};
	uint8_t digest[MODEL_DIGEST];
	char *url;

	if (authorization->status != STATUS_PENDING)
		return;
	if (model_trouble(ca, TROUBLE_NO_VALIDATION, RESOURCE_CHALLENGE)) {
		verdict.problem = "connection";
		strcpy(verdict.detail, "Timeout during connect (likely firewall problem)");
	} else {
		url = model_url(ca, "account", authorization->account->id, "");
		model_digest_of_token(authorization->account, authorization->token, digest);
		host->validate(host->context, ca, authorization->name, url, digest, &verdict);
		free(url);
	}
	conclude(authorization, &verdict);
}

/* --- answers ---------------------------------------------------------------------------------- */

static json_t *challenge_of(const struct model_authorization *authorization,
			    enum model_status shown)
{
	json_t *object = json_pack(
		"{s:s, s:o, s:s, s:s}", "type", "tls-alpn-01", "url",
		json_sprintf("%s/challenge/%llu", authorization->ca->options.base,
			     (unsigned long long)authorization->id),
		"status",
		authorization->is_validating && shown == STATUS_PENDING
			? "processing"
			: model_status_name(shown == STATUS_DEACTIVATED ? STATUS_PENDING : shown),
		"token", authorization->token);

	if (authorization->error &&
	    (shown == STATUS_INVALID || authorization->ca->options.quirks.failed_stays_pending))
		json_object_set(object, "error", authorization->error);
	return object;
}

static struct model_authorization *authorization_by_id(struct model_ca *ca, uint64_t id)
{
	struct model_authorization *authorization;

	for (authorization = TAILQ_LAST(&ca->authorizations, model_authorizations); authorization;
	     authorization = TAILQ_PREV(authorization, model_authorizations, link))
		if (authorization->id == id)
			return authorization;
	return NULL;
}

/* The authorization of the URL, as far as this replica knows it.  NULL: the answer is made. */
static struct model_authorization *find_authorization(struct model_call *call)
{
	const struct model_trouble *stale = model_trouble(call->ca, TROUBLE_STALE, call->resource);
	struct model_authorization *authorization = authorization_by_id(call->ca, call->id);

	if (authorization && authorization->account == call->account &&
	    !(stale && model_now(call->ca) < authorization->made_s + stale->value)) {
		if (authorization->expires_s <= model_now(call->ca) &&
		    authorization->status <= STATUS_VALID)
			enter(authorization, STATUS_INVALID);
		return authorization;
	}
	model_refuse(call, 404, "malformed", "no authorization %llu for this account",
		     (unsigned long long)call->id);
	return NULL;
}

void model_answer_authorization(struct model_call *call)
{
	const struct model_authorization *authorization = find_authorization(call);
	const struct model_trouble *old =
		model_trouble(call->ca, TROUBLE_OLD_STATE, call->resource);
	enum model_status shown;

	if (!authorization)
		return;
	shown = authorization->status;
	if (old && model_now(call->ca) < authorization->changed_s + old->value)
		shown = authorization->old_status;
	model_reply(call, 200,
		    json_pack("{s:{s:s, s:s}, s:s, s:[o]}", "identifier", "type", "dns", "value",
			      authorization->name, "status", model_status_name(shown), "challenges",
			      challenge_of(authorization, shown)));
}

void model_answer_challenge(struct model_call *call)
{
	struct model_authorization *authorization = find_authorization(call);
	struct model_ca *ca = call->ca;

	if (!authorization)
		return;
	if (call->payload && authorization->status != STATUS_PENDING) {
		model_refuse(call, 400, "malformed",
			     "Unable to update challenge :: authorization must be pending "
			     "(verification has ended)");
		return;
	}
	if (call->payload && !authorization->is_validating) {
		authorization->is_validating = true;
		ca->options.host.later(ca->options.host.context, ca->options.validation_ms,
				       validate, authorization);
	}
	if (ca->options.quirks.empty_bodies)
		model_reply_empty(call, 200);
	else
		model_reply(call, 200, challenge_of(authorization, authorization->status));
}
