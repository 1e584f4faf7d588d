// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/protocol/client.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "acme/protocol/directory.h"
#include "acme/protocol/problem.h"
#include "acme/util/failure.h"
#include "acme/net/http.h"
#include "acme/util/json.h"
#include "acme/protocol/jws.h"
#include "acme/protocol/link_header.h"
#include "acme/net/loop.h"
#include "acme/protocol/nonces.h"
#include "common/clock.h"

/* Enough for a CA that refuses nine of ten fresh nonces, as Pebble can. */
#define NONCE_REFUSALS_MAX 100

TAILQ_HEAD(ca_requests, ca_request);

struct ca {
	struct http *http;
	char *server;
	char *cacert; /* NULL: the system's roots */
	struct directory directory;
	int64_t clock_ahead_s; /* ours, of the CA's */
	struct nonces nonces;
	struct key *key;
	char *account_url;
	uint32_t account_version; /* grows when the account or its key changes */
	void (*account_lost)(void *context); /* NULL: nobody can look for it */
	void *account_context;
	bool is_account_lost; /* somebody is looking for it */
	uint64_t account_lost_ns; /* the last time; CLOCK_MONOTONIC; 0: never */
	struct ca_requests waiting; /* for the account */
	struct timer account_timer; /* calls account_lost, later */
	struct http_request *connecting;
	void (*connected)(void *context, struct failure *failure);
	void *context;
	struct timer timer; /* reports, later, that the connection could not start */
};

struct ca_request {
	TAILQ_ENTRY(ca_request) link;
	struct ca *ca;
	bool is_waiting; /* for the account */
	bool has_waited; /* for it before */
	uint32_t account_version; /* that has signed it */
	char *url;
	char *payload; /* as text; "" for POST-as-GET */
	enum ca_signer signer;
	enum ca_answer answer;
	void (*done)(void *context, struct ca_reply *reply);
	void *context;
	struct http_request *exchange; /* running: for a nonce, or the POST itself */
	struct timer timer; /* reports, later, a failure without an HTTP request */
	struct failure failure;
	uint32_t nonce_refusals;
};

int ca_new(struct ca **ret_ca, struct http *http, const char *server, const char *cacert)
{
	struct ca *ca = calloc(1, sizeof(*ca));

	if (!ca)
		return -ENOMEM;
	ca->http = http;
	TAILQ_INIT(&ca->waiting);
	ca->server = strdup(server);
	if (cacert)
		ca->cacert = strdup(cacert);
	if (!ca->server || (cacert && !ca->cacert)) {
		free(ca->cacert);
		free(ca->server);
		free(ca);
		return -ENOMEM;
	}
	*ret_ca = ca;
	return 0;
}

void ca_free(struct ca *ca)
{
	if (!ca)
		return;
	http_cancel(ca->connecting);
	loop_timer_stop(ca_loop(ca), &ca->timer);
	loop_timer_stop(ca_loop(ca), &ca->account_timer);
	directory_done(&ca->directory);
	free(ca->account_url);
	free(ca->cacert);
	free(ca->server);
	free(ca);
}

struct loop *ca_loop(const struct ca *ca)
{
	return http_loop(ca->http);
}

const char *ca_server(const struct ca *ca)
{
	return ca->server;
}

const struct directory *ca_directory(const struct ca *ca)
{
	return &ca->directory;
}

int ca_set_account(struct ca *ca, struct key *key, const char *account_url)
{
	char *url = account_url ? strdup(account_url) : NULL;

	if (account_url && !url)
		return -ENOMEM;
	free(ca->account_url);
	ca->account_url = url;
	ca->key = key;
	ca->account_version++;
	return 0;
}

struct key *ca_account_key(const struct ca *ca)
{
	return ca->key;
}

/* --- the directory --------------------------------------------------------------- */

static void connect_finish(struct ca *ca, struct failure *failure)
{
	ca->connected(ca->context, failure);
	failure_done(failure);
}

static void note_clock(struct ca *ca, const struct http_response *response)
{
	if (response->date_s)
		ca->clock_ahead_s = clock_now_s() - response->date_s;
}

int64_t ca_clock_ahead_s(const struct ca *ca)
{
	return ca->clock_ahead_s;
}

