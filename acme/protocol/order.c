/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/protocol/order.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

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
#include "common/identifier.h"

struct order {
	const struct order_wish *wish;
	enum order_state state;
	char *url;
	char *finalize_url;
	struct authorization_order authorization_order;
	struct authorization *authorizations[ORDER_NAMES_MAX];
	size_t authorization_count;
	struct ca_request *request;
	struct chains *chains;
	struct poll poll;
	struct timer timer;
	char *chain;
	size_t chain_size;
	bool replaces; /* newOrder says so */
	struct failure failure;
};

static void enter(struct order *order, enum order_state state)
{
	order->state = state;
	order->wish->changed(order->wish->context, order);
}

static void fail(struct order *order, struct failure *failure)
{
	failure_move(&order->failure, failure);
	enter(order, ORDER_FAILED);
}

static void fail_for_memory(struct order *order)
{
	failure_set_errno(&order->failure, ENOMEM, "working on the order");
	enter(order, ORDER_FAILED);
}

/* `call` lacks only what is the same in all of an order's requests. */
static void post(struct order *order, struct ca_call *call,
		 void (*done)(void *context, struct ca_reply *reply))
{
	call->done = done;
	call->context = order;
	order->request = ca_post(order->wish->ca, call);
	if (!order->request)
		fail_for_memory(order);
}

/* Keep a copy of the URL; false when it is missing (or memory is): the order has failed. */
static bool keep_url(struct order *order, char **ret_url, const char *url, const char *what)
{
	if (!url) {
		failure_set(&order->failure, "tell the CA's operator",
			    "the CA's order lacks its %s", what);
		enter(order, ORDER_FAILED);
		return false;
	}
	free(*ret_url);
	*ret_url = strdup(url);
	if (!*ret_url)
		fail_for_memory(order);
	return *ret_url;
}

/* --- polling and the states after the authorizations --------------------------------- */

static void follow(struct order *order, const struct ca_reply *reply);
static void look_for(void *context);
static void create(void *context);

static void on_polled(void *context, struct ca_reply *reply);

/* Get the order's state. */
static void ask(void *context)
{
	struct order *order = context;

	post(order, &(struct ca_call){.url = order->url}, on_polled);
}

static void ask_later(struct order *order, int64_t pause_ms, struct failure *failure)
{
	if (pause_ms >= 0) {
		loop_timer_start(ca_loop(order->wish->ca), &order->timer, (uint64_t)pause_ms, ask,
				 order);
		return;
	}
	failure_set(failure, "try again later", "the CA has not finished the order within %d s: %s",
		    POLL_DEADLINE_S, order->url);
	fail(order, failure);
}

static void on_polled(void *context, struct ca_reply *reply)
{
	struct order *order = context;
	int64_t pause_ms = -1;

	order->request = NULL;
	if (!failure_is_set(reply->failure)) {
		follow(order, reply);
		return;
	}
	if (reply->may_pass)
		pause_ms =
			poll_after_failure_ms(&order->poll, reply->retry_after_s, loop_clock_ns());
	ask_later(order, pause_ms, reply->failure);
}

static void on_chain(void *context, struct ca_reply *reply)
{
	struct order *order = context;

	if (failure_is_set(reply->failure)) {
		/* What has been issued can be fetched again. */
		if (reply->may_pass)
			enter(order, ORDER_ISSUING);
		chains_free(order->chains);
		order->chains = NULL;
		on_polled(order, reply);
		return;
	}
	order->chain = malloc(reply->body_size + 1);
	if (!order->chain) {
		fail_for_memory(order);
		return;
	}
	memcpy(order->chain, reply->body, reply->body_size + 1);
	order->chain_size = reply->body_size;
	enter(order, ORDER_DONE);
}

static void download(struct order *order, const char *url)
{
	if (!url) {
		failure_set(&order->failure, "tell the CA's operator",
			    "the CA calls the order valid, but names no certificate");
		enter(order, ORDER_FAILED);
		return;
	}
	enter(order, ORDER_DOWNLOADING);
	order->chains =
		chains_fetch(order->wish->ca, url, order->wish->preferred_chain, on_chain, order);
	if (!order->chains)
		fail_for_memory(order);
}

static void on_finalized(void *context, struct ca_reply *reply)
{
	struct order *order = context;

	order->request = NULL;
	if (!failure_is_set(reply->failure)) {
		enter(order, ORDER_ISSUING);
		follow(order, reply);
	} else if (reply->may_pass) {
		/* Whether the CA has heard of it is for the order's status to tell. */
		enter(order, ORDER_PREPARING);
		on_polled(order, reply);
	} else {
		fail(order, reply->failure);
	}
}

