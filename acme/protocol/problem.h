/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Explains errors of the CA in plain words, with their owner and a next step: from problem documents
 * (RFC 7807, RFC 8555 section 6.7) and from HTTP requests that failed.
 */
#ifndef ACME_PROTOCOL_PROBLEM_H
#define ACME_PROTOCOL_PROBLEM_H

#include <stdbool.h>

struct failure;
struct http_response;
struct json_t;

/* There was no answer: say why `url` could not be reached. */
void problem_explain_transport(struct failure *failure, const struct http_response *response,
			       const char *url);

/* Explain an error status; `problem` is its document, or NULL when the body has none. */
void problem_explain_response(struct failure *failure, const struct http_response *response,
			      struct json_t *problem, const char *url);

/* Explain the error of an order or a challenge, which ends it. */
void problem_explain(struct failure *failure, struct json_t *problem);

/* Whether the CA has paused the account, which only its owner can unpause. */
bool problem_is_pause(const struct json_t *problem);

/* Whether the CA does not know our account, or knows it by another key. */
bool problem_is_lost_account(const struct json_t *problem);

/* Whether the problem's type is urn:ietf:params:acme:error:`type`. */
bool problem_is(const struct json_t *problem, const char *type);

#endif
