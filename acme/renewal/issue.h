/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Gets one certificate and stores it: first the key, the place on disk and the request, then the order,
 * then the check that the CA delivered what was asked for, then the switch.  Many may be under way on
 * one loop.
 */
#ifndef ACME_RENEWAL_ISSUE_H
#define ACME_RENEWAL_ISSUE_H

#include <stdbool.h>
#include <stddef.h>

struct ca;
struct certificate_settings;
struct failure;
struct identifier;
struct issue;
struct issue_env;
struct order;
struct stored;

/* What it points to must outlive the issue. */
struct issue_options {
	const struct issue_env *env;
	const char *name; /* of the certificate on disk */
	const struct identifier *identifiers;
	size_t identifier_count;
	const char *replaces; /* RFC 9773's identifier of the CA's certificate before; or NULL */
	const char *resume_url; /* the order that a killed process made for this; NULL: none */
	const struct certificate_settings *settings;
	const struct certificate_spec
		*spec; /* what is wanted, to be kept beside it; NULL: nothing */
	bool is_quiet; /* no progress: one of many */
	/* Called once as soon as the CA has told the order's URL; the order may be another than
	   that of resume_url. */
	void (*ordered)(void *context, const char *url);
	/* Called once, from the loop: `stored` is in use now, or NULL, and `failure` says why.  Both are
	   the issue's. */
	void (*done)(void *context, const struct stored *stored, struct failure *failure);
	void *context;
};

enum issue_prepared {
	ISSUE_IMPOSSIBLE = -1, /* `failure` says why */
	ISSUE_BUSY = -16, /* so does it: another process is at work on the name */
	ISSUE_READY, /* for issue_start() */
	ISSUE_COMPLETE, /* a killed process had all but put it to use, which is done now */
};

/* All that can be done without the CA, at once.  *ret_issue is set when READY. */
enum issue_prepared issue_prepare(struct issue **ret_issue, const struct issue_options *options,
				  struct failure *failure);

/* Order from `ca`, which has an account and must outlive the issue.  An RSA key is made first. */
void issue_start(struct issue *issue, struct ca *ca);

/* In any state: nothing stays armed, nothing half-written.  Not from within `done`. */
void issue_free(struct issue *issue);

/* The same, but a later process can resume the order. */
void issue_suspend(struct issue *issue);

/* NULL before issue_start(). */
const struct order *issue_order(const struct issue *issue);

#endif
