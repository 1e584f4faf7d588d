/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One HTTPS request and its answer, on the event loop.  Only this file calls curl_easy_*.  Every
 * answer has a limit of size and time.  It follows no redirects and always checks certificates.
 */
#ifndef ACME_NET_HTTP_H
#define ACME_NET_HTTP_H

#include <stddef.h>
#include <stdint.h>

struct loop;
struct http;
struct http_request;

/* Directories and problems are small; certificate chains are a few KiB. */
#define HTTP_BODY_MAX    (256 * 1024)
#define HTTP_HEADERS_MAX (64 * 1024)
#define HTTP_LINKS_MAX   16 /* further ones are not looked at */

struct http_options {
	uint32_t timeout_s; /* for one request, connecting included */
};

enum http_error {
	HTTP_ANSWERED, /* whatever the status says */
	HTTP_NOT_RESOLVED,
	HTTP_NOT_CONNECTED,
	HTTP_TIMED_OUT,
	HTTP_UNTRUSTED, /* the server's certificate: unknown CA, expired, another name */
	HTTP_CACERT_UNREADABLE,
	HTTP_TLS_FAILED,
	HTTP_TOO_LARGE,
	HTTP_NO_RESOURCES, /* this host's: memory, descriptors */
	HTTP_BROKEN, /* anything else: cut off, not HTTP, ... */
};

/* Valid during the callback only.  Header values are NULL when missing. */
struct http_response {
	enum http_error error;
	const char *error_text; /* libcurl's words */
	long status;
	const char *body; /* ends in a zero that body_size does not count */
	size_t body_size;
	const char *content_type;
	const char *location;
	const char *nonce; /* Replay-Nonce */
	const char *links[HTTP_LINKS_MAX]; /* of Link headers; NULL behind the last */
	int64_t retry_after_s; /* from seconds or an HTTP date; 0: none, or past */
	int64_t date_s; /* the Date header as Unix time; 0: none, or not readable */
};

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST };

struct http_call {
	enum http_method method;
	const char *url;
	const char *body; /* of a POST, which is application/jose+json; copied */
	const char *accept; /* NULL: anything */
	const char *cacert; /* a PEM file: the only CAs to trust; NULL: the system's */
	uint32_t timeout_s; /* at most this, connecting included; 0: as http_options says */
	void (*done)(void *context, const struct http_response *response);
	void *context;
};

/* `loop` must outlive it.  0 or -ENOMEM. */
int http_new(struct http **ret_http, struct loop *loop, const struct http_options *options);
void http_free(struct http *http);
struct loop *http_loop(const struct http *http);

/*
 * Set off.  `done` is called once, later, unless cancelled before; the request
 * is gone when it returns.  0 or -ENOMEM.
 */
int http_start(struct http_request **ret_request, struct http *http, const struct http_call *call);
void http_cancel(struct http_request *request);

#endif
