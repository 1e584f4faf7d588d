/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Looks up what a CA looks up for a domain name: its addresses, and the CAA records that apply to
 * it, which may be those of a parent.
 */
#ifndef ACME_NET_DNS_LOOKUP_H
#define ACME_NET_DNS_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "acme/net/dns_answer.h"

struct dns;
struct dns_lookup;
struct loop;

struct dns_lookup_result {
	struct dns_answer ipv4, ipv6;
	/*
	 * Of the name nearest to the root that was asked: FOUND there, or nothing anywhere
	 * (NO_DATA or NO_NAME), or why that is not known.
	 */
	struct dns_answer caa;
	char caa_name[254]; /* that name */
};

/*
 * Ask for all of `name`; what is not answered within `deadline_ms` has timed out.  `done` is
 * called once, later, from the loop, unless cancelled before; the lookup is gone then, and the
 * result the caller's to empty.  NULL: out of memory.
 */
struct dns_lookup *dns_lookup_start(struct loop *loop, struct dns *dns, const char *name,
				    uint32_t deadline_ms,
				    void (*done)(void *context, struct dns_lookup_result *result),
				    void *context);
void dns_lookup_cancel(struct dns_lookup *lookup);

void dns_lookup_result_done(struct dns_lookup_result *result);

/* Both families say that there is no such name. */
bool dns_lookup_has_no_name(const struct dns_lookup_result *result);

#endif
