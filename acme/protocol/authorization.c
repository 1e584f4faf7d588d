// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/protocol/authorization.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/challenge/selfcheck.h"
#include "acme/util/base64url.h"
#include "acme/protocol/client.h"
#include "acme/net/dns_answer.h"
#include "acme/protocol/problem.h"
#include "acme/util/failure.h"
#include "acme/challenge/issue_env.h"
#include "acme/challenge/responder.h"
#include "acme/protocol/order.h"
#include "acme/util/json.h"
#include "acme/protocol/jws.h"
#include "acme/net/loop.h"
#include "acme/util/output.h"
#include "acme/protocol/backoff.h"
#include "acme/challenge/probe.h"
#include "acme/challenge/evidence_report.h"
#include "common/challenge_table.h"
#include "common/clock.h"
#include "common/evidence.h"
#include "common/identifier.h"

#define CHALLENGE_TYPE     "tls-alpn-01" /* RFC 8737 section 3 */
#define CHALLENGE_PAUSE_MS 1000 /* before polling a challenge that the CA already validates */
#define HTTP_NOT_FOUND     404

/*
 * A CA may leave a challenge pending after a failed attempt, and say why (RFC 8555 section 8.2).  Then
 * it is asked again, so often, after pauses that double from the first.
 */
#define ASKS_MAX      4
#define ASKS_PAUSE_MS 2000

/* One arming lasts for as long as the CA may take, so nothing needs to renew it. */
#define TTL_S CHALLENGE_TTL_DEFAULT_S
_Static_assert(TTL_S > BACKOFF_DEADLINE_S + BACKOFF_RETRY_AFTER_MAX_S, "the name stays armed");

struct authorization {
	const struct order_options *order;
	void (*changed)(void *context);
	void *context;
	enum authorization_state state;
	char *url;
	const struct identifier *identifier;
	bool armed;
	uint8_t digest[CHALLENGE_DIGEST_SIZE]; /* of the key authorization, as armed */
	uint64_t armed_ns; /* just before arming; CLOCK_BOOTTIME */
	char *challenge_url; /* a POST there says that the challenge is ready */
	struct selfcheck_run *selfcheck_run; /* not NULL while probing */
	bool was_probed;
	struct probe_result probed;
	struct ca_request *request;
	struct backoff poll;
	struct timer timer;
	uint32_t asks; /* how often the CA was asked again to validate */
	struct failure refused; /* the CA refused to hear that the challenge is ready */
	bool lacks_answer;
	struct failure failure;
};

static void authorization_fetch(void *context);

/* --- the challenge in the table -------------------------------------------------------- */

static bool authorization_arm(struct authorization *authorization, const char *token)
{
	const struct order_options *order = authorization->order;
	uint8_t *digest = authorization->digest;
	int err;

	authorization->armed_ns = clock_boottime_ns();
	_Static_assert(CHALLENGE_DIGEST_SIZE == DIGEST_SIZE, "both are SHA-256");
	err = jws_key_authorization_digest(digest, ca_account_key(order->ca), token);
	if (!err)
		err = responder_publish(order->env->table, order->env->paths,
					authorization->identifier, digest, TTL_S);
	if (err)
		responder_explain_publish(&authorization->failure, err,
					  authorization->identifier->value);
	else
		authorization->armed = true;
	return !err;
}

/*
 * Disarm the name.  After success, keep answering for CHALLENGE_GRACE_S: slower perspectives of the
 * CA may still connect.
 */
static void authorization_disarm(struct authorization *authorization)
{
	uint32_t grace_s = authorization->state == AUTHORIZATION_VALID ? CHALLENGE_GRACE_S : 0;
	int err;

	if (!authorization->armed)
		return;
	authorization->armed = false;
	err = challenge_table_withdraw(*authorization->order->env->table, authorization->identifier,
				       authorization->digest, grace_s);
	/* ENOENT and ESTALE: somebody withdrew or replaced it, or there is a new table. */
	if (err && err != -ENOENT && err != -ESTALE)
		output_warning("cannot disarm %s; it expires in at most %d s: %s",
			       authorization->identifier->value, TTL_S, strerror(-err));
}

/* --- the states ------------------------------------------------------------------------ */

static void authorization_enter(struct authorization *authorization, enum authorization_state state)
{
	authorization->state = state;
	if (state == AUTHORIZATION_VALID || state == AUTHORIZATION_FAILED)
		authorization_disarm(authorization);
	authorization->changed(authorization->context);
}