/* The object in the body; of an error also one that is not quite JSON, for its reason's sake. */
static json_t *read_object(const struct http_response *response)
{
	json_t *object = json_read(response->body, response->body_size);

	return object || response->error || response->status < 400
		       ? object
		       : json_read_damaged(response->body, response->body_size);
}

static void on_directory(void *context, const struct http_response *response)
{
	struct failure failure = {0};
	struct ca *ca = context;
	json_t *object;
	int err;

	note_clock(ca, response);
	ca->connecting = NULL;
	object = read_object(response);
	if (response->error) {
		problem_explain_transport(&failure, response, ca->server);
	} else if (response->status != 200) {
		problem_explain_response(&failure, response, object, ca->server);
	} else {
		directory_done(&ca->directory);
		err = directory_read(&ca->directory, object);
		if (err == -ENOMEM)
			failure_set_errno(&failure, ENOMEM, "reading the directory");
		else if (err)
			directory_explain(&failure, object, ca->server);
	}
	json_decref(object);
	connect_finish(ca, &failure);
}

static void on_connecting_impossible(void *context)
{
	struct failure failure = {0};

	failure_set_errno(&failure, ENOMEM, "asking for the directory");
	connect_finish(context, &failure);
}

int ca_get(struct ca *ca, struct http_request **ret_request, const struct http_call *call)
{
	const struct http_call complete = {.method = HTTP_GET,
					   .url = call->url,
					   .accept = "application/json",
					   .cacert = ca->cacert,
					   .timeout_s = call->timeout_s,
					   .done = call->done,
					   .context = call->context};

	return http_start(ret_request, ca->http, &complete);
}

void ca_connect(struct ca *ca, void (*done)(void *context, struct failure *failure), void *context)
{
	const struct http_call call = {.url = ca->server, .done = on_directory, .context = ca};

	assert(!ca->connecting);
	ca->connected = done;
	ca->context = context;
	if (ca_get(ca, &ca->connecting, &call))
		loop_timer_start(ca_loop(ca), &ca->timer, 0, on_connecting_impossible, ca);
}

/* --- signed requests ---------------------------------------------------------------- */

static void request_free(struct ca_request *request)
{
	loop_timer_stop(ca_loop(request->ca), &request->timer);
	failure_done(&request->failure);
	free(request->payload);
	free(request->url);
	free(request);
}

/* Call the caller back and free the request. */
static void request_finish(struct ca_request *request, struct ca_reply *reply)
{
	reply->failure = &request->failure;
	request->done(request->context, reply);
	request_free(request);
}

static void on_request_impossible(void *context)
{
	request_finish(context, &(struct ca_reply){0});
}

/* Fail from the loop: callers rely on no callback from within ca_post(). */
static void request_fail(struct ca_request *request, int err, const char *what)
{
	if (err == -EIO)
		failure_set_of(&request->failure, FAILURE_OF_HOST, NULL,
			       "%s: wolfCrypt reports an error", what);
	else
		failure_set_errno(&request->failure, -err, "%s", what);
	loop_timer_start(ca_loop(request->ca), &request->timer, 0, on_request_impossible, request);
}

static void request_ask_nonce(struct ca_request *request);
static void request_send(struct ca_request *request, const char *nonce);

static void request_wait(struct ca_request *request)
{
	request->is_waiting = true;
	TAILQ_INSERT_TAIL(&request->ca->waiting, request, link);
}

static void on_account_timer(void *context)
{
	struct ca *ca = context;

	ca->account_lost(ca->account_context);
}

/* Let the account be looked for, and wait. */
static void request_seek_account(struct ca_request *request)
{
	struct ca *ca = request->ca;

	request->has_waited = true;
	request_wait(request);
	if (ca->is_account_lost)
		return;
	ca->is_account_lost = true;
	ca->account_lost_ns = clock_monotonic_ns();
	loop_timer_start(ca_loop(ca), &ca->account_timer, 0, on_account_timer, ca);
}

