// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/net/dns_lookup.h"

#include <stdio.h>
#include <stdlib.h>

#include "acme/net/caa.h"
#include "acme/net/dns.h"
#include "acme/net/loop.h"

enum { IPV4, IPV6, CAA, QUESTIONS };

struct dns_lookup {
	struct loop *loop;
	struct dns *dns;
	struct dns_lookup_result result;
	struct dns_query *queries[QUESTIONS]; /* NULL: answered */
	struct timer timer;
	void (*done)(void *context, struct dns_lookup_result *result);
	void *context;
};

static struct dns_answer *answer_of(struct dns_lookup *lookup, int query)
{
	struct dns_lookup_result *result = &lookup->result;

	switch (query) {
	case IPV4:
		return &result->ipv4;
	case IPV6:
		return &result->ipv6;
	default:
		return &result->caa;
	}
}

static void cancel_queries(struct dns_lookup *lookup)
{
	int i;

	for (i = 0; i < QUESTIONS; i++)
		dns_cancel(lookup->queries[i]);
}

static void lookup_report(struct dns_lookup *lookup)
{
	void (*done)(void *, struct dns_lookup_result *) = lookup->done;
	struct dns_lookup_result result = lookup->result;
	void *context = lookup->context;

	loop_timer_stop(lookup->loop, &lookup->timer);
	free(lookup);
	done(context, &result);
}

static void on_lookup_deadline(void *context)
{
	struct dns_lookup *lookup = context;
	int i;

	cancel_queries(lookup);
	for (i = 0; i < QUESTIONS; i++)
		if (lookup->queries[i])
			answer_of(lookup, i)->status = DNS_TIMED_OUT;
	lookup_report(lookup);
}

static void lookup_take_answer(struct dns_lookup *lookup, int query,
			       const struct dns_answer *answer)
{
	int i;

	*answer_of(lookup, query) = *answer;
	lookup->queries[query] = NULL;
	for (i = 0; i < QUESTIONS; i++)
		if (lookup->queries[i])
			return;
	lookup_report(lookup);
}

static void on_ipv4(void *context, struct dns_answer *answer)
{
	lookup_take_answer(context, IPV4, answer);
}

static void on_ipv6(void *context, struct dns_answer *answer)
{
	lookup_take_answer(context, IPV6, answer);
}

/*
 * RFC 8659 section 3: no records there, so those of the parent hold.  It ends at the top, which
 * is 127 labels away at most.
 */
static void on_caa(void *context, struct dns_answer *answer)
{
	struct dns_lookup *lookup = context;
	const char *parent = caa_parent(lookup->result.caa_name);
	char name[sizeof(lookup->result.caa_name)];

	if ((answer->status != DNS_NO_DATA && answer->status != DNS_NO_NAME) || !parent) {
		lookup_take_answer(lookup, CAA, answer);
		return;
	}
	snprintf(name, sizeof(name), "%s", parent);
	snprintf(lookup->result.caa_name, sizeof(lookup->result.caa_name), "%s", name);
	lookup->queries[CAA] = dns_ask(lookup->dns, name, DNS_CAA, on_caa, lookup);
	if (lookup->queries[CAA])
		dns_answer_done(answer);
	else
		lookup_take_answer(lookup, CAA,
				   &(struct dns_answer){.type = DNS_CAA, .status = DNS_NO_MEMORY});
}

struct dns_lookup *dns_lookup_start(struct loop *loop, struct dns *dns, const char *name,
				    uint32_t deadline_ms,
				    void (*done)(void *context, struct dns_lookup_result *result),
				    void *context)
{
	struct dns_lookup *lookup = calloc(1, sizeof(*lookup));

	if (!lookup)
		return NULL;
	*lookup = (struct dns_lookup){
		.loop = loop,
		.dns = dns,
		.result = {.ipv4 = {.type = DNS_A},
			   .ipv6 = {.type = DNS_AAAA},
			   .caa = {.type = DNS_CAA}},
		.done = done,
		.context = context,
	};
	snprintf(lookup->result.caa_name, sizeof(lookup->result.caa_name), "%s", name);
	lookup->queries[IPV4] = dns_ask(dns, name, DNS_A, on_ipv4, lookup);
	lookup->queries[IPV6] = dns_ask(dns, name, DNS_AAAA, on_ipv6, lookup);
	lookup->queries[CAA] = dns_ask(dns, name, DNS_CAA, on_caa, lookup);
	if (!lookup->queries[IPV4] || !lookup->queries[IPV6] || !lookup->queries[CAA]) {
		dns_lookup_cancel(lookup);
		return NULL;
	}
	loop_timer_start(loop, &lookup->timer, deadline_ms, on_lookup_deadline, lookup);
	return lookup;
}

void dns_lookup_cancel(struct dns_lookup *lookup)
{
	if (!lookup)
		return;
	cancel_queries(lookup);
	loop_timer_stop(lookup->loop, &lookup->timer);
	dns_lookup_result_done(&lookup->result);
	free(lookup);
}

void dns_lookup_result_done(struct dns_lookup_result *result)
{
	dns_answer_done(&result->ipv4);
	dns_answer_done(&result->ipv6);
	dns_answer_done(&result->caa);
}

bool dns_lookup_has_no_name(const struct dns_lookup_result *result)
{
	return result->ipv4.status == DNS_NO_NAME && result->ipv6.status == DNS_NO_NAME;
}