static void authorization_post(struct authorization *authorization, const char *url,
			       json_t *payload, void (*done)(void *context, struct ca_reply *reply))
{
	struct ca_call call = {.url = url,
			       .payload = payload,
			       .answer = payload ? CA_ANSWER_NOTHING : CA_ANSWER_OBJECT,
			       .done = done,
			       .context = authorization};

	authorization->request = ca_post(authorization->order->ca, &call);
	if (!authorization->request) {
		failure_set_errno(&authorization->failure, ENOMEM, "asking the CA");
		authorization_enter(authorization, AUTHORIZATION_FAILED);
	}
}

static void authorization_fail(struct authorization *authorization, struct failure *failure)
{
	failure_move(&authorization->failure, failure);
	authorization_enter(authorization, AUTHORIZATION_FAILED);
}

/* Fetch the authorization again after `pause_ms`; false when that is -1. */
static bool fetch_later(struct authorization *authorization, int64_t pause_ms)
{
	if (pause_ms < 0)
		return false;
	loop_timer_start(ca_loop(authorization->order->ca), &authorization->timer,
			 (uint64_t)pause_ms, authorization_fetch, authorization);
	return true;
}

/* A request has failed: fetch the authorization again, or give up. */
static void fetch_after_failure(struct authorization *authorization, struct ca_reply *reply)
{
	int64_t pause_ms = -1;

	if (reply->may_pass)
		pause_ms = backoff_after_failure_ms(&authorization->poll, reply->retry_after_s,
						    clock_monotonic_ns());
	else if (reply->status == HTTP_NOT_FOUND)
		pause_ms = backoff_after_missing_ms(&authorization->poll, reply->retry_after_s,
						    clock_monotonic_ns());
	if (fetch_later(authorization, pause_ms))
		return;
	authorization->lacks_answer = reply->may_pass;
	authorization_fail(authorization, reply->failure);
}

static void wait_for_verdict(struct authorization *authorization, const struct ca_reply *reply)
{
	if (fetch_later(authorization, backoff_again_ms(&authorization->poll, reply->retry_after_s,
							clock_monotonic_ns())))
		return;
	failure_set(&authorization->failure, "try again later",
		    "the CA did not finish the validation within %d s", BACKOFF_DEADLINE_S);
	authorization_enter(authorization, AUTHORIZATION_FAILED);
}

static void on_told(void *context, struct ca_reply *reply)
{
	struct authorization *authorization = context;

	authorization->request = NULL;
	if (!failure_is_set(reply->failure)) {
		authorization_enter(authorization, AUTHORIZATION_WAITING);
		wait_for_verdict(authorization, reply);
	} else if (reply->may_pass || reply->status == HTTP_NOT_FOUND) {
		fetch_after_failure(authorization, reply);
	} else {
		/* Perhaps the CA heard it before, and its answer was lost. */
		failure_move(&authorization->refused, reply->failure);
		fetch_later(authorization, 0);
	}
}

/* RFC 8555 section 7.5.1. */
static void authorization_tell_ca(struct authorization *authorization)
{
	authorization_enter(authorization, AUTHORIZATION_TELLING);
	authorization_post(authorization, authorization->challenge_url, json_object(), on_told);
}

static void authorization_tell_again(void *context)
{
	authorization_tell_ca(context);
}

static void on_authorization_probed(void *context, const struct probe_result *result)
{
	struct authorization *authorization = context;

	authorization->selfcheck_run = NULL;
	authorization->was_probed = result;
	if (result)
		authorization->probed = *result;
	authorization_tell_ca(authorization);
}

/* Probe this host's own port 443, then tell the CA; without a self-check, tell the CA at once. */
static void probe_and_tell(struct authorization *authorization, const char *challenge_url)
{
	struct selfcheck *selfcheck = authorization->order->env->selfcheck;

	free(authorization->challenge_url);
	authorization->challenge_url = strdup(challenge_url);
	if (!authorization->challenge_url) {
		failure_set_errno(&authorization->failure, ENOMEM, "telling the CA");
		authorization_enter(authorization, AUTHORIZATION_FAILED);
		return;
	}
	authorization->was_probed = false;
	if (selfcheck)
		authorization->selfcheck_run =
			selfcheck_start(selfcheck, authorization->identifier, authorization->digest,
					on_authorization_probed, authorization);
	if (authorization->selfcheck_run)
		authorization_enter(authorization, AUTHORIZATION_PROBING);
	else
		authorization_tell_ca(authorization);
}

