/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One order, from newOrder to the certificate chain: RFC 8555 section 7.4.  All
 * of its authorizations are worked on at once.  Many orders may be under way on
 * one loop.  An order that a killed process made continues from wherever it is; when
 * the CA no longer knows it, or has given it up, a new one is made.
 */
#ifndef ACME_PROTOCOL_ORDER_H
#define ACME_PROTOCOL_ORDER_H

#include <stddef.h>
#include <stdint.h>

struct authorization;
struct selfcheck;
struct ca;
struct certificate_settings;
struct challenge_table;
struct failure;
struct identifier;
struct order;
struct paths;

enum order_state {
	ORDER_CREATING,
	ORDER_AUTHORIZING,
	ORDER_PREPARING, /* all authorizations are valid; the CA has not yet said "ready" */
	ORDER_FINALIZING,
	ORDER_ISSUING, /* the CA is at work on the certificate */
	ORDER_DOWNLOADING,
	ORDER_DONE,
	ORDER_FAILED,
};

/* What is to be ordered; what it points to must outlive the order. */
struct order_options {
	struct ca *ca; /* with an account */
	struct challenge_table *table;
	struct selfcheck *selfcheck; /* NULL: none */
	const struct paths *paths; /* where what came for the names is told */
	const struct identifier *identifiers;
	size_t identifier_count; /* 1 to CSR_NAMES_MAX */
	const uint8_t *csr; /* DER, for these names; its key is already on the disk */
	size_t csr_size;
	const char *replaces; /* the certificate it is to replace: RFC 9773 section 5; or NULL */
	const struct certificate_settings *settings;
	const char *resume_url; /* an earlier order for the same key; NULL: a new one */
	/* Called once as soon as order_url() is known, before anything that follows from it. */
	void (*created)(void *context, struct order *order);
	/* Called at each change of the order or of an authorization; DONE and FAILED come once. */
	void (*changed)(void *context, struct order *order);
	void *context;
};

/* Set off.  `changed` is first called after this returns.  NULL: out of memory. */
struct order *order_new(const struct order_options *options);

/* In any state: whatever is armed is disarmed.  Not from within `changed`. */
void order_free(struct order *order);

enum order_state order_state(const struct order *order);

/* NULL before the CA has told it. */
const char *order_url(const struct order *order);

/* Why it failed.  When authorizations failed, each has its own reason too. */
const struct failure *order_failure(const struct order *order);

/* The CA's authorizations, in its order; NULL at the end. */
const struct authorization *order_authorization(const struct order *order, size_t index);

/* The PEM chain of a DONE order, the order's own. */
const char *order_chain(const struct order *order, size_t *ret_size);

#endif
