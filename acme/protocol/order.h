/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One order, from newOrder to the certificate chain: RFC 8555 section 7.4.  Its authorizations run
 * at the same time, and many orders may run on one loop, those with a name in common one after the
 * other.  An order of a killed process resumes from
 * its current state; if the CA no longer knows it, or has ended it, a new order replaces it.
 */
#ifndef ACME_PROTOCOL_ORDER_H
#define ACME_PROTOCOL_ORDER_H

#include <stddef.h>
#include <stdint.h>

struct authorization;
struct ca;
struct certificate_settings;
struct failure;
struct identifier;
struct issue_env;
struct order;

enum order_state {
	ORDER_CREATING,
	ORDER_AUTHORIZING,
	ORDER_PREPARING, /* all authorizations are valid; the CA has not yet said "ready" */
	ORDER_FINALIZING,
	ORDER_ISSUING, /* the CA is issuing the certificate */
	ORDER_DOWNLOADING,
	ORDER_DONE,
	ORDER_FAILED,
};

/* What to order; what it points to must outlive the order. */
struct order_options {
	struct ca *ca; /* with an account */
	const struct issue_env *env;
	const struct identifier *identifiers;
	size_t identifier_count; /* 1 to CSR_NAMES_MAX */
	const uint8_t *csr; /* DER, for these names; its key is already on the disk */
	size_t csr_size;
	const char
		*replaces; /* ARI identifier of the old certificate: RFC 9773 section 5; or NULL */
	const struct certificate_settings *settings;
	const char *resume_url; /* an earlier order for the same key; NULL: create a new one */
	/* Called once when order_url() is known, before the next request. */
	void (*created)(void *context, struct order *order);
	/* Called at each change of the order or of an authorization; DONE and FAILED come once. */
	void (*changed)(void *context, struct order *order);
	void *context;
};

/* Start an order.  `changed` is first called after this returns.  NULL: out of memory. */
struct order *order_new(const struct order_options *options);

/* Free the order in any state, and disarm its names.  Not from within `changed`. */
void order_free(struct order *order);

enum order_state order_state(const struct order *order);

/* NULL until the CA has given it; of an order that is resumed, that which was given. */
const char *order_url(const struct order *order);

/*
 * Why it failed.  When authorizations failed, each has its own reason too.  A failure of the CA's that
 * does not end the order (failure.h) leaves it at the CA: keep its URL and key, and resume it later.
 */
const struct failure *order_failure(const struct order *order);

/* The authorizations in the CA's sequence; NULL after the last. */
const struct authorization *order_authorization(const struct order *order, size_t index);

/* The PEM chain of a DONE order, which the order owns. */
const char *order_chain(const struct order *order, size_t *ret_size);

#endif
