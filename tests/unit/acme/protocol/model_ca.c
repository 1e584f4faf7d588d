// SPDX-License-Identifier: GPL-3.0-or-later
#include "model_ca.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/net/loop.h"
#include "acme/util/base64url.h"
#include "common/clock.h"

#define START_NS   UINT64_C(1000000000000)
#define START_S    INT64_C(1800000000)
#define NS_PER_MS  UINT64_C(1000000)
#define TRAVEL_MS  10 /* of a request and its answer */
#define PAYLOAD    8192
#define RUN_STEPS  100000 /* more than any test makes: then it turns in circles */
#define PROBLEM    "urn:ietf:params:acme:error:"
#define CHAIN_TEXT "-----BEGIN CERTIFICATE-----\n"

/* --- the clock and the loop --------------------------------------------------------------------- */

struct loop {
	bool stopped;
};

static TAILQ_HEAD(timer_list, timer) timers = TAILQ_HEAD_INITIALIZER(timers);
static uint64_t now_ns = START_NS;

uint64_t clock_monotonic_ns(void)
{
	return now_ns;
}

uint64_t clock_boottime_ns(void)
{
	return now_ns;
}

int64_t clock_now_us(void)
{
	return START_S * 1000000 + (int64_t)((now_ns - START_NS) / 1000);
}

int64_t clock_now_s(void)
{
	return clock_now_us() / 1000000;
}

void clock_sleep_ms(uint32_t ms)
{
	now_ns += ms * NS_PER_MS;
}

void clock_sleep_us(uint32_t us)
{
	now_ns += us * UINT64_C(1000);
}

int loop_new(struct loop **ret_loop)
{
	*ret_loop = calloc(1, sizeof(**ret_loop));
	return *ret_loop ? 0 : -ENOMEM;
}

void loop_free(struct loop *loop)
{
	free(loop);
}

void loop_timer_start(struct loop *loop, struct timer *timer, uint64_t delay_ms,
		      void (*fire)(void *context), void *context)
{
	struct timer *before;

	loop_timer_stop(loop, timer);
	timer->due_ns = now_ns + delay_ms * NS_PER_MS;
	timer->fire = fire;
	timer->context = context;
	timer->running = true;
	before = TAILQ_LAST(&timers, timer_list);
	while (before && before->due_ns > timer->due_ns)
		before = TAILQ_PREV(before, timer_list, link);
	if (before)
		TAILQ_INSERT_AFTER(&timers, before, timer, link);
	else
		TAILQ_INSERT_HEAD(&timers, timer, link);
}

void loop_timer_stop(struct loop *loop, struct timer *timer)
{
	(void)loop;
	if (!timer->running)
		return;
	TAILQ_REMOVE(&timers, timer, link);
	timer->running = false;
}

int loop_watch_start(struct loop *loop, struct watch *watch, int fd, uint32_t events,
		     void (*ready)(void *context, uint32_t events), void *context)
{
	(void)loop;
	(void)watch;
	(void)fd;
	(void)events;
	(void)ready;
	(void)context;
	return -ENOTSUP;
}

void loop_watch_stop(struct loop *loop, struct watch *watch)
{
	(void)loop;
	(void)watch;
}

/* Until loop_stop(), or until nothing is left to do: then -EIO. */
int loop_run(struct loop *loop)
{
	struct timer *timer;
	uint32_t steps = 0;

	loop->stopped = false;
	while (!loop->stopped && (timer = TAILQ_FIRST(&timers))) {
		steps++;
		assert(steps < RUN_STEPS);
		if (timer->due_ns > now_ns)
			now_ns = timer->due_ns;
		loop_timer_stop(loop, timer);
		timer->fire(timer->context);
	}
	return loop->stopped ? 0 : -EIO;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}

bool model_is_busy(void)
{
	return !TAILQ_EMPTY(&timers);
}

/* --- requests ----------------------------------------------------------------------------------- */

struct http {
	struct loop *loop;
};

struct http_request {
	struct http *http;
	struct timer timer;
	enum http_method method;
	char *url;
	char *payload;
	char *header;
	void (*done)(void *context, const struct http_response *response);
	void *context;
};

static struct model_ca *present;
static uint32_t nonce_count;

void model_ca_use(struct model_ca *ca)
{
	present = ca;
	now_ns = START_NS;
}

void model_ca_done(struct model_ca *ca)
{
	size_t i;

	for (i = 0; i < ca->order_count; i++)
		free(ca->orders[i].csr);
	present = NULL;
}

int http_new(struct http **ret_http, struct loop *loop, const struct http_options *options)
{
	(void)options;
	*ret_http = calloc(1, sizeof(**ret_http));
	if (!*ret_http)
		return -ENOMEM;
	(*ret_http)->loop = loop;
	return 0;
}

void http_free(struct http *http)
{
	free(http);
}

struct loop *http_loop(const struct http *http)
{
	return http->loop;
}