/* Whether the request waits for an account, because there is none, or has failed. */
static bool request_lacks_account(struct ca_request *request)
{
	struct ca *ca = request->ca;

	if (request->signer != CA_SIGNED_BY_ACCOUNT || (!ca->is_account_lost && ca->account_url))
		return false;
	if (ca->is_account_lost)
		request_wait(request);
	else if (ca->account_lost && !request->has_waited)
		request_seek_account(request);
	else
		request_fail(request, -ENOKEY, "signing by the account");
	return true;
}

/* Send the request, or fetch a nonce for it first. */
static void request_step(struct ca_request *request)
{
	const char *nonce;

	if (request_lacks_account(request))
		return;
	nonce = nonces_take(&request->ca->nonces);
	if (nonce)
		request_send(request, nonce);
	else
		request_ask_nonce(request);
}

static void on_nonce(void *context, const struct http_response *response)
{
	struct ca_request *request = context;
	struct ca *ca = request->ca;
	struct ca_reply reply = {.retry_after_s = response->retry_after_s};

	request->exchange = NULL;
	note_clock(ca, response);
	if (response->error) {
		reply.may_pass = true;
		problem_explain_transport(&request->failure, response, ca->directory.new_nonce);
	} else if (response->status < 200 || response->status > 299) {
		reply.may_pass = response->status == 429 || response->status >= 500;
		problem_explain_response(&request->failure, response, NULL,
					 ca->directory.new_nonce);
	} else {
		nonces_add(&ca->nonces, response->nonce);
		if (ca->nonces.count) {
			request_step(request);
			return;
		}
		failure_set_of(&request->failure, FAILURE_OF_CA, "check --server",
			       "%s gives no nonce, which RFC 8555 requires: this is not an ACME CA",
			       ca->directory.new_nonce);
	}
	request_finish(request, &reply);
}

static void request_ask_nonce(struct ca_request *request)
{
	struct ca *ca = request->ca;
	struct http_call call = {.method = HTTP_HEAD,
				 .url = ca->directory.new_nonce,
				 .cacert = ca->cacert,
				 .done = on_nonce,
				 .context = request};
	int err;

	err = http_start(&request->exchange, ca->http, &call);
	if (err)
		request_fail(request, err, "asking for a nonce");
}

/* Whether the CA refused the nonce, so that the request is sent again (RFC 8555 section 6.5). */
static bool request_must_repeat(struct ca_request *request, const struct http_response *response,
				const json_t *object)
{
	/* Some CAs answer with 403. */
	return !response->error && response->status >= 400 && problem_is(object, "badNonce") &&
	       ++request->nonce_refusals < NONCE_REFUSALS_MAX;
}

static void request_explain(struct ca_request *request, const struct http_response *response,
			    json_t *object)
{
	struct failure *failure = &request->failure;

	if (response->error)
		problem_explain_transport(failure, response, request->url);
	else if (response->status < 200 || response->status > 299)
		problem_explain_response(failure, response, object, request->url);
	else if (request->answer == CA_ANSWER_OBJECT && !object)
		failure_set_of(failure, FAILURE_OF_CA,
			       "try again; if that does not help, report this to the CA's operator",
			       "%s did not answer with a JSON object", request->url);
}

/* Whether it is about the account or its key that the CA refuses the request. */
static bool is_about_account(const struct http_response *response, const json_t *object)
{
	const char *detail = json_read_string(object, "detail");

	if (response->error || response->status < 400 || response->status >= 500)
		return false;
	if (problem_is(object, "accountDoesNotExist") || problem_is(object, "unauthorized"))
		return true;
	/* A signature by another key than the account's is "malformed" to most CAs. */
	return problem_is(object, "malformed") && detail &&
	       (strcasestr(detail, "jws") || strcasestr(detail, "signature"));
}

/* Whether the request waits for the account, or was sent again by the one that there is now. */
static bool request_seeks_account(struct ca_request *request, const struct http_response *response,
				  const json_t *object)
{
	const uint64_t rest_ns = CA_ACCOUNT_REST_S * CLOCK_NS_PER_S;
	struct ca *ca = request->ca;

	if (request->signer != CA_SIGNED_BY_ACCOUNT || !ca->account_lost || request->has_waited ||
	    !is_about_account(response, object))
		return false;
	/* Another account, or another key, by now. */
	if (ca->is_account_lost || request->account_version != ca->account_version) {
		request->has_waited = true;
		request_step(request);
		return true;
	}
	if (ca->account_lost_ns && clock_monotonic_ns() - ca->account_lost_ns < rest_ns)
		return false;
	request_seek_account(request);
	return true;
}

