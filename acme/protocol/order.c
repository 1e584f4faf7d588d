// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/protocol/order.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "acme/challenge/issue_env.h"
#include "acme/challenge/name_claims.h"
#include "acme/crypto/csr.h"
#include "acme/protocol/authorization.h"
#include "acme/util/base64url.h"
#include "acme/protocol/client.h"
#include "acme/protocol/chain_select.h"
#include "acme/protocol/directory.h"
#include "acme/protocol/order_request.h"
#include "acme/protocol/problem.h"
#include "acme/util/failure.h"
#include "acme/util/json.h"
#include "acme/net/loop.h"
#include "acme/protocol/backoff.h"
#include "acme/util/certificate_spec.h"
#include "common/clock.h"
#include "common/identifier.h"

#define HTTP_NOT_FOUND 404

struct order {
	const struct order_options *options;
	enum order_state state;
	struct name_claim claim; /* of its names, until the CA issues */
	char *url;
	char *finalize_url;
	struct authorization *authorizations[CSR_NAMES_MAX];
	size_t authorization_count;
	struct ca_request *request;
	struct chain_select *chains;
	struct backoff poll;
	struct timer timer;
	char *chain;
	size_t chain_size;
	bool replaces; /* send "replaces" with newOrder */
	struct failure refused; /* finalize was: perhaps the CA has the request from before */
	struct failure failure;
};

static void order_enter(struct order *order, enum order_state state)
{
	order->state = state;
	/* From here on the CA validates nothing, and gives the order to no other newOrder. */
	if (state == ORDER_ISSUING || state >= ORDER_DONE)
		name_claim_end(&order->claim);
	order->options->changed(order->options->context, order);
}

static void order_fail(struct order *order, struct failure *failure)
{
	failure_move(&order->failure, failure);
	order_enter(order, ORDER_FAILED);
}

static void order_fail_for_memory(struct order *order)
{
	failure_set_errno(&order->failure, ENOMEM, "working on the order");
	order_enter(order, ORDER_FAILED);
}

/* Send `call`; fills in the members that all of an order's requests share. */
static void order_post(struct order *order, struct ca_call *call,
		       void (*done)(void *context, struct ca_reply *reply))
{
	call->done = done;
	call->context = order;
	order->request = ca_post(order->options->ca, call);
	if (!order->request)
		order_fail_for_memory(order);
}

/* The CA's order makes no sense, and will not: it is over. */
static void order_end(struct order *order)
{
	order->failure.ends_order = true;
	order_enter(order, ORDER_FAILED);
}

/* Keep a copy of the URL.  False: it is missing, or out of memory, and the order has failed. */
static bool keep_url(struct order *order, char **ret_url, const char *url, const char *what)
{
	if (!url) {
		failure_set_of(&order->failure, FAILURE_OF_CA, "report this to the CA's operator",
			       "the CA's order lacks its %s", what);
		order_end(order);
		return false;
	}
	free(*ret_url);
	*ret_url = strdup(url);
	if (!*ret_url)
		order_fail_for_memory(order);
	return *ret_url;
}

/* --- polling, finalizing and downloading --------------------------------------------- */

static void order_follow(struct order *order, const struct ca_reply *reply);
static void order_look_up(void *context);
static void order_create(void *context);

static void on_polled(void *context, struct ca_reply *reply);

/* Fetch the order's state. */
static void order_poll(void *context)
{
	struct order *order = context;

	order_post(order, &(struct ca_call){.url = order->url}, on_polled);
}

static void ask_later(struct order *order, int64_t pause_ms, struct failure *failure)
{
	if (pause_ms >= 0) {
		loop_timer_start(ca_loop(order->options->ca), &order->timer, (uint64_t)pause_ms,
				 order_poll, order);
		return;
	}
	failure_set_of(failure, FAILURE_OF_CA, "try again later",
		       "the CA did not finish the order within %d s: %s", BACKOFF_DEADLINE_S,
		       order->url);
	order_fail(order, failure);
}

/* How long to pause after a reply with a failure; -1: it stays. */
static int64_t pause_after(struct order *order, const struct ca_reply *reply)
{
	const uint64_t now_ns = clock_monotonic_ns();

	if (reply->may_pass || problem_is(reply->failure->problem, "orderNotReady"))
		return backoff_after_failure_ms(&order->poll, reply->retry_after_s, now_ns);
	if (reply->status == HTTP_NOT_FOUND)
		return backoff_after_missing_ms(&order->poll, reply->retry_after_s, now_ns);
	return -1;
}

static void on_polled(void *context, struct ca_reply *reply)
{
	struct order *order = context;

	order->request = NULL;
	if (!failure_is_set(reply->failure)) {
		order_follow(order, reply);
		return;
	}
	ask_later(order, pause_after(order, reply), reply->failure);
}