static void finalize(struct order *order)
{
	char *csr = base64url_new(order->wish->csr, order->wish->csr_size);
	json_t *payload = csr ? json_pack("{s:s}", "csr", csr) : NULL;

	free(csr);
	if (!payload) {
		fail_for_memory(order);
		return;
	}
	enter(order, ORDER_FINALIZING);
	post(order, &(struct ca_call){.url = order->finalize_url, .payload = payload},
	     on_finalized);
}

static void explain_invalid(struct order *order, const json_t *object, const char *status)
{
	json_t *problem = json_object_get(object, "error");

	if (json_is_object(problem))
		explain_problem(&order->failure, problem);
	else
		failure_set(&order->failure, "run this again for a new order",
			    "the CA says that the order is %s, and not why", status);
	enter(order, ORDER_FAILED);
}

/* RFC 8555 section 7.1.6: go where the order's status leads, once it is authorized. */
static void follow(struct order *order, const struct ca_reply *reply)
{
	const char *status = json_read_string(reply->object, "status");
	struct failure slow = {0};

	if (!status)
		explain_invalid(order, reply->object, "in an unknown state");
	else if (strcmp(status, "valid") == 0)
		download(order, json_read_url(reply->object, "certificate"));
	else if (strcmp(status, "ready") == 0 && order->state == ORDER_PREPARING)
		finalize(order);
	else if (strcmp(status, "pending") == 0 || strcmp(status, "ready") == 0 ||
		 strcmp(status, "processing") == 0)
		ask_later(order, poll_again_ms(&order->poll, reply->retry_after_s, loop_clock_ns()),
			  &slow);
	else
		explain_invalid(order, reply->object, status);
}

/* --- the authorizations ---------------------------------------------------------------- */

/* All are final: every failed name is explained, so that one run shows all that is wrong. */
static void conclude_authorizations(struct order *order, size_t failed)
{
	if (failed) {
		failure_set(&order->failure, NULL, "%zu of %zu names could not be validated",
			    failed, order->authorization_count);
		enter(order, ORDER_FAILED);
		return;
	}
	enter(order, ORDER_PREPARING);
	ask(order);
}

static void on_authorization_changed(void *context)
{
	struct order *order = context;
	size_t i, valid = 0, failed = 0;

	/* Those of an order that has failed otherwise go on until it is freed. */
	if (order->state != ORDER_AUTHORIZING)
		return;
	for (i = 0; i < order->authorization_count; i++) {
		valid += authorization_state(order->authorizations[i]) == AUTHORIZATION_VALID;
		failed += authorization_state(order->authorizations[i]) == AUTHORIZATION_FAILED;
	}
	if (valid + failed == order->authorization_count)
		conclude_authorizations(order, failed);
	else
		order->wish->changed(order->wish->context, order);
}

static void authorize(struct order *order, const json_t *urls)
{
	size_t count = json_array_size(urls), i;
	const char *url;

	if (count == 0 || count > ORDER_NAMES_MAX) {
		failure_set(&order->failure, "tell the CA's operator",
			    "the CA's order has %zu authorizations", count);
		enter(order, ORDER_FAILED);
		return;
	}
	for (i = 0; i < count; i++) {
		url = json_string_value(json_array_get(urls, i));
		if (!url || !url_is_usable(url)) {
			failure_set(&order->failure, "tell the CA's operator",
				    "an authorization of the CA's order is no https URL");
			enter(order, ORDER_FAILED);
			return;
		}
		order->authorizations[i] = authorization_new(&order->authorization_order, url);
		if (!order->authorizations[i]) {
			fail_for_memory(order);
			return;
		}
		order->authorization_count++;
	}
	enter(order, ORDER_AUTHORIZING);
}

/* --- the beginning ---------------------------------------------------------------------- */

/* Go on with an order from its object: a new one, or one of before. */
static void begin(struct order *order, const char *url, const struct ca_reply *reply)
{
	const json_t *object = reply->object;
	const char *status;

	if (!keep_url(order, &order->url, url, "URL") ||
	    !keep_url(order, &order->finalize_url, json_read_url(object, "finalize"),
		      "finalize URL"))
		return;
	if (order->wish->created)
		order->wish->created(order->wish->context, order);
	status = json_read_string(object, "status");
	if (status && strcmp(status, "pending") == 0) {
		authorize(order, json_object_get(object, "authorizations"));
		return;
	}
	enter(order, ORDER_PREPARING);
	follow(order, reply);
}

