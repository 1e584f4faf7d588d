// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/protocol/order.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "acme/crypto/csr.h"
#include "acme/protocol/authorization.h"
#include "acme/util/base64url.h"
#include "acme/protocol/client.h"
#include "acme/protocol/chain_select.h"
#include "acme/protocol/directory.h"
#include "acme/protocol/problem.h"
#include "acme/util/failure.h"
#include "acme/util/json.h"
#include "acme/net/loop.h"
#include "acme/protocol/backoff.h"
#include "acme/util/certificate_spec.h"
#include "common/clock.h"
#include "common/identifier.h"

struct order {
	const struct order_options *options;
	enum order_state state;
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
	struct failure failure;
};

static void order_enter(struct order *order, enum order_state state)
{
	order->state = state;
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

/* Keep a copy of the URL.  False: it is missing, or out of memory, and the order has failed. */
static bool keep_url(struct order *order, char **ret_url, const char *url, const char *what)
{
	if (!url) {
		failure_set(&order->failure, "report this to the CA's operator",
			    "the CA's order lacks its %s", what);
		order_enter(order, ORDER_FAILED);
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
	failure_set(failure, "try again later", "the CA did not finish the order within %d s: %s",
		    BACKOFF_DEADLINE_S, order->url);
	order_fail(order, failure);
}

static void on_polled(void *context, struct ca_reply *reply)
{
	struct order *order = context;
	int64_t pause_ms = -1;

	order->request = NULL;
	if (!failure_is_set(reply->failure)) {
		order_follow(order, reply);
		return;
	}
	if (reply->may_pass)
		pause_ms = backoff_after_failure_ms(&order->poll, reply->retry_after_s,
						    clock_monotonic_ns());
	ask_later(order, pause_ms, reply->failure);
}

static void on_chain(void *context, struct ca_reply *reply)
{
	struct order *order = context;

	if (failure_is_set(reply->failure)) {
		/* The certificate is issued, so fetch it again later. */
		if (reply->may_pass)
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
		failure_set(&order->failure, "report this to the CA's operator",
			    "the CA says that the order is valid, but gives no certificate URL");
		order_enter(order, ORDER_FAILED);
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

	order->request = NULL;
	if (!failure_is_set(reply->failure)) {
		order_enter(order, ORDER_ISSUING);
		order_follow(order, reply);
	} else if (reply->may_pass) {
		/* The order's status will say whether the CA got the request. */
		order_enter(order, ORDER_PREPARING);
		on_polled(order, reply);
	} else {
		order_fail(order, reply->failure);
	}
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
	order_post(order, &(struct ca_call){.url = order->finalize_url, .payload = payload},
		   on_finalized);
}

static void order_explain_invalid(struct order *order, const json_t *object, const char *status)
{
	json_t *problem = json_object_get(object, "error");

	if (json_is_object(problem))
		problem_explain(&order->failure, problem);
	else
		failure_set(&order->failure, "run this again for a new order",
			    "the CA says that the order is %s, and gives no reason", status);
	order->failure.ends_order = true;
	order_enter(order, ORDER_FAILED);
}

/* Act on the order's status after the authorizations: RFC 8555 section 7.1.6. */
static void order_follow(struct order *order, const struct ca_reply *reply)
{
	const char *status = json_read_string(reply->object, "status");
	struct failure slow = {0};

	if (!status)
		order_explain_invalid(order, reply->object, "in an unknown state");
	else if (strcmp(status, "valid") == 0)
		order_download(order, json_read_url(reply->object, "certificate"));
	else if (strcmp(status, "ready") == 0 && order->state == ORDER_PREPARING)
		order_finalize(order);
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

/* Whose failure the order's is: a name's, where one is at fault; else whatever kept the CA from it. */
static void own_failure(struct order *order)
{
	const struct failure *failure;
	size_t i;

	for (i = order->authorization_count; i--;) {
		failure = authorization_failure(order->authorizations[i]);
		if (!failure_is_set(failure))
			continue;
		order->failure.owner = failure->owner;
		order->failure.ends_order |= failure->ends_order;
		if (failure->owner == FAILURE_OF_NAME)
			return;
	}
}

/* All authorizations have ended.  Each failed one has its own reason, so one run shows them all. */
static void conclude_authorizations(struct order *order, size_t failed)
{
	if (failed) {
		failure_set(&order->failure, NULL, "the CA could not validate %zu of %zu names",
			    failed, order->authorization_count);
		own_failure(order);
		order_enter(order, ORDER_FAILED);
		return;
	}
	order_enter(order, ORDER_PREPARING);
	order_poll(order);
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
		failure_set(&order->failure, "report this to the CA's operator",
			    "the CA's order has %zu authorizations", count);
		order_enter(order, ORDER_FAILED);
		return;
	}
	for (i = 0; i < count; i++) {
		url = json_string_value(json_array_get(urls, i));
		if (!url || !url_is_usable(url)) {
			failure_set(&order->failure, "report this to the CA's operator",
				    "an authorization of the CA's order is no https URL");
			order_enter(order, ORDER_FAILED);
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

/* Start from the order object, of a new order or of an earlier one. */
static void order_begin(struct order *order, const char *url, const struct ca_reply *reply)
{
	const json_t *object = reply->object;
	const char *status;

	if (!keep_url(order, &order->url, url, "URL") ||
	    !keep_url(order, &order->finalize_url, json_read_url(object, "finalize"),
		      "finalize URL"))
		return;
	if (order->options->created)
		order->options->created(order->options->context, order);
	status = json_read_string(object, "status");
	if (status && strcmp(status, "pending") == 0) {
		order_authorize(order, json_object_get(object, "authorizations"));
		return;
	}
	order_enter(order, ORDER_PREPARING);
	order_follow(order, reply);
}

static void on_created(void *context, struct ca_reply *reply)
{
	struct order *order = context;

	order->request = NULL;
	if (!failure_is_set(reply->failure)) {
		order_begin(order, reply->location, reply);
	} else if (order->replaces && reply->failure->problem &&
		   !problem_is(reply->failure->problem, "rateLimited")) {
		/* RFC 9773 section 5: replaced already, or unknown to the CA. */
		order->replaces = false;
		order_create(order);
	} else {
		order_fail(order, reply->failure);
	}
}

static json_t *identifiers_to_json(const struct order_options *options)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < options->identifier_count; i++)
		json_array_append_new(array,
				      json_pack("{s:s, s:s}", "type",
						identifier_acme_type(&options->identifiers[i]),
						"value", options->identifiers[i].value));
	if (json_array_size(array) == options->identifier_count)
		return array;
	json_decref(array);
	return NULL;
}

/* The profile to request; NULL: none, or, with the failure set, the CA lacks the required one. */
static const char *choose_profile(struct order *order)
{
	const struct directory *directory = ca_directory(order->options->ca);
	const char *preferred = order->options->settings->preferred_profile;
	const char *required = order->options->settings->required_profile;
	char *offered;

	if (!required)
		return preferred && directory_has_profile(directory, preferred) ? preferred : NULL;
	if (directory_has_profile(directory, required))
		return required;
	offered = directory_profiles_text(directory);
	failure_set(&order->failure, "choose one of these, or leave out --required-profile",
		    "the CA has no certificate profile '%s'; it offers: %s", required,
		    offered ? offered : "none");
	free(offered);
	return NULL;
}

static void order_create(void *context)
{
	struct order *order = context;
	const char *profile = choose_profile(order);
	json_t *payload;

	if (failure_is_set(&order->failure)) {
		order_enter(order, ORDER_FAILED);
		return;
	}
	payload = json_pack("{s:o, s:s*}", "identifiers", identifiers_to_json(order->options),
			    "profile", profile);
	if (!payload ||
	    (order->replaces &&
	     json_object_set_new(payload, "replaces", json_string(order->options->replaces)))) {
		json_decref(payload);
		order_fail_for_memory(order);
		return;
	}
	order_post(order,
		   &(struct ca_call){.url = ca_directory(order->options->ca)->new_order,
				     .payload = payload},
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
		order_create(order);
	} else {
		order_begin(order, order->options->resume_url, reply);
	}
}

static void order_look_up(void *context)
{
	struct order *order = context;

	order_post(order, &(struct ca_call){.url = order->options->resume_url}, on_found);
}

struct order *order_new(const struct order_options *options)
{
	struct order *order = calloc(1, sizeof(*order));

	assert(options->identifier_count > 0 && options->identifier_count <= CSR_NAMES_MAX);
	if (!order)
		return NULL;
	order->options = options;
	order->replaces = options->replaces && ca_directory(options->ca)->renewal_info;
	loop_timer_start(ca_loop(options->ca), &order->timer, 0,
			 options->resume_url ? order_look_up : order_create, order);
	return order;
}

void order_free(struct order *order)
{
	size_t i;

	if (!order)
		return;
	for (i = 0; i < order->authorization_count; i++)
		authorization_free(order->authorizations[i]);
	ca_cancel(order->request);
	chain_select_free(order->chains);
	loop_timer_stop(ca_loop(order->options->ca), &order->timer);
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