static void order_finalize(struct order *order);

/* The CA has said "ready". */
static void order_finalize_once(struct order *order)
{
	if (failure_is_set(&order->refused))
		order_fail(order, &order->refused);
	else
		order_finalize(order);
}

static void on_chain(void *context, struct ca_reply *reply)
{
	struct order *order = context;

	if (failure_is_set(reply->failure)) {
		/* The certificate is issued, so fetch it again later. */
		if (reply->may_pass || reply->status == HTTP_NOT_FOUND)
			order_enter(order, ORDER_ISSUING);
		chain_select_free(order->chains);
		order->chains = NULL;
		on_polled(order, reply);
		return;
	}
	order->chain = malloc(reply->body_size + 1);
	if (!order->chain) {
		order_fail_for_memory(order);
		return;
	}
	memcpy(order->chain, reply->body, reply->body_size + 1);
	order->chain_size = reply->body_size;
	order_enter(order, ORDER_DONE);
}

static void order_download(struct order *order, const char *url)
{
	if (!url) {
		failure_set_of(&order->failure, FAILURE_OF_CA, "report this to the CA's operator",
			       "the CA says that the order is valid, but gives no certificate URL");
		order_end(order);
		return;
	}
	order_enter(order, ORDER_DOWNLOADING);
	order->chains =
		chain_select_start(order->options->ca, url,
				   order->options->settings->preferred_chain, on_chain, order);
	if (!order->chains)
		order_fail_for_memory(order);
}

static void on_finalized(void *context, struct ca_reply *reply)
{
	struct order *order = context;
	int64_t pause_ms;

	order->request = NULL;
	if (!failure_is_set(reply->failure)) {
		order_enter(order, ORDER_ISSUING);
		order_follow(order, reply);
		return;
	}
	/* The order's status will say whether the CA got the request: RFC 8555 section 7.4. */
	order_enter(order, ORDER_PREPARING);
	pause_ms = pause_after(order, reply);
	if (pause_ms < 0 && !reply->may_pass) {
		failure_move(&order->refused, reply->failure);
		pause_ms = 0;
	}
	ask_later(order, pause_ms, reply->failure);
}

static void order_finalize(struct order *order)
{
	char *csr = base64url_new(order->options->csr, order->options->csr_size);
	json_t *payload = csr ? json_pack("{s:s}", "csr", csr) : NULL;

	free(csr);
	if (!payload) {
		order_fail_for_memory(order);
		return;
	}
	order_enter(order, ORDER_FINALIZING);
	order_post(order,
		   &(struct ca_call){.url = order->finalize_url,
				     .payload = payload,
				     .answer = CA_ANSWER_HEADERS},
		   on_finalized);
}

static void order_explain_invalid(struct order *order, const json_t *object, const char *status)
{
	json_t *problem = json_object_get(object, "error");

	if (json_is_object(problem))
		problem_explain(&order->failure, problem);
	else if (failure_is_set(&order->refused))
		failure_move(&order->failure, &order->refused);
	else
		failure_set(&order->failure, "run this again for a new order",
			    "the CA says that the order is %s, and gives no reason", status);
	order_end(order);
}

/* Act on the order's status after the authorizations: RFC 8555 section 7.1.6. */
static void order_follow(struct order *order, const struct ca_reply *reply)
{
	const char *status = json_read_string(reply->object, "status");
	struct failure slow = {0};

	if (!reply->object)
		/* Headers alone, after finalize. */
		ask_later(
			order,
			backoff_again_ms(&order->poll, reply->retry_after_s, clock_monotonic_ns()),
			&slow);
	else if (!status)
		order_explain_invalid(order, reply->object, "in an unknown state");
	else if (strcmp(status, "valid") == 0)
		order_download(order, json_read_url(reply->object, "certificate"));
	else if (strcmp(status, "ready") == 0 && order->state == ORDER_PREPARING)
		order_finalize_once(order);
	else if (strcmp(status, "pending") == 0 || strcmp(status, "ready") == 0 ||
		 strcmp(status, "processing") == 0)
		ask_later(
			order,
			backoff_again_ms(&order->poll, reply->retry_after_s, clock_monotonic_ns()),
			&slow);
	else
		order_explain_invalid(order, reply->object, status);
}

/* --- the authorizations ---------------------------------------------------------------- */

/* No name is at fault: the first failure is the order's, which may be resumed. */
static void order_lack_answers(struct order *order)
{
	size_t i = 0;

	while (authorization_state(order->authorizations[i]) != AUTHORIZATION_FAILED)
		i++;
	failure_copy(&order->failure, authorization_failure(order->authorizations[i]));
	order_enter(order, ORDER_FAILED);
}

