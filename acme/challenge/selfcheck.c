// SPDX-License-Identifier: GPL-3.0-or-later
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
#include "common/clock.h"
#include "common/identifier.h"

/* An answer on the same host takes a millisecond. */
#define TIMEOUT_MS 1000

struct selfcheck_run {
	TAILQ_ENTRY(selfcheck_run) link; /* in `waiting` */
	struct selfcheck *selfcheck;
	const struct identifier *identifier;
	uint8_t digest[CHALLENGE_DIGEST_SIZE];
	struct probe *probe; /* NULL: it waits, or passes without */
	bool waits;
	struct timer timer; /* reports, later, that there was no probe */
	void (*done)(void *context, const struct probe_result *result);
	void *context;
};

struct selfcheck {
	struct loop *loop;
	struct prober *prober;
	struct dns_address address;
	size_t probing;
	TAILQ_HEAD(runs, selfcheck_run) waiting;
	/* CLOCK_MONOTONIC; 0: never */
	uint64_t trusted_until_ns; /* a probe has found the responder */
	uint64_t rest_until_ns; /* a probe has not */
	uint64_t doubted_until_ns; /* the CA could not validate a name */
	bool has_warned;
};

/* Choose an address to probe: IPv4 before IPv6, loopback when there is no other. */
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

int selfcheck_new(struct selfcheck **ret_selfcheck, struct loop *loop)
{
	struct selfcheck *selfcheck = calloc(1, sizeof(*selfcheck));
	int err;

	if (!selfcheck)
		return -ENOMEM;
	selfcheck->loop = loop;
	TAILQ_INIT(&selfcheck->waiting);
	err = find_address(&selfcheck->address);
	if (!err)
		err = prober_new(&selfcheck->prober, loop);
	if (err)
		free(selfcheck);
	else
		*ret_selfcheck = selfcheck;
	return err;
}

void selfcheck_free(struct selfcheck *selfcheck)
{
	if (!selfcheck)
		return;
	prober_free(selfcheck->prober);
	free(selfcheck);
}

/* --- running a few probes at a time ---------------------------------------------------------- */

static void call_next(struct selfcheck *selfcheck);

static void run_report(struct selfcheck_run *run, const struct probe_result *result)
{
	void (*done)(void *, const struct probe_result *) = run->done;
	void *context = run->context;

	free(run);
	done(context, result);
}

static void tell_nothing(void *context)
{
	run_report(context, NULL);
}

static void let_pass(struct selfcheck_run *run)
{
	loop_timer_start(run->selfcheck->loop, &run->timer, 0, tell_nothing, run);
}

/* Whether a name needs no probe of its own now. */
static bool is_passing(const struct selfcheck *selfcheck, uint64_t now_ns)
{
	return now_ns < selfcheck->rest_until_ns ||
	       (now_ns < selfcheck->trusted_until_ns && now_ns >= selfcheck->doubted_until_ns);
}

static void note_probe(struct selfcheck *selfcheck, const struct selfcheck_run *run,
		       const struct probe_result *result)
{
	const uint64_t now_ns = clock_monotonic_ns();

	if (result->kind == PROBE_RIGHT) {
		selfcheck->trusted_until_ns = now_ns + SELFCHECK_TRUST_S * CLOCK_NS_PER_S;
		return;
	}
	selfcheck->trusted_until_ns = 0;
	selfcheck->rest_until_ns = now_ns + SELFCHECK_REST_S * CLOCK_NS_PER_S;
	if (!selfcheck->has_warned)
		output_warning("the self-check of this host's port 443 (%s) for %s found: "
			       "%s; asking the CA all the same",
			       dns_address_text(&selfcheck->address).text, run->identifier->value,
			       result->text);
	selfcheck->has_warned = true;
}

static void on_selfcheck_probed(void *context, const struct probe_result *result)
{
	struct selfcheck_run *run = context;
	struct selfcheck *selfcheck = run->selfcheck;

	selfcheck->probing--;
	note_probe(selfcheck, run, result);
	call_next(selfcheck);
	run_report(run, result);
}

static void run_probe(struct selfcheck_run *run)
{
	struct selfcheck *selfcheck = run->selfcheck;
	const struct probe_options options = {
		.address = &selfcheck->address,
		.port = PROBE_PORT,
		.identifier = run->identifier,
		.digest = run->digest,
		.timeout_ms = TIMEOUT_MS,
		.done = on_selfcheck_probed,
		.context = run,
	};

	run->probe = probe_start(selfcheck->prober, &options);
	if (run->probe)
		selfcheck->probing++;
	else
		let_pass(run);
}

/* One probe serves all that wait, unless each name is to have its own. */
static void call_next(struct selfcheck *selfcheck)
{
	const uint64_t now_ns = clock_monotonic_ns();
	const bool is_passed = is_passing(selfcheck, now_ns);
	const size_t most = now_ns < selfcheck->doubted_until_ns ? SELFCHECK_PROBES_MAX : 1;
	struct selfcheck_run *run;

	while ((is_passed || selfcheck->probing < most) &&
	       (run = TAILQ_FIRST(&selfcheck->waiting))) {
		TAILQ_REMOVE(&selfcheck->waiting, run, link);
		run->waits = false;
		if (is_passed)
			let_pass(run);
		else
			run_probe(run);
	}
}

struct selfcheck_run *
selfcheck_start(struct selfcheck *selfcheck, const struct identifier *identifier,
		const uint8_t *digest,
		void (*done)(void *context, const struct probe_result *result), void *context)
{
	struct selfcheck_run *run;

	if (is_passing(selfcheck, clock_monotonic_ns()))
		return NULL;
	run = calloc(1, sizeof(*run));
	if (!run)
		return NULL;
	run->selfcheck = selfcheck;
	run->identifier = identifier;
	memcpy(run->digest, digest, sizeof(run->digest));
	run->done = done;
	run->context = context;
	run->waits = true;
	TAILQ_INSERT_TAIL(&selfcheck->waiting, run, link);
	call_next(selfcheck);
	return run;
}

void selfcheck_note_failure(struct selfcheck *selfcheck)
{
	if (!selfcheck)
		return;
	selfcheck->doubted_until_ns = clock_monotonic_ns() + SELFCHECK_REST_S * CLOCK_NS_PER_S;
	call_next(selfcheck);
}

void selfcheck_cancel(struct selfcheck_run *run)
{
	struct selfcheck *selfcheck;

	if (!run)
		return;
	selfcheck = run->selfcheck;
	if (run->waits)
		TAILQ_REMOVE(&selfcheck->waiting, run, link);
	if (run->probe) {
		probe_cancel(run->probe);
		selfcheck->probing--;
	}
	loop_timer_stop(selfcheck->loop, &run->timer);
	free(run);
	call_next(selfcheck);
}

const struct dns_address *selfcheck_address(const struct selfcheck *selfcheck)
{
	return &selfcheck->address;
}
