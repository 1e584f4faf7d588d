/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the DNS says of one domain name to a CA: its addresses, and the CAA records that
 * hold for it, wherever up the tree they are.  Used by preflight.c.
 */
#ifndef LOOKUP_H
#define LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "acme/net/dns_answer.h"

struct dns;
struct lookup;
struct loop;

struct lookup_result {
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
struct lookup *lookup_start(struct loop *loop, struct dns *dns, const char *name,
			    uint32_t deadline_ms,
			    void (*done)(void *context, struct lookup_result *result),
			    void *context);
void lookup_cancel(struct lookup *lookup);

void lookup_result_done(struct lookup_result *result);

/* Both families say that there is no such name. */
bool lookup_has_no_name(const struct lookup_result *result);

#endif