/* How many of the names are at fault, and not the CA, this host or the way between them. */
static size_t count_bad_names(const struct order *order)
{
	const struct failure *failure;
	size_t count = 0, i;

	for (i = 0; i < order->authorization_count; i++) {
		failure = authorization_failure(order->authorizations[i]);
		count += failure_is_set(failure) && failure->owner == FAILURE_OF_NAME &&
			 !authorization_lacks_answer(order->authorizations[i]);
	}
	return count;
}

/*
 * Each bad name has a failure of its own, which the caller can show.  The order's own goes further, to
 * the state and to operators: so it has the first reason, and what to do.
 */
static void blame_names(struct order *order, size_t failed)
{
	const struct authorization *const *authorization =
		(const struct authorization *const *)order->authorizations;
	const struct identifier *identifier;
	const struct failure *first;

	while (!failure_is_set(authorization_failure(*authorization)))
		authorization++;
	first = authorization_failure(*authorization);
	identifier = authorization_identifier(*authorization);
	failure_set(&order->failure, first->next_step,
		    "the CA could not validate %zu of %zu names; %s: %s", failed,
		    order->authorization_count, identifier ? identifier->value : "the first",
		    first->cause);
	snprintf(order->failure.seen, sizeof(order->failure.seen), "%s", first->seen);
	order->failure.ends_order = true;
}

/* All authorizations have ended.  Each failed one has its own reason, so one run shows them all. */
static void conclude_authorizations(struct order *order, size_t failed)
{
	if (failed && !count_bad_names(order)) {
		order_lack_answers(order);
	} else if (failed) {
		blame_names(order, failed);
		order_enter(order, ORDER_FAILED);
	} else {
		/* The order is ready now; a CA that is not so far says so (RFC 8555 section 7.4). */
		order_finalize(order);
	}
}

static void on_authorization_changed(void *context)
{
	struct order *order = context;
	size_t i, valid = 0, failed = 0;

	/* After another failure of the order its authorizations still run until it is freed. */
	if (order->state != ORDER_AUTHORIZING)
		return;
	for (i = 0; i < order->authorization_count; i++) {
		valid += authorization_state(order->authorizations[i]) == AUTHORIZATION_VALID;
		failed += authorization_state(order->authorizations[i]) == AUTHORIZATION_FAILED;
	}
	if (valid + failed == order->authorization_count)
		conclude_authorizations(order, failed);
	else
		order->options->changed(order->options->context, order);
}

static void order_authorize(struct order *order, const json_t *urls)
{
	size_t count = json_array_size(urls), i;
	const char *url;

	if (count == 0 || count > CSR_NAMES_MAX) {
		failure_set_of(&order->failure, FAILURE_OF_CA, "report this to the CA's operator",
			       "the CA's order has %zu authorizations", count);
		order_end(order);
		return;
	}
	for (i = 0; i < count; i++) {
		url = json_string_value(json_array_get(urls, i));
		if (!url || !url_is_usable(url)) {
			failure_set_of(&order->failure, FAILURE_OF_CA,
				       "report this to the CA's operator",
				       "an authorization of the CA's order is no https URL");
			order_end(order);
			return;
		}
		order->authorizations[i] =
			authorization_new(order->options, url, on_authorization_changed, order);
		if (!order->authorizations[i]) {
			order_fail_for_memory(order);
			return;
		}
		order->authorization_count++;
	}
	order_enter(order, ORDER_AUTHORIZING);
}

/* --- creating or resuming an order ------------------------------------------------------ */

/* Start from the order object, of a new order or of an earlier one, whose URL is known. */
static void order_begin(struct order *order, const struct ca_reply *reply)
{
	const json_t *object = reply->object;
	const char *status;

	if (!keep_url(order, &order->finalize_url, json_read_url(object, "finalize"),
		      "finalize URL"))
		return;
	status = json_read_string(object, "status");
	if (status && strcmp(status, "pending") == 0) {
		order_authorize(order, json_object_get(object, "authorizations"));
		return;
	}
	order_enter(order, ORDER_PREPARING);
	order_follow(order, reply);
}

/* The CA has an order, with this URL: whoever asks for `created` learns it before all else. */
static bool order_has_url(struct order *order, const char *url)
{
	if (!keep_url(order, &order->url, url, "URL"))
		return false;
	if (order->options->created)
		order->options->created(order->options->context, order);
	return true;
}

static void order_fetch_new(void *context);