static const json_t *find_challenge(const json_t *object)
{
	const json_t *challenges = json_object_get(object, "challenges"), *challenge;
	const char *type;
	size_t i;

	json_array_foreach (challenges, i, challenge) {
		type = json_read_string(challenge, "type");
		if (type && strcmp(type, CHALLENGE_TYPE) == 0)
			return challenge;
	}
	return NULL;
}

/* The authorization is pending, and the CA may not know that we are ready: arm, then tell it. */
static void authorization_begin(struct authorization *authorization, const json_t *object)
{
	struct failure *failure = &authorization->failure;
	const json_t *challenge = find_challenge(object);
	const char *token = json_read_string(challenge, "token");
	const char *url = json_read_url(challenge, "url");
	const char *status = json_read_string(challenge, "status");

	if (!challenge)
		failure_set(
			failure,
			"use another CA, or another ACME client for one of this CA's challenges",
			"the CA does not offer the " CHALLENGE_TYPE " challenge");
	else if (!token || !base64url_is_valid(token) || !url)
		failure_set(failure, "report this to the CA's operator",
			    "the CA's " CHALLENGE_TYPE " challenge lacks its token or URL");
	else if (authorization_arm(authorization, token)) {
		/* A killed process may have told the CA already: RFC 8555 section 7.1.6. */
		if (status && strcmp(status, "processing") == 0) {
			authorization_enter(authorization, AUTHORIZATION_WAITING);
			fetch_later(authorization, CHALLENGE_PAUSE_MS);
		} else {
			probe_and_tell(authorization, url);
		}
		return;
	}
	authorization_enter(authorization, AUTHORIZATION_FAILED);
}

/* Find the order's identifier that this authorization is for; NULL: none. */
static const struct identifier *match_identifier(const struct order_options *order,
						 const json_t *object)
{
	const json_t *member = json_object_get(object, "identifier");
	const char *value = json_read_string(member, "value");
	struct identifier identifier;
	enum identifier_error err;
	size_t i;

	if (!value || json_read_true(object, "wildcard"))
		return NULL;
	err = identifier_parse(&identifier, value);
	if (err != IDENTIFIER_OK && err != IDENTIFIER_SINGLE_LABEL)
		return NULL;
	for (i = 0; i < order->identifier_count; i++)
		if (strcmp(order->identifiers[i].value, identifier.value) == 0)
			return &order->identifiers[i];
	return NULL;
}

/* Put what this host saw into the failure: did the CA arrive, and what came of it? */
static void tell_what_came(struct authorization *authorization)
{
	const struct probe_result *probed =
		authorization->was_probed ? &authorization->probed : NULL;
	struct evidence_of_name seen;
	size_t length;
	int err;

	if (!authorization->armed)
		return;
	err = evidence_report_read(&seen, authorization->order->env->paths,
				   authorization->identifier, authorization->armed_ns);
	/* Leave out the self-check's connection, which says nothing about the CA. */
	if (!err && probed &&
	    evidence_report_forget(&seen, selfcheck_address(authorization->order->env->selfcheck)))
		err = -ENOENT;
	if (!err || err == -ENOENT)
		evidence_report_sum_up(authorization->failure.seen, err ? NULL : &seen);
	if (!probed || probed->kind == PROBE_RIGHT)
		return;
	length = strlen(authorization->failure.seen);
	snprintf(authorization->failure.seen + length, sizeof(authorization->failure.seen) - length,
		 "%sthe self-check of this host's port 443, before the validation, found: %s",
		 length ? "; " : "", probed->text);
}

/* The CA could not validate the name: say why. */
static void authorization_fail_validation(struct authorization *authorization, const json_t *object,
					  const char *status)
{
	json_t *problem = json_object_get(find_challenge(object), "error");

	if (json_is_object(problem))
		problem_explain(&authorization->failure, problem);
	else
		failure_set(&authorization->failure, "run this again for a new authorization",
			    "the CA says that the authorization is %s, and gives no reason",
			    status);
	tell_what_came(authorization);
	selfcheck_note_failure(authorization->order->env->selfcheck);
	authorization_enter(authorization, AUTHORIZATION_FAILED);
}