static void request_free(struct http_request *request)
{
	free(request->url);
	free(request->payload);
	free(request->header);
	free(request);
}

/* A member of a JWS, decoded; "" for a request without a body. */
static char *decode_member(const char *body, const char *member)
{
	json_t *jws = body ? json_loads(body, 0, NULL) : NULL;
	const char *text = json_string_value(json_object_get(jws, member));
	char *decoded = calloc(1, PAYLOAD + 1);
	size_t size = 0;

	if (text && *text)
		assert(base64url_decode(decoded, PAYLOAD, &size, text) == 0);
	decoded[size] = '\0';
	json_decref(jws);
	return decoded;
}

/* --- what the CA answers ------------------------------------------------------------------------ */

void model_answer_problem(struct model_answer *answer, long status, const char *type,
			  const char *detail)
{
	answer->status = status;
	answer->location[0] = '\0';
	snprintf(answer->body, sizeof(answer->body),
		 "{\"type\": \"" PROBLEM "%s\", \"detail\": \"%s\", \"status\": %ld}", type, detail,
		 status);
}

static void write_order(const struct model_ca *ca, size_t index, struct model_answer *answer)
{
	const struct model_order *order = &ca->orders[index];
	char certificate[128] = "";

	if (strcmp(order->status, "valid") == 0)
		snprintf(certificate, sizeof(certificate),
			 ", \"certificate\": \"" MODEL_CA_URL "certificate/%zu\"", index);
	snprintf(answer->body, sizeof(answer->body),
		 "{\"status\": \"%s\", \"identifiers\": [{\"type\": \"dns\", \"value\": \"%s\"}], "
		 "\"authorizations\": [\"" MODEL_CA_URL "authorization/%zu\"], "
		 "\"finalize\": \"" MODEL_CA_URL "finalize/%zu\"%s}",
		 order->status, order->name, index, index, certificate);
}

static void write_authorization(const struct model_ca *ca, size_t index,
				struct model_answer *answer)
{
	const struct model_order *order = &ca->orders[index];
	char error[256] = "";

	if (order->reason)
		snprintf(error, sizeof(error),
			 ", \"error\": {\"type\": \"" PROBLEM "%s\", \"detail\": \"Connection "
			 "refused\"}",
			 order->reason);
	snprintf(answer->body, sizeof(answer->body),
		 "{\"status\": \"%s\", \"identifier\": {\"type\": \"dns\", \"value\": \"%s\"}, "
		 "\"challenges\": [{\"type\": \"tls-alpn-01\", \"token\": \"token%zu\", "
		 "\"status\": \"%s\", \"url\": \"" MODEL_CA_URL "challenge/%zu\"%s}]}",
		 order->authorization, order->name, index, order->challenge, index, error);
}

static void make_order(struct model_ca *ca, const char *payload, struct model_answer *answer)
{
	json_t *object = json_loads(payload, 0, NULL), *first;
	const char *name;
	size_t i;

	first = json_array_get(json_object_get(object, "identifiers"), 0);
	name = json_string_value(json_object_get(first, "value"));
	assert(name && ca->order_count < MODEL_CA_ORDERS_MAX);
	for (i = 0; i < ca->order_count && ca->reuses_orders; i++)
		if (strcmp(ca->orders[i].name, name) == 0 &&
		    (strcmp(ca->orders[i].status, "pending") == 0 ||
		     strcmp(ca->orders[i].status, "ready") == 0))
			break;
	if (!ca->reuses_orders)
		i = ca->order_count;
	if (i == ca->order_count) {
		ca->orders[i] = (struct model_order){
			.status = "pending", .authorization = "pending", .challenge = "pending"};
		snprintf(ca->orders[i].name, sizeof(ca->orders[i].name), "%s", name);
		ca->order_count++;
	}
	answer->status = 201;
	write_order(ca, i, answer);
	snprintf(answer->location, sizeof(answer->location), MODEL_CA_URL "order/%zu", i);
	json_decref(object);
}

static void validate(struct model_ca *ca, size_t index, struct model_answer *answer)
{
	struct model_order *order = &ca->orders[index];

	if (strcmp(order->authorization, "pending") != 0) {
		model_answer_problem(answer, 400, "malformed", "the challenge is not pending");
		return;
	}
	order->was_armed = !ca->validates || ca->validates(ca->context, index);
	order->challenge = order->authorization = order->was_armed ? "valid" : "invalid";
	order->status = order->was_armed ? "ready" : "invalid";
	order->reason = order->was_armed ? NULL : "incorrectResponse";
}

static void finalize(struct model_ca *ca, size_t index, const char *payload,
		     struct model_answer *answer)
{
	struct model_order *order = &ca->orders[index];
	json_t *object;

	if (strcmp(order->status, "ready") != 0) {
		model_answer_problem(answer, 403, "orderNotReady", "the order is not ready");
		return;
	}
	object = json_loads(payload, 0, NULL);
	order->csr = strdup(json_string_value(json_object_get(object, "csr")));
	json_decref(object);
	order->status = "valid";
	write_order(ca, index, answer);
}

