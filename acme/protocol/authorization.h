/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One authorization of an order, from its URL to its end: RFC 8555 section 7.5 with the tls-alpn-01
 * challenge of RFC 8737.  It arms the name before it tells the CA that the challenge is ready, and
 * disarms it in every case, also when the authorization is freed before its end.
 */
#ifndef ACME_PROTOCOL_AUTHORIZATION_H
#define ACME_PROTOCOL_AUTHORIZATION_H

#include <stdbool.h>
#include <stddef.h>

struct authorization;
struct failure;
struct identifier;
struct order_options;

enum authorization_state {
	AUTHORIZATION_FETCHING,
	AUTHORIZATION_PROBING, /* armed; the self-check probes this host's port 443 */
	AUTHORIZATION_TELLING, /* armed; telling the CA that the challenge is ready */
	AUTHORIZATION_WAITING, /* armed; waiting for the CA's verdict */
	AUTHORIZATION_VALID,
	AUTHORIZATION_FAILED,
};

/*
 * Start, for one of the order's names.  `order` must outlive the authorization; `url` is copied.
 * `changed` is called at each change of state, first after this returns; in a final state it may
 * free the authorization.  NULL: out of memory.
 */
struct authorization *authorization_new(const struct order_options *order, const char *url,
					void (*changed)(void *context), void *context);
void authorization_free(struct authorization *authorization);

enum authorization_state authorization_state(const struct authorization *authorization);

/* NULL until the CA has said which identifier it is for. */
const struct identifier *authorization_identifier(const struct authorization *authorization);

/* It has failed because the CA gave no answer: the CA has decided nothing. */
bool authorization_lacks_answer(const struct authorization *authorization);

/* Why it failed; empty in any other state. */
const struct failure *authorization_failure(const struct authorization *authorization);

#endif