static void on_created(void *context, struct ca_reply *reply)
{
	struct order *order = context;

	order->request = NULL;
	if (!failure_is_set(reply->failure)) {
		begin(order, reply->location, reply);
	} else if (order->replaces && reply->failure->problem &&
		   !problem_is(reply->failure->problem, "rateLimited")) {
		/* RFC 9773 section 5: replaced already; or the CA does not find it, as Pebble at times. */
		order->replaces = false;
		create(order);
	} else {
		fail(order, reply->failure);
	}
}

static json_t *identifiers_to_json(const struct order_wish *wish)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < wish->identifier_count; i++)
		json_array_append_new(array, json_pack("{s:s, s:s}", "type",
						       identifier_acme_type(&wish->identifiers[i]),
						       "value", wish->identifiers[i].value));
	if (json_array_size(array) == wish->identifier_count)
		return array;
	json_decref(array);
	return NULL;
}

/* The profile to be named; NULL: none, or the failure tells that the required one is not offered. */
static const char *choose_profile(struct order *order)
{
	const struct directory *directory = ca_directory(order->wish->ca);
	const char *preferred = order->wish->preferred_profile;
	const char *required = order->wish->required_profile;
	char *offered;

	if (!required)
		return preferred && directory_has_profile(directory, preferred) ? preferred : NULL;
	if (directory_has_profile(directory, required))
		return required;
	offered = directory_profiles_text(directory);
	failure_set(&order->failure, "choose one of these, or leave the profile to the CA",
		    "the CA has no certificate profile '%s'; it offers: %s", required,
		    offered ? offered : "none");
	free(offered);
	return NULL;
}

static void create(void *context)
{
	struct order *order = context;
	const char *profile = choose_profile(order);
	json_t *payload;

	if (failure_is_set(&order->failure)) {
		enter(order, ORDER_FAILED);
		return;
	}
	payload = json_pack("{s:o, s:s*}", "identifiers", identifiers_to_json(order->wish),
			    "profile", profile);
	if (!payload ||
	    (order->replaces &&
	     json_object_set_new(payload, "replaces", json_string(order->wish->replaces)))) {
		json_decref(payload);
		fail_for_memory(order);
		return;
	}
	post(order,
	     &(struct ca_call){.url = ca_directory(order->wish->ca)->new_order, .payload = payload},
	     on_created);
}

static void on_found(void *context, struct ca_reply *reply)
{
	struct order *order = context;
	const char *status = json_read_string(reply->object, "status");
	int64_t pause_ms;

	order->request = NULL;
	if (reply->may_pass) {
		pause_ms =
			poll_after_failure_ms(&order->poll, reply->retry_after_s, loop_clock_ns());
		if (pause_ms < 0)
			fail(order, reply->failure);
		else
			loop_timer_start(ca_loop(order->wish->ca), &order->timer,
					 (uint64_t)pause_ms, look_for, order);
	} else if (failure_is_set(reply->failure) || !status || strcmp(status, "invalid") == 0) {
		/* The CA has forgotten it, or given it up. */
		create(order);
	} else {
		begin(order, order->wish->resume_url, reply);
	}
}

static void look_for(void *context)
{
	struct order *order = context;

	post(order, &(struct ca_call){.url = order->wish->resume_url}, on_found);
}

struct order *order_new(const struct order_wish *wish)
{
	struct order *order = calloc(1, sizeof(*order));

	assert(wish->identifier_count > 0 && wish->identifier_count <= ORDER_NAMES_MAX);
	if (!order)
		return NULL;
	order->wish = wish;
	order->replaces = wish->replaces && ca_directory(wish->ca)->renewal_info;
	order->authorization_order = (struct authorization_order){
		.ca = wish->ca,
		.table = wish->table,
		.barrier = wish->barrier,
		.paths = wish->paths,
		.identifiers = wish->identifiers,
		.identifier_count = wish->identifier_count,
		.changed = on_authorization_changed,
		.context = order,
	};
	loop_timer_start(ca_loop(wish->ca), &order->timer, 0, wish->resume_url ? look_for : create,
			 order);
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
	chains_free(order->chains);
	loop_timer_stop(ca_loop(order->wish->ca), &order->timer);
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
