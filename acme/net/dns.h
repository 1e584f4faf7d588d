/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * DNS queries on the event loop, with c-ares.  They ignore /etc/hosts and other local sources,
 * which a CA does not see.  The resolver follows CNAMEs.
 */
#ifndef ACME_NET_DNS_H
#define ACME_NET_DNS_H

#include "acme/net/dns_answer.h"

struct dns;
struct dns_query;
struct loop;

/* The longest wait for an answer. */
#define DNS_DEADLINE_MS 10000

/*
 * `resolver`: ADDRESS or ADDRESS:PORT, or [ADDRESS]:PORT; NULL: those of
 * /etc/resolv.conf, read again from time to time.  `loop` must outlive it.  0,
 * -EINVAL: not an address; or -ENOMEM.
 */
int dns_new(struct dns **ret_dns, struct loop *loop, const char *resolver);

/* All queries must be over or cancelled.  NULL is nothing. */
void dns_free(struct dns *dns);

/*
 * Ask.  `done` is called once, later, from the loop, unless cancelled before; the
 * query is gone then, and the answer the caller's to empty.  NULL: out of memory.
 */
struct dns_query *dns_ask(struct dns *dns, const char *name, enum dns_type type,
			  void (*done)(void *context, struct dns_answer *answer), void *context);
void dns_cancel(struct dns_query *query);

#endif
