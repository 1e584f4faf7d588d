/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/challenge/selfcheck.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "acme/net/dns_answer.h"
#include "acme/net/loop.h"
#include "acme/util/output.h"
#include "acme/challenge/probe.h"
#include "common/challenge_cert.h"
#include "common/identifier.h"

/* On this host an answer takes a millisecond. */
#define TIMEOUT_MS 1000
#define REST_NS    (UINT64_C(60) * 1000 * 1000 * 1000)

struct barrier_ticket {
	TAILQ_ENTRY(barrier_ticket) link; /* while it waits for its turn */
	struct barrier *barrier;
	const struct identifier *identifier;
	uint8_t digest[CHALLENGE_DIGEST_SIZE];
	struct probe *probe; /* NULL: it waits, or is not probed */
	bool waits;
	struct timer timer; /* for telling that there was no probe */
	void (*done)(void *context, const struct probe_result *result);
	void *context;
};

struct barrier {
	struct loop *loop;
	struct prober *prober;
	struct dns_address address;
	size_t probing;
	TAILQ_HEAD(tickets, barrier_ticket) waiting;
	uint64_t rest_until_ns;
	bool has_warned;
};

/* An address that production may listen on: IPv4 rather than IPv6, loopback if need be. */
static int find_address(struct dns_address *ret_address)
{
	struct dns_address address = {.family = AF_INET, .ipv4.s_addr = htonl(INADDR_LOOPBACK)};
	struct ifaddrs *all, *one;
	bool found = false;

	if (getifaddrs(&all))
		return -errno;
	for (one = all; one; one = one->ifa_next) {
		const struct sockaddr *own = one->ifa_addr;

		if (!own || !(one->ifa_flags & IFF_UP) || (one->ifa_flags & IFF_LOOPBACK))
			continue;
		if (own->sa_family == AF_INET) {
			address.family = AF_INET;
			address.ipv4 = ((const struct sockaddr_in *)own)->sin_addr;
			break;
		}
		if (own->sa_family != AF_INET6 || found ||
		    IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)own)->sin6_addr))
			continue;
		found = true;
		address.family = AF_INET6;
		address.ipv6 = ((const struct sockaddr_in6 *)own)->sin6_addr;
	}
	freeifaddrs(all);
	*ret_address = address;
	return 0;
}

int barrier_new(struct barrier **ret_barrier, struct loop *loop)
{
	struct barrier *barrier = calloc(1, sizeof(*barrier));
	int error;

	if (!barrier)
		return -ENOMEM;
	barrier->loop = loop;
	TAILQ_INIT(&barrier->waiting);
	error = find_address(&barrier->address);
	if (!error)
		error = prober_new(&barrier->prober, loop);
	if (error)
		free(barrier);
	else
		*ret_barrier = barrier;
	return error;
}

void barrier_free(struct barrier *barrier)
{
	if (!barrier)
		return;
	prober_free(barrier->prober);
	free(barrier);
}

/* --- turns ----------------------------------------------------------------------------------- */

static void call_next(struct barrier *barrier);

static void tell(struct barrier_ticket *ticket, const struct probe_result *result)
{
	void (*done)(void *, const struct probe_result *) = ticket->done;
	void *context = ticket->context;

	free(ticket);
	done(context, result);
}

static void tell_nothing(void *context)
{
	tell(context, NULL);
}

static void let_pass(struct barrier_ticket *ticket)
{
	loop_timer_start(ticket->barrier->loop, &ticket->timer, 0, tell_nothing, ticket);
}

static void on_probed(void *context, const struct probe_result *result)
{
	struct barrier_ticket *ticket = context;
	struct barrier *barrier = ticket->barrier;

	barrier->probing--;
	if (result->kind != PROBE_RIGHT) {
		barrier->rest_until_ns = loop_clock_ns() + REST_NS;
		if (!barrier->has_warned)
			output_warning("this host's own port 443 (%s) does not answer for %s as a "
				       "CA wants it: %s; the CA is asked all the same",
				       dns_address_text(&barrier->address).text,
				       ticket->identifier->value, result->text);
		barrier->has_warned = true;
	}
	call_next(barrier);
	tell(ticket, result);
}

static void probe(struct barrier_ticket *ticket)
{
	struct barrier *barrier = ticket->barrier;
	const struct probe_wish wish = {
		.address = &barrier->address,
		.port = PROBE_PORT,
		.identifier = ticket->identifier,
		.digest = ticket->digest,
		.timeout_ms = TIMEOUT_MS,
		.done = on_probed,
		.context = ticket,
	};

	if (loop_clock_ns() >= barrier->rest_until_ns)
		ticket->probe = probe_start(barrier->prober, &wish);
	if (ticket->probe)
		barrier->probing++;
	else
		let_pass(ticket);
}

static void call_next(struct barrier *barrier)
{
	struct barrier_ticket *ticket;

	while (barrier->probing < BARRIER_PROBES_MAX && (ticket = TAILQ_FIRST(&barrier->waiting))) {
		TAILQ_REMOVE(&barrier->waiting, ticket, link);
		ticket->waits = false;
		probe(ticket);
	}
}

struct barrier_ticket *barrier_enter(struct barrier *barrier, const struct identifier *identifier,
				     const uint8_t *digest,
				     void (*done)(void *context, const struct probe_result *result),
				     void *context)
{
	struct barrier_ticket *ticket = calloc(1, sizeof(*ticket));

	if (!ticket)
		return NULL;
	ticket->barrier = barrier;
	ticket->identifier = identifier;
	memcpy(ticket->digest, digest, sizeof(ticket->digest));
	ticket->done = done;
	ticket->context = context;
	ticket->waits = true;
	TAILQ_INSERT_TAIL(&barrier->waiting, ticket, link);
	call_next(barrier);
	return ticket;
}

void barrier_leave(struct barrier_ticket *ticket)
{
	struct barrier *barrier;

	if (!ticket)
		return;
	barrier = ticket->barrier;
	if (ticket->waits)
		TAILQ_REMOVE(&barrier->waiting, ticket, link);
	if (ticket->probe) {
		probe_cancel(ticket->probe);
		barrier->probing--;
	}
	loop_timer_stop(barrier->loop, &ticket->timer);
	free(ticket);
	call_next(barrier);
}

const struct dns_address *barrier_address(const struct barrier *barrier)
{
	return &barrier->address;
}