/* The CA has tried, left the challenge pending, and says why: it may try again when asked. */
static void authorization_ask_again(struct authorization *authorization, const json_t *object)
{
	if (authorization->asks == ASKS_MAX) {
		authorization_fail_validation(authorization, object, "pending");
		return;
	}
	loop_timer_start(ca_loop(authorization->order->ca), &authorization->timer,
			 (uint64_t)ASKS_PAUSE_MS << authorization->asks, authorization_tell_again,
			 authorization);
	authorization->asks++;
}

static void authorization_read_pending(struct authorization *authorization,
				       const struct ca_reply *reply)
{
	const json_t *challenge = find_challenge(reply->object);
	const char *status = json_read_string(challenge, "status");
	const bool is_pending = !status || strcmp(status, "pending") == 0;

	/* Some CAs leave the authorization pending, and only the challenge is invalid. */
	if (status && strcmp(status, "invalid") == 0) {
		authorization_fail_validation(authorization, reply->object, status);
	} else if (failure_is_set(&authorization->refused) && is_pending) {
		authorization_fail(authorization, &authorization->refused);
	} else if (failure_is_set(&authorization->refused)) {
		failure_done(&authorization->refused);
		authorization_enter(authorization, AUTHORIZATION_WAITING);
		wait_for_verdict(authorization, reply);
	} else if (authorization->state != AUTHORIZATION_WAITING) {
		authorization_begin(authorization, reply->object);
	} else if (is_pending && json_is_object(json_object_get(challenge, "error"))) {
		authorization_ask_again(authorization, reply->object);
	} else {
		wait_for_verdict(authorization, reply);
	}
}

static void authorization_read_object(struct authorization *authorization,
				      const struct ca_reply *reply)
{
	const char *status = json_read_string(reply->object, "status");

	if (!authorization->identifier)
		authorization->identifier = match_identifier(authorization->order, reply->object);
	if (!authorization->identifier || !status) {
		failure_set(
			&authorization->failure, "report this to the CA's operator",
			"the CA's authorization %s lacks a status, or is not for a name of this "
			"order",
			authorization->url);
		authorization_enter(authorization, AUTHORIZATION_FAILED);
	} else if (strcmp(status, "valid") == 0) {
		authorization_enter(authorization, AUTHORIZATION_VALID);
	} else if (strcmp(status, "pending") == 0) {
		authorization_read_pending(authorization, reply);
	} else {
		authorization_fail_validation(authorization, reply->object, status);
	}
}

static void on_fetched(void *context, struct ca_reply *reply)
{
	struct authorization *authorization = context;

	authorization->request = NULL;
	if (failure_is_set(reply->failure))
		fetch_after_failure(authorization, reply);
	else
		authorization_read_object(authorization, reply);
}

static void authorization_fetch(void *context)
{
	struct authorization *authorization = context;

	authorization_post(authorization, authorization->url, NULL, on_fetched);
}

/* --- public functions -------------------------------------------------------------------- */

struct authorization *authorization_new(const struct order_options *order, const char *url,
					void (*changed)(void *context), void *context)
{
	struct authorization *authorization = calloc(1, sizeof(*authorization));

	if (!authorization)
		return NULL;
	authorization->order = order;
	authorization->changed = changed;
	authorization->context = context;
	authorization->url = strdup(url);
	if (!authorization->url) {
		free(authorization);
		return NULL;
	}
	fetch_later(authorization, 0);
	return authorization;
}

void authorization_free(struct authorization *authorization)
{
	if (!authorization)
		return;
	selfcheck_cancel(authorization->selfcheck_run);
	authorization_disarm(authorization);
	ca_cancel(authorization->request);
	loop_timer_stop(ca_loop(authorization->order->ca), &authorization->timer);
	failure_done(&authorization->refused);
	failure_done(&authorization->failure);
	free(authorization->challenge_url);
	free(authorization->url);
	free(authorization);
}

enum authorization_state authorization_state(const struct authorization *authorization)
{
	return authorization->state;
}

const struct identifier *authorization_identifier(const struct authorization *authorization)
{
	return authorization->identifier;
}

bool authorization_lacks_answer(const struct authorization *authorization)
{
	return authorization->state == AUTHORIZATION_FAILED && authorization->lacks_answer;
}

const struct failure *authorization_failure(const struct authorization *authorization)
{
	return &authorization->failure;
}
