// SPDX-License-Identifier: GPL-3.0-or-later
/* Replaces acme/net/http.c: requests go to the world's transport. */
#include "acme/net/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "acme/net/loop.h"
#include "tests/sim/internal.h"

#define WAY_MIN_MS 2 /* of a request to the CA */
#define WAY_MORE   30

struct http {
	struct loop *loop;
	struct http_options options;
};

struct call {
	struct sim_call call; /* first: the world has its address */
	LIST_ENTRY(call) link;
	struct http_request *request; /* NULL: nobody waits */
	char *texts[4];
};

struct http_request {
	struct http *http;
	struct call *call; /* NULL: it was answered */
	struct timer timer; /* the time limit, then the answer's arrival */
	void (*done)(void *context, const struct http_response *response);
	void *context;
	struct http_response response;
	char *texts[5 + HTTP_LINKS_MAX]; /* what the response points to */
	size_t text_count;
};

static LIST_HEAD(call_list, call) calls;

/* --- the client ------------------------------------------------------------------------------------ */

int http_new(struct http **ret_http, struct loop *loop, const struct http_options *options)
{
	struct http *http = calloc(1, sizeof(*http));

	if (!http)
		return -ENOMEM;
	http->loop = loop;
	http->options = *options;
	*ret_http = http;
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

static void http_request_free(struct http_request *request)
{
	loop_timer_stop(request->http->loop, &request->timer);
	if (request->call)
		request->call->request = NULL;
	while (request->text_count)
		free(request->texts[--request->text_count]);
	free(request);
}

static void on_response(void *context)
{
	struct http_request *request = context;

	seam(SIM_HTTP, NULL);
	request->done(request->context, &request->response);
	http_request_free(request);
}

static void on_timeout(void *context)
{
	struct http_request *request = context;

	request->response = (struct http_response){
		.error = HTTP_TIMED_OUT, .error_text = "the request took too long", .body = ""};
	on_response(request);
}

static char *copy(const char *text)
{
	char *new = text ? strdup(text) : NULL;

	if (text && !new)
		abort();
	return new;
}

static void call_free(struct call *call)
{
	size_t i;

	LIST_REMOVE(call, link);
	for (i = 0; i < sizeof(call->texts) / sizeof(*call->texts); i++)
		free(call->texts[i]);
	free(call);
}

/* The request arrives, unless its process died on the way. */
static void arrive(void *context)
{
	const struct sim_world *world = world_of();
	struct call *call = context;

	if (!sim_call_is_awaited(&call->call)) {
		call_free(call);
		return;
	}
	world->transport(world->context, &call->call);
}

int http_start(struct http_request **ret_request, struct http *http,
	       const struct http_call *options)
{
	struct http_request *request = calloc(1, sizeof(*request));
	struct call *call = calloc(1, sizeof(*call));
	uint32_t timeout_s = http->options.timeout_s;
	char **texts;

	if (!request || !call)
		abort();
	seam(SIM_HTTP, options->url);
	texts = call->texts;
	texts[0] = copy(options->url);
	texts[1] = copy(options->body);
	texts[2] = copy(options->accept);
	texts[3] = copy(options->cacert);
	call->call = (struct sim_call){.from = sim_current(),
				       .method = options->method,
				       .url = texts[0],
				       .body = texts[1],
				       .accept = texts[2],
				       .cacert = texts[3]};
	LIST_INSERT_HEAD(&calls, call, link);
	request->http = http;
	request->done = options->done;
	request->context = options->context;
	request->call = call;
	call->request = request;
	if (options->timeout_s && options->timeout_s < timeout_s)
		timeout_s = options->timeout_s;
	loop_timer_start(http->loop, &request->timer, timeout_s * SIM_SECOND, on_timeout, request);
	sim_after(WAY_MIN_MS + sim_random_below(WAY_MORE), arrive, call);
	*ret_request = request;
	return 0;
}

void http_cancel(struct http_request *request)
{
	if (request)
		http_request_free(request);
}

/* --- the answer ------------------------------------------------------------------------------------ */

bool sim_call_is_awaited(const struct sim_call *call)
{
	return process_is_alive(call->from) && ((const struct call *)call)->request;
}

/* The request keeps the copy. */
static const char *keep(struct http_request *request, const char *text)
{
	return text ? request->texts[request->text_count++] = copy(text) : NULL;
}

static const char *keep_body(struct http_request *request, const struct sim_reply *reply,
			     size_t size)
{
	char *body = calloc(1, size + 1);

	if (!body)
		abort();
	if (size)
		memcpy(body, reply->body, size);
	request->texts[request->text_count++] = body;
	return body;
}

static void fill_response(struct http_request *request, const struct sim_reply *reply)
{
	struct http_response *response = &request->response;
	size_t i, size = reply->body_size;

	response->error = reply->error;
	response->error_text = reply->error ? "simulated" : "";
	response->body = "";
	if (reply->error)
		return;
	if (!size && reply->body)
		size = strlen(reply->body);
	response->status = reply->status;
	response->body = keep_body(request, reply, size);
	response->body_size = size;
	response->content_type = keep(request, reply->content_type);
	response->location = keep(request, reply->location);
	response->nonce = keep(request, reply->nonce);
	response->retry_after_s = reply->retry_after_s;
	response->date_s = reply->date_s < 0 ? 0 : reply->date_s ? reply->date_s : sim_true_s();
	for (i = 0; i < HTTP_LINKS_MAX - 1 && reply->links[i]; i++)
		response->links[i] = keep(request, reply->links[i]);
}

void sim_answer(struct sim_call *call, uint64_t delay_ms, const struct sim_reply *reply)
{
	struct http_request *request = ((struct call *)call)->request;

	if (sim_logs())
		sim_log_line("%s: %s %s: %ld%s", sim_name(call->from), call->body ? "POST" : "GET",
			     call->url, reply->error ? -(long)reply->error : reply->status,
			     sim_call_is_awaited(call) ? "" : " (nobody waits)");
	if (sim_call_is_awaited(call)) {
		fill_response(request, reply);
		loop_timer_start(request->http->loop, &request->timer, delay_ms, on_response,
				 request);
		request->call = NULL;
	}
	call_free((struct call *)call);
}

void http_begin(void)
{
	LIST_INIT(&calls);
}

void http_end(void)
{
	while (!LIST_EMPTY(&calls))
		call_free(LIST_FIRST(&calls));
}
