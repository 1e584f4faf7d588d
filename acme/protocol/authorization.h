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
struct selfcheck;
struct ca;
struct challenge_table;
struct failure;
struct identifier;
struct paths;

enum authorization_state {
	AUTHORIZATION_FETCHING,
	AUTHORIZATION_PROBING, /* armed; the self-check probes this host's port 443 */
	AUTHORIZATION_TELLING, /* armed; telling the CA that the challenge is ready */
	AUTHORIZATION_WAITING, /* armed; waiting for the CA's verdict */
	AUTHORIZATION_VALID,
	AUTHORIZATION_FAILED,
};

struct authorization_order {
	struct ca *ca;
	struct challenge_table *table;
	struct selfcheck *selfcheck; /* NULL: tell the CA without a self-check */
	const struct paths *paths; /* of the responder's evidence */
	const struct identifier *identifiers; /* of the order; the authorization must be for one */
	size_t identifier_count;
	/* Called at each change of state; in a final state it may free the authorization. */
	void (*changed)(void *context);
	void *context;
};

/*
 * Start an authorization.  What `order` points to must outlive it; `url` is copied.  `changed` is
 * first called after this returns.  NULL: out of memory.
 */
struct authorization *authorization_new(const struct authorization_order *order, const char *url);
void authorization_free(struct authorization *authorization);

enum authorization_state authorization_state(const struct authorization *authorization);

/* NULL until the CA has said which identifier it is for. */
const struct identifier *authorization_identifier(const struct authorization *authorization);

/* Why it failed; empty in any other state. */
const struct failure *authorization_failure(const struct authorization *authorization);

#endif