void ca_on_account_lost(struct ca *ca, void (*lost)(void *context), void *context)
{
	ca->account_lost = lost;
	ca->account_context = context;
}

void ca_account_found(struct ca *ca, const struct failure *failure)
{
	struct ca_request *request;

	ca->is_account_lost = false;
	while (!ca->is_account_lost && (request = TAILQ_FIRST(&ca->waiting))) {
		TAILQ_REMOVE(&ca->waiting, request, link);
		request->is_waiting = false;
		if (!failure_is_set(failure)) {
			request_step(request);
			continue;
		}
		failure_copy(&request->failure, failure);
		request_finish(request, &(struct ca_reply){0});
	}
}

static void on_request_answer(void *context, const struct http_response *response)
{
	struct ca_request *request = context;
	json_t *object = read_object(response);
	struct ca_reply reply = {
		.status = response->status,
		.body = response->body,
		.body_size = response->body_size,
		.retry_after_s = response->retry_after_s,
		.url = request->url,
		.links = response->links,
		.may_pass = response->error || response->status == 429 || response->status >= 500,
	};

	request->exchange = NULL;
	note_clock(request->ca, response);
	nonces_add(&request->ca->nonces, response->nonce);
	if (request_must_repeat(request, response, object)) {
		json_decref(object);
		request_step(request);
		return;
	}
	if (request_seeks_account(request, response, object)) {
		json_decref(object);
		return;
	}
	if (response->location && url_is_usable(response->location))
		reply.location = response->location;
	request_explain(request, response, object);
	if (!failure_is_set(&request->failure))
		reply.object = object;
	request_finish(request, &reply);
	json_decref(object);
}

size_t ca_reply_links(char **ret_urls, size_t max, const struct ca_reply *reply,
		      const char *relation)
{
	size_t count = 0, i;

	for (i = 0; reply->links && reply->links[i]; i++)
		count += link_header_read(ret_urls + count, max - count, reply->links[i], relation,
					  reply->url);
	return count;
}

static void request_send(struct ca_request *request, const char *nonce)
{
	struct ca *ca = request->ca;
	struct http_call call = {.method = HTTP_POST,
				 .url = request->url,
				 .cacert = ca->cacert,
				 .accept = request->answer == CA_ANSWER_PEM_CHAIN
						   ? "application/pem-certificate-chain"
						   : NULL,
				 .done = on_request_answer,
				 .context = request};
	char *body;
	int err;

	request->account_version = ca->account_version;
	err = jws_sign(&body, ca->key,
		       request->signer == CA_SIGNED_BY_ACCOUNT ? ca->account_url : NULL, nonce,
		       request->url, request->payload);
	if (err) {
		request_fail(request, err, "signing a request");
		return;
	}
	call.body = body;
	err = http_start(&request->exchange, ca->http, &call);
	if (err)
		request_fail(request, err, "sending a request");
	free(body);
}

struct ca_request *ca_post(struct ca *ca, const struct ca_call *call)
{
	struct ca_request *request = calloc(1, sizeof(*request));

	assert(call->signer == CA_SIGNED_BY_ACCOUNT || ca->key);
	if (request) {
		request->ca = ca;
		request->signer = call->signer;
		request->answer = call->answer;
		request->done = call->done;
		request->context = call->context;
		request->url = strdup(call->url);
		request->payload =
			call->payload ? json_dumps(call->payload, JSON_COMPACT) : strdup("");
	}
	json_decref(call->payload);
	if (!request || !request->url || !request->payload) {
		if (request)
			request_free(request);
		return NULL;
	}
	request_step(request);
	return request;
}

void ca_cancel(struct ca_request *request)
{
	if (!request)
		return;
	if (request->is_waiting)
		TAILQ_REMOVE(&request->ca->waiting, request, link);
	http_cancel(request->exchange);
	request_free(request);
}
