/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One CA: its directory, its nonces, and requests signed by our account there.  Only this file
 * does what RFC 8555 section 6 requires of every request: the signature, the nonce, the retry when
 * the CA refuses the nonce, and the reading of problem documents.
 */
#ifndef ACME_PROTOCOL_CLIENT_H
#define ACME_PROTOCOL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ca;
struct ca_request;
struct directory;
struct failure;
struct http;
struct http_call;
struct http_request;
struct json_t;
struct key;
struct loop;

/* The CA's answer.  Valid during the callback only; the callback may take `failure` away. */
struct ca_reply {
	struct failure *failure; /* empty when the request succeeded (2xx) */
	bool may_pass; /* a retry may succeed: no answer, 429, 5xx */
	long status; /* of HTTP; 0: there was no answer */
	struct json_t *object; /* NULL unless the body is a JSON object and the failure empty */
	const char *body; /* ends with a zero, which body_size does not count */
	size_t body_size;
	const char *location; /* a usable URL, or NULL */
	const char *url; /* of the request; NULL: there was no answer */
	const char *const *links; /* values of Link headers, NULL behind the last; or NULL */
	int64_t retry_after_s; /* 0: none */
};

/* Copy the targets of the reply's links of this relation, at most `max`.  Returns how many. */
size_t ca_reply_links(char **ret_urls, size_t max, const struct ca_reply *reply,
		      const char *relation);

enum ca_signer {
	CA_SIGNED_BY_ACCOUNT, /* the header names the account's URL */
	CA_SIGNED_BY_KEY, /* the header carries the public key: newAccount */
};

enum ca_answer {
	CA_ANSWER_OBJECT, /* a JSON object, or the request fails */
	CA_ANSWER_HEADERS, /* the headers suffice; an object, if there is one */
	CA_ANSWER_PEM_CHAIN,
	CA_ANSWER_NOTHING,
};

struct ca_call {
	const char *url; /* copied */
	struct json_t *payload; /* taken over, even on failure; NULL: POST-as-GET */
	enum ca_signer signer;
	enum ca_answer answer;
	void (*done)(void *context, struct ca_reply *reply);
	void *context;
};

/*
 * `server` is the directory's URL.  `cacert` is a PEM file with the only roots to trust, or NULL
 * for the system's roots.  `http` must outlive the CA.  0 or -ENOMEM.
 */
int ca_new(struct ca **ret_ca, struct http *http, const char *server, const char *cacert);

/* No request may be running except ca_connect()'s. */
void ca_free(struct ca *ca);

struct loop *ca_loop(const struct ca *ca);
const char *ca_server(const struct ca *ca);

/* How many seconds this host's clock is ahead of the CA's, by the Date of its last answer; negative:
 * behind; 0: also when that is not known. */
int64_t ca_clock_ahead_s(const struct ca *ca);

const struct directory *ca_directory(const struct ca *ca);

/* Set the account's key, which the caller keeps, and its URL (copied), each or NULL.  0 or -ENOMEM. */
int ca_set_account(struct ca *ca, struct key *key, const char *account_url);
struct key *ca_account_key(const struct ca *ca);

/*
 * Call `lost` when the CA refuses the account's signature, or does not know the account: another
 * process may have replaced its key, or the account.  Requests by the account wait until
 * ca_account_found(), and the refused ones are sent again, once.  Not within CA_ACCOUNT_REST_S of the
 * last time.
 */
#define CA_ACCOUNT_REST_S 60
void ca_on_account_lost(struct ca *ca, void (*lost)(void *context), void *context);

/* What `lost` leads to, perhaps before it returns: ca_set_account() was called, or `failure` is set. */
void ca_account_found(struct ca *ca, const struct failure *failure);

/* Fetch the directory.  `done` is called once, later, unless the CA is freed before. */
void ca_connect(struct ca *ca, void (*done)(void *context, struct failure *failure), void *context);

/*
 * Send an unsigned GET: http_start() with the CA's trusted roots.  Only url, timeout_s, done and
 * context of `call` are used.
 */
int ca_get(struct ca *ca, struct http_request **ret_request, const struct http_call *call);

/*
 * Send a signed request.  `done` is called once, later, unless the request is cancelled before; the
 * request is freed after it returns.  NULL when out of memory.
 */
struct ca_request *ca_post(struct ca *ca, const struct ca_call *call);
void ca_cancel(struct ca_request *request);

#endif
