// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/net/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "acme/net/loop.h"
#include "common/log.h"
#include "common/version.h"

#define CONNECT_TIMEOUT_S 15
/*
 * At once; the others wait for their turn.  Servers take at least 100 streams on an HTTP/2
 * connection (RFC 9113 section 6.5.2), and a CA is not to be stormed.
 */
#define TRANSFERS_MAX 64

TAILQ_HEAD(requests, http_request);

struct http {
	struct loop *loop;
	uint32_t running; /* transfers under way */
	struct requests waiting;
	struct http_options options;
	char user_agent[128]; /* RFC 8555 section 6.1 */
};

struct http_request {
	struct transfer transfer; /* first: finish() gets it back from there */
	struct http *http;
	TAILQ_ENTRY(http_request) link; /* while it waits */
	bool is_waiting;
	struct curl_slist *headers;
	void (*done)(void *context, const struct http_response *response);
	void *context;
	char *body;
	size_t body_size;
	size_t headers_size;
	bool too_large;
	char error_text[CURL_ERROR_SIZE];
};

int http_new(struct http **ret_http, struct loop *loop, const struct http_options *options)
{
	struct http *http = calloc(1, sizeof(*http));

	if (!http)
		return -ENOMEM;
	http->loop = loop;
	TAILQ_INIT(&http->waiting);
	http->options = *options;
	snprintf(http->user_agent, sizeof(http->user_agent), "sidestep/%s libcurl/%s",
		 SIDESTEP_VERSION, curl_version_info(CURLVERSION_NOW)->version);
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
	curl_easy_cleanup(request->transfer.easy);
	curl_slist_free_all(request->headers);
	free(request->body);
	free(request);
}

/* libcurl's callbacks: another return than the size ends the transfer. */

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
	struct http_request *request = context;
	char *body;

	size *= count;
	if (request->body_size + size > HTTP_BODY_MAX) {
		request->too_large = true;
		return 0;
	}
	body = realloc(request->body, request->body_size + size + 1);
	if (!body)
		return 0;
	memcpy(body + request->body_size, data, size);
	request->body = body;
	request->body_size += size;
	body[request->body_size] = '\0';
	return size;
}

static size_t count_headers(char *data, size_t size, size_t count, void *context)
{
	struct http_request *request = context;

	(void)data;
	request->headers_size += size * count;
	request->too_large = request->headers_size > HTTP_HEADERS_MAX;
	return request->too_large ? 0 : size * count;
}

static enum http_error classify_error(const struct http_request *request, CURLcode result)
{
	long os_error = 0;

	if (request->too_large)
		return HTTP_TOO_LARGE;
	curl_easy_getinfo(request->transfer.easy, CURLINFO_OS_ERRNO, &os_error);
	if (result &&
	    (os_error == EMFILE || os_error == ENFILE || os_error == ENOMEM || os_error == ENOBUFS))
		return HTTP_NO_RESOURCES;
	switch (result) {
	case CURLE_OUT_OF_MEMORY:
		return HTTP_NO_RESOURCES;
	case CURLE_OK:
		return HTTP_ANSWERED;
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
		return HTTP_NOT_RESOLVED;
	case CURLE_COULDNT_CONNECT:
		return HTTP_NOT_CONNECTED;
	case CURLE_OPERATION_TIMEDOUT:
		return HTTP_TIMED_OUT;
	case CURLE_PEER_FAILED_VERIFICATION:
		return HTTP_UNTRUSTED;
	case CURLE_SSL_CACERT_BADFILE:
		return HTTP_CACERT_UNREADABLE;
	case CURLE_SSL_CONNECT_ERROR:
		return HTTP_TLS_FAILED;
	default:
		return HTTP_BROKEN;
	}
}

/* The value of the header that has this place among those of its name; NULL: there is none. */
static const char *header_at(CURL *easy, const char *name, size_t index)
{
	struct curl_header *found;

	return curl_easy_header(easy, name, index, CURLH_HEADER, -1, &found) ? NULL : found->value;
}

static const char *response_header(CURL *easy, const char *name)
{
	return header_at(easy, name, 0);
}

static int request_start(struct http_request *request)
{
	int err = loop_transfer_start(request->http->loop, &request->transfer);

	request->http->running += !err;
	return err;
}

/* One less is under way: whose turn is it? */
static void start_next(struct http *http)
{
	struct http_request *request;

	http->running--;
	while (http->running < TRANSFERS_MAX && (request = TAILQ_FIRST(&http->waiting))) {
		TAILQ_REMOVE(&http->waiting, request, link);
		request->is_waiting = false;
		if (!request_start(request))
			continue;
		request->done(request->context,
			      &(struct http_response){.error = HTTP_NO_RESOURCES,
						      .error_text = "out of memory",
						      .body = ""});
		http_request_free(request);
	}
}