static void on_new_fetched(void *context, struct ca_reply *reply)
{
	struct order *order = context;
	int64_t pause_ms;

	order->request = NULL;
	if (!failure_is_set(reply->failure)) {
		order_begin(order, reply);
		return;
	}
	pause_ms = pause_after(order, reply);
	if (pause_ms < 0)
		order_fail(order, reply->failure);
	else
		loop_timer_start(ca_loop(order->options->ca), &order->timer, (uint64_t)pause_ms,
				 order_fetch_new, order);
}

/* newOrder was answered by headers alone. */
static void order_fetch_new(void *context)
{
	struct order *order = context;

	order_post(order, &(struct ca_call){.url = order->url}, on_new_fetched);
}

static void on_created(void *context, struct ca_reply *reply)
{
	struct order *order = context;

	order->request = NULL;
	if (!failure_is_set(reply->failure)) {
		if (!order_has_url(order, reply->location))
			return;
		if (reply->object)
			order_begin(order, reply);
		else
			order_fetch_new(order);
	} else if (order->replaces && reply->failure->problem &&
		   !problem_is(reply->failure->problem, "rateLimited")) {
		/* RFC 9773 section 5: replaced already, or unknown to the CA. */
		order->replaces = false;
		order_create(order);
	} else {
		order_fail(order, reply->failure);
	}
}

static void order_create(void *context)
{
	struct order *order = context;
	json_t *payload = order_request_new(order->options, order->replaces, &order->failure);

	if (!payload) {
		order_enter(order, ORDER_FAILED);
		return;
	}
	order_post(order,
		   &(struct ca_call){.url = ca_directory(order->options->ca)->new_order,
				     .payload = payload,
				     .answer = CA_ANSWER_HEADERS},
		   on_created);
}

static void on_found(void *context, struct ca_reply *reply)
{
	struct order *order = context;
	const char *status = json_read_string(reply->object, "status");
	int64_t pause_ms;

	order->request = NULL;
	if (reply->may_pass) {
		pause_ms = backoff_after_failure_ms(&order->poll, reply->retry_after_s,
						    clock_monotonic_ns());
		if (pause_ms < 0)
			order_fail(order, reply->failure);
		else
			loop_timer_start(ca_loop(order->options->ca), &order->timer,
					 (uint64_t)pause_ms, order_look_up, order);
	} else if (failure_is_set(reply->failure) || !status || strcmp(status, "invalid") == 0) {
		/* The CA does not know the order any more, or has ended it: create a new one. */
		free(order->url);
		order->url = NULL;
		order_create(order);
	} else if (order_has_url(order, order->options->resume_url)) {
		order_begin(order, reply);
	}
}

static void order_look_up(void *context)
{
	struct order *order = context;

	/* Known, also when the CA gives no answer. */
	if (!order->url && !keep_url(order, &order->url, order->options->resume_url, "URL"))
		return;
	order_post(order, &(struct ca_call){.url = order->options->resume_url}, on_found);
}

/* The names are this order's alone. */
static void on_claimed(void *context, struct failure *failure)
{
	struct order *order = context;

	if (failure_is_set(failure))
		order_fail(order, failure);
	else if (order->options->resume_url)
		order_look_up(order);
	else
		order_create(order);
}

struct order *order_new(const struct order_options *options)
{
	struct order *order = calloc(1, sizeof(*order));

	assert(options->identifier_count > 0 && options->identifier_count <= CSR_NAMES_MAX);
	if (!order)
		return NULL;
	order->options = options;
	order->replaces = options->replaces && ca_directory(options->ca)->renewal_info;
	if (name_claim_begin(&order->claim, options->env->claims, options->identifiers,
			     options->identifier_count, on_claimed, order)) {
		free(order);
		return NULL;
	}
	return order;
}

void order_free(struct order *order)
{
	size_t i;

	if (!order)
		return;
	for (i = 0; i < order->authorization_count; i++)
		authorization_free(order->authorizations[i]);
	name_claim_end(&order->claim);
	ca_cancel(order->request);
	chain_select_free(order->chains);
	loop_timer_stop(ca_loop(order->options->ca), &order->timer);
	failure_done(&order->refused);
	failure_done(&order->failure);
	free(order->chain);
	free(order->finalize_url);
	free(order->url);
	free(order);
}

enum order_state order_state(const struct order *order)
{
	return order->state;
}

const char *order_url(const struct order *order)
{
	return order->url;
}

const struct failure *order_failure(const struct order *order)
{
	return &order->failure;
}

const struct authorization *order_authorization(const struct order *order, size_t index)
{
	return index < order->authorization_count ? order->authorizations[index] : NULL;
}

const char *order_chain(const struct order *order, size_t *ret_size)
{
	assert(order->state == ORDER_DONE);
	*ret_size = order->chain_size;
	return order->chain;
}
