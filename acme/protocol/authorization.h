/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One authorization of an order, from its URL to its end: RFC 8555 section 7.5
 * with the tls-alpn-01 challenge of RFC 8737.  The name is armed before the CA is
 * told that the challenge is ready, and disarmed however it ends: also when the
 * authorization is freed half way.
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
	AUTHORIZATION_PROBING, /* armed; this host is asked as the CA will ask it */
	AUTHORIZATION_TELLING, /* armed; the CA is being told */
	AUTHORIZATION_WAITING, /* for the CA's verdict */
	AUTHORIZATION_VALID,
	AUTHORIZATION_FAILED,
};

struct authorization_order {
	struct ca *ca;
	struct challenge_table *table;
	struct selfcheck *selfcheck; /* NULL: the CA is told at once */
	const struct paths *paths; /* where what came for the name is told */
	const struct identifier *identifiers; /* of the order: one of them it must be for */
	size_t identifier_count;
	/* Called at each change of state; in a final one it may free the authorization. */
	void (*changed)(void *context);
	void *context;
};

/*
 * Set off.  What `order` points to must outlive the authorization, and `url` is
 * copied.  `changed` is first called after this returns.  NULL: out of memory.
 */
struct authorization *authorization_new(const struct authorization_order *order, const char *url);
void authorization_free(struct authorization *authorization);

enum authorization_state authorization_state(const struct authorization *authorization);

/* NULL as long as the CA has not told for which identifier it is. */
const struct identifier *authorization_identifier(const struct authorization *authorization);

/* Why it failed; empty in any other state. */
const struct failure *authorization_failure(const struct authorization *authorization);

#endif