static void http_request_finish(struct transfer *transfer, CURLcode result)
{
	struct http_request *request = (struct http_request *)transfer;
	CURL *easy = transfer->easy;
	struct http_response response = {
		.error = classify_error(request, result),
		.error_text =
			request->error_text[0] ? request->error_text : curl_easy_strerror(result),
		.body = request->body ? request->body : "",
		.body_size = request->body_size,
		.content_type = response_header(easy, "Content-Type"),
		.location = response_header(easy, "Location"),
		.nonce = response_header(easy, "Replay-Nonce"),
	};
	const char *date = response_header(easy, "Date"), *url = "";
	curl_off_t retry_after_s = 0;
	size_t i;

	for (i = 0; i < HTTP_LINKS_MAX - 1 && (response.links[i] = header_at(easy, "Link", i));)
		i++;
	curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &response.status);
	curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after_s);
	response.retry_after_s = retry_after_s;
	if (date)
		response.date_s = curl_getdate(date, NULL);
	if (response.date_s < 0)
		response.date_s = 0;
	if (response.error)
		log_debug("%s: %s", url, response.error_text);
	else
		log_debug("%s: status %ld, %zu bytes", url, response.status, response.body_size);
	start_next(request->http);
	request->done(request->context, &response);
	http_request_free(request);
}

static bool set_headers(struct http_request *request, const struct http_call *call)
{
	struct curl_slist *headers = NULL, *more;
	char accept[128];

	if (call->accept) {
		snprintf(accept, sizeof(accept), "Accept: %s", call->accept);
		headers = curl_slist_append(NULL, accept);
		if (!headers)
			return false;
	}
	if (call->method == HTTP_POST) {
		more = curl_slist_append(headers, "Content-Type: application/jose+json");
		if (!more) {
			curl_slist_free_all(headers);
			return false;
		}
		headers = more;
	}
	request->headers = headers;
	return !curl_easy_setopt(request->transfer.easy, CURLOPT_HTTPHEADER, headers);
}

static bool set_method(CURL *easy, const struct http_call *call)
{
	switch (call->method) {
	case HTTP_GET:
		return !curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	case HTTP_HEAD:
		return !curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	case HTTP_POST:
		return !curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, call->body);
	}
	return false;
}

/* Hooks are not to inherit the connection to the CA; libcurl makes sockets that they would. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)context;
	(void)purpose;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static long timeout_of(const struct http *http, const struct http_call *call)
{
	const uint32_t usual_s = http->options.timeout_s;

	return call->timeout_s && call->timeout_s < usual_s ? call->timeout_s : usual_s;
}

/* What can fail here fails for want of memory only. */
static bool set_options(struct http_request *request, const struct http_call *call)
{
	const struct http *http = request->http;
	CURL *easy = request->transfer.easy;
	CURLcode bad = 0;

	bad |= curl_easy_setopt(easy, CURLOPT_URL, call->url);
	bad |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
	bad |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	bad |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	bad |= curl_easy_setopt(easy, CURLOPT_USERAGENT, http->user_agent);
	bad |= curl_easy_setopt(easy, CURLOPT_TIMEOUT, timeout_of(http, call));
	bad |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	bad |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	bad |= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	/* Rather wait for a shared HTTP/2 connection than open another one. */
	bad |= curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
	bad |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error_text);
	bad |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	bad |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
	bad |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, count_headers);
	bad |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
	if (call->cacert) {
		bad |= curl_easy_setopt(easy, CURLOPT_CAINFO, call->cacert);
		bad |= curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
	return !bad && set_method(easy, call) && set_headers(request, call);
}

int http_start(struct http_request **ret_request, struct http *http, const struct http_call *call)
{
	struct http_request *request = calloc(1, sizeof(*request));
	bool must_wait = http->running >= TRANSFERS_MAX;

	if (!request)
		return -ENOMEM;
	request->http = http;
	request->done = call->done;
	request->context = call->context;
	request->transfer.finish = http_request_finish;
	request->transfer.easy = curl_easy_init();
	if (!request->transfer.easy || !set_options(request, call) ||
	    (!must_wait && request_start(request))) {
		http_request_free(request);
		return -ENOMEM;
	}
	request->is_waiting = must_wait;
	if (must_wait)
		TAILQ_INSERT_TAIL(&http->waiting, request, link);
	*ret_request = request;
	return 0;
}

void http_cancel(struct http_request *request)
{
	if (!request)
		return;
	if (request->is_waiting) {
		TAILQ_REMOVE(&request->http->waiting, request, link);
	} else {
		loop_transfer_stop(request->http->loop, &request->transfer);
		start_next(request->http);
	}
	http_request_free(request);
}
