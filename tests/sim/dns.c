// SPDX-License-Identifier: GPL-3.0-or-later
/* Replaces acme/net/dns.c: the world answers questions. */
#include "acme/net/dns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "acme/net/loop.h"
#include "tests/sim/internal.h"

struct dns {
	struct loop *loop;
};

struct dns_query {
	struct dns *dns;
	struct timer timer;
	struct dns_answer answer;
	void (*done)(void *context, struct dns_answer *answer);
	void *context;
};

int dns_new(struct dns **ret_dns, struct loop *loop, const char *resolver)
{
	struct dns *dns = calloc(1, sizeof(*dns));

	(void)resolver;
	if (!dns)
		return -ENOMEM;
	dns->loop = loop;
	*ret_dns = dns;
	return 0;
}

void dns_free(struct dns *dns)
{
	free(dns);
}

static void on_answer(void *context)
{
	struct dns_query query = *(struct dns_query *)context;

	free(context);
	query.done(query.context, &query.answer);
}

static void *copy_memory(const void *data, size_t size)
{
	void *copy = calloc(1, size);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	return copy;
}

static struct caa_record *copy_caa(const struct caa_record *records, size_t count)
{
	struct caa_record *copy = copy_memory(records, count * sizeof(*copy));
	size_t i;

	for (i = 0; i < count; i++) {
		copy[i].tag = strdup(records[i].tag);
		copy[i].value = copy_memory(records[i].value, records[i].value_size + 1);
	}
	return copy;
}

static void fill_answer(struct dns_answer *answer, const struct sim_dns *found)
{
	answer->status = found->is_lost ? DNS_TIMED_OUT : found->status;
	if (answer->status != DNS_FOUND)
		return;
	answer->count = found->count;
	if (answer->type == DNS_CAA)
		answer->caa = copy_caa(found->caa, found->count);
	else
		answer->addresses =
			copy_memory(found->addresses, found->count * sizeof(*found->addresses));
}

struct dns_query *dns_ask(struct dns *dns, const char *name, enum dns_type type,
			  void (*done)(void *context, struct dns_answer *answer), void *context)
{
	const struct sim_world *world = world_of();
	struct dns_query *query = calloc(1, sizeof(*query));
	struct sim_process *process = process_step_out();
	const struct sim_question question = {.from = process, .name = name, .type = type};
	struct sim_dns found = {.status = DNS_NO_NAME, .delay_ms = 1};

	if (!query)
		abort();
	world->dns(world->context, &question, &found);
	process_step_in(process);
	query->dns = dns;
	query->answer.type = type;
	query->done = done;
	query->context = context;
	fill_answer(&query->answer, &found);
	loop_timer_start(dns->loop, &query->timer, found.is_lost ? DNS_DEADLINE_MS : found.delay_ms,
			 on_answer, query);
	return query;
}

void dns_cancel(struct dns_query *query)
{
	if (!query)
		return;
	loop_timer_stop(query->dns->loop, &query->timer);
	dns_answer_done(&query->answer);
	free(query);
}