static void answer_request(struct model_ca *ca, const struct model_exchange *exchange,
			   struct model_answer *answer)
{
	answer->status = 200;
	switch (exchange->kind) {
	case MODEL_DIRECTORY:
		snprintf(answer->body, sizeof(answer->body),
			 "{\"newNonce\": \"" MODEL_CA_URL "nonce\", \"newAccount\": \"" MODEL_CA_URL
			 "account\", \"newOrder\": \"" MODEL_CA_URL "new-order\"}");
		break;
	case MODEL_ACCOUNT:
		if (!ca->account && strstr(exchange->payload, "onlyReturnExisting")) {
			model_answer_problem(answer, 400, "accountDoesNotExist", "no account");
			break;
		}
		if (!ca->account)
			ca->account = MODEL_CA_URL "account/1";
		snprintf(answer->body, sizeof(answer->body), "{\"status\": \"valid\"}");
		snprintf(answer->location, sizeof(answer->location), "%s", ca->account);
		break;
	case MODEL_NEW_ORDER:
		make_order(ca, exchange->payload, answer);
		break;
	case MODEL_ORDER:
		write_order(ca, exchange->order, answer);
		break;
	case MODEL_CHALLENGE:
		snprintf(answer->body, sizeof(answer->body), "{}");
		validate(ca, exchange->order, answer);
		break;
	case MODEL_AUTHORIZATION:
		write_authorization(ca, exchange->order, answer);
		break;
	case MODEL_FINALIZE:
		finalize(ca, exchange->order, exchange->payload, answer);
		break;
	case MODEL_CERTIFICATE:
		snprintf(answer->body, sizeof(answer->body), CHAIN_TEXT);
		break;
	case MODEL_NONCE:
	case MODEL_KINDS:
		break;
	}
}

/* Which of the CA's URLs it is. */
static struct model_exchange read_url(const char *url)
{
	static const char *const paths[MODEL_KINDS] = {
		[MODEL_DIRECTORY] = "directory",
		[MODEL_NONCE] = "nonce",
		[MODEL_ACCOUNT] = "account",
		[MODEL_NEW_ORDER] = "new-order",
		[MODEL_ORDER] = "order/",
		[MODEL_AUTHORIZATION] = "authorization/",
		[MODEL_CHALLENGE] = "challenge/",
		[MODEL_FINALIZE] = "finalize/",
		[MODEL_CERTIFICATE] = "certificate/",
	};
	const char *path = url + strlen(MODEL_CA_URL);
	struct model_exchange exchange = {0};

	while (exchange.kind < MODEL_KINDS &&
	       strncmp(path, paths[exchange.kind], strlen(paths[exchange.kind])) != 0)
		exchange.kind++;
	assert(exchange.kind < MODEL_KINDS);
	if (exchange.kind >= MODEL_ORDER)
		exchange.order = strtoul(path + strlen(paths[exchange.kind]), NULL, 10);
	return exchange;
}

static void on_request_arrives(void *context)
{
	struct http_request *request = context;
	struct model_exchange exchange = read_url(request->url);
	struct model_answer answer = {0};
	struct http_response response;
	char nonce[32];

	exchange.payload = request->payload;
	exchange.header = request->header;
	exchange.count = ++present->counts[exchange.kind];
	if (!present->before || !present->before(present->context, &exchange, &answer)) {
		answer_request(present, &exchange, &answer);
		if (present->after)
			present->after(present->context, &exchange, &answer);
	}
	snprintf(nonce, sizeof(nonce), "nonce%u", ++nonce_count);
	response = (struct http_response){
		.error = answer.error,
		.error_text = answer.error ? "the connection was cut" : "",
		.status = answer.error ? 0 : answer.status,
		.body = answer.error ? "" : answer.body,
		.body_size = answer.error ? 0 : strlen(answer.body),
		.location = answer.location[0] && !answer.error ? answer.location : NULL,
		.nonce = answer.error ? NULL : nonce,
		.retry_after_s = answer.retry_after_s,
		.date_s = answer.date_s,
	};
	request->done(request->context, &response);
	request_free(request);
}

int http_start(struct http_request **ret_request, struct http *http, const struct http_call *call)
{
	struct http_request *request = calloc(1, sizeof(*request));

	if (!request)
		return -ENOMEM;
	request->http = http;
	request->method = call->method;
	request->url = strdup(call->url);
	request->payload = decode_member(call->body, "payload");
	request->header = decode_member(call->body, "protected");
	request->done = call->done;
	request->context = call->context;
	loop_timer_start(http->loop, &request->timer, TRAVEL_MS, on_request_arrives, request);
	*ret_request = request;
	return 0;
}

void http_cancel(struct http_request *request)
{
	if (!request)
		return;
	loop_timer_stop(request->http->loop, &request->timer);
	request_free(request);
}
