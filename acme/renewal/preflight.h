/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What can be known of names before a CA is asked to validate them: what the DNS says, and
 * whether its CAA records let this CA issue to this account.  A CA that does not tell its names for
 * CAA records (caaIdentities) may not heed them: nothing is forbidden for it.  All is asked at once, and no
 * answer is waited for longer than the deadline: what is not known by then forbids nothing.
 */
#ifndef ACME_RENEWAL_PREFLIGHT_H
#define ACME_RENEWAL_PREFLIGHT_H

#include <stddef.h>
#include <stdint.h>

#include "acme/net/caa.h"
#include "acme/net/dns_lookup.h"

struct ca_pool;
struct failure;
struct identifier;
struct loop;
struct preflight;
struct settings;

/* What an order is kept waiting at most. */
#define PREFLIGHT_DEADLINE_MS 2000

/*
 * What the DNS here forbids the CA may allow: it may see another DNS.  So a preflight only delays: after
 * this many failures in a row (some two hours) the CA is asked each time.
 */
#define PREFLIGHT_FAILURES_MAX 3

#define PREFLIGHT_DOUBT_MAX 512

struct preflight_options {
	const struct settings *settings; /* paths, resolver, the account */
	const char *server; /* directory URL of the CA */
	const char *account; /* ours there; NULL: the usual one */
	struct ca_pool *ca_pool;
	struct loop *loop;
	const struct identifier *names;
	size_t name_count;
	uint32_t deadline_ms;
	/* Called once, later, from the loop. */
	void (*done)(void *context);
	void *context;
};

struct preflight_name {
	const struct identifier *identifier;
	struct dns_lookup_result lookup; /* empty: an IP address, which the DNS knows nothing of */
	struct caa_finding caa; /* points into `lookup` */
};

/* Set off.  What `options` points to must outlive it.  0, or -1 with `failure` filled in. */
int preflight_new(struct preflight **ret_preflight, const struct preflight_options *options,
		  struct failure *failure);
void preflight_free(struct preflight *preflight);

/* After `done`; the preflight's own; NULL at the end. */
const struct preflight_name *preflight_name(const struct preflight *preflight, size_t index);

/* Why a validation is certain to fail; nothing is filled in where it may succeed. */
void preflight_judge(const struct preflight_name *name, struct failure *failure);

/* What is certain of any of the names goes into `failure`, what only looks wrong is said. */
void preflight_heed(const struct preflight *preflight, struct failure *failure);

/* What looks wrong, and may be meant so; "" when nothing does. */
void preflight_doubt(const struct preflight_name *name, char ret_text[PREFLIGHT_DOUBT_MAX]);

#endif
