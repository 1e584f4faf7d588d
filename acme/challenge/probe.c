// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/challenge/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "acme/net/dns_answer.h"
#include "acme/net/loop.h"
#include "common/validator/hello.h"
#include "common/validator/outcome.h"
#include "common/validator/route.h"
#include "common/validator/validator.h"

struct prober {
	struct loop *loop;
	struct hello hello;
};

struct probe {
	struct prober *prober;
	struct validator validator;
	struct watch watch;
	struct timer timer; /* first for the deadline, then for the report from the loop */
	enum outcome outcome;
	void (*done)(void *context, const struct probe_result *result);
	void *context;
};

static enum probe_kind kind_of(enum outcome outcome)
{
	switch ((unsigned int)outcome) {
	case OUTCOME_OK:
		return PROBE_RIGHT;
	case OUTCOME_NO_ALPN:
	case OUTCOME_ALERT + SSL_AD_NO_APPLICATION_PROTOCOL:
	case OUTCOME_ALERT + SSL_AD_UNRECOGNIZED_NAME:
	case OUTCOME_CERTIFICATE + VERIFY_ACME_MISSING:
		return PROBE_PRODUCTION;
	case OUTCOME_NO_CERTIFICATE:
	case OUTCOME_CHAIN:
		return PROBE_WRONG_CERTIFICATE;
	case OUTCOME_REFUSED:
		return PROBE_REFUSED;
	case OUTCOME_UNREACHABLE:
		return PROBE_UNREACHABLE;
	case OUTCOME_CONNECT_TIMEOUT:
		return PROBE_TIMED_OUT;
	case OUTCOME_NO_LOCAL_PORT:
	case OUTCOME_NO_DESCRIPTOR:
	case OUTCOME_NO_SOURCE:
	case OUTCOME_LOCAL:
		return PROBE_LOCAL;
	default:
		return outcome >= OUTCOME_CERTIFICATE ? PROBE_WRONG_CERTIFICATE : PROBE_BROKEN_OFF;
	}
}

/* Replace the texts that name options of sidestep-bench. */
static const char *text_of(enum probe_kind kind, enum outcome outcome)
{
	if (kind == PROBE_PRODUCTION)
		return "production answered, not the responder";
	if (kind == PROBE_LOCAL)
		return "this host could not open the connection";
	return outcome_text(outcome);
}

static void probe_stop(struct probe *probe)
{
	struct loop *loop = probe->prober->loop;

	loop_watch_stop(loop, &probe->watch);
	loop_timer_stop(loop, &probe->timer);
	validator_end(&probe->validator, false);
}

static void probe_report(void *context)
{
	struct probe *probe = context;
	enum probe_kind kind = kind_of(probe->outcome);
	const struct probe_result result = {kind, text_of(kind, probe->outcome)};
	void (*done)(void *, const struct probe_result *) = probe->done;
	void *its_context = probe->context;

	probe_stop(probe);
	free(probe);
	done(its_context, &result);
}

static void on_probe_ready(void *context, uint32_t events)
{
	struct probe *probe = context;

	if (validator_proceed(&probe->validator, events & ~(uint32_t)EPOLLOUT, &probe->outcome) ==
	    VALIDATOR_ENDED)
		probe_report(probe);
}

static void on_probe_deadline(void *context)
{
	struct probe *probe = context;

	probe->outcome = validator_timeout(&probe->validator);
	probe_report(probe);
}

static struct route route_to(const struct dns_address *address, uint16_t port)
{
	struct route route = {0};

	if (address->family == AF_INET) {
		route.destination.ipv4 = (struct sockaddr_in){
			.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = address->ipv4};
		route.destination.size = sizeof(route.destination.ipv4);
	} else {
		route.destination.ipv6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
							       .sin6_port = htons(port),
							       .sin6_addr = address->ipv6};
		route.destination.size = sizeof(route.destination.ipv6);
	}
	return route;
}

struct probe *probe_start(struct prober *prober, const struct probe_options *options)
{
	const struct route route = route_to(options->address, options->port);
	struct probe *probe = calloc(1, sizeof(*probe));
	bool goes_on;

	if (!probe)
		return NULL;
	probe->prober = prober;
	probe->done = options->done;
	probe->context = options->context;
	probe->validator.subject.identifier = *options->identifier;
	memcpy(probe->validator.subject.digest, options->digest, VERIFY_DIGEST_SIZE);
	probe->validator.subject.has_digest = true;
	goes_on = validator_begin(&probe->validator, &route, &prober->hello, 0, &probe->outcome) ==
		  VALIDATOR_GOES_ON;
	if (goes_on &&
	    loop_watch_start(prober->loop, &probe->watch, probe->validator.fd,
			     EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_probe_ready, probe)) {
		probe->outcome = OUTCOME_LOCAL;
		goes_on = false;
	}
	if (goes_on)
		loop_timer_start(prober->loop, &probe->timer, options->timeout_ms,
				 on_probe_deadline, probe);
	else
		loop_timer_start(prober->loop, &probe->timer, 0, probe_report, probe);
	return probe;
}

void probe_cancel(struct probe *probe)
{
	if (!probe)
		return;
	probe_stop(probe);
	free(probe);
}

int prober_new(struct prober **ret_prober, struct loop *loop)
{
	struct prober *prober = calloc(1, sizeof(*prober));
	int err;

	if (!prober)
		return -ENOMEM;
	prober->loop = loop;
	err = hello_init(&prober->hello, HELLO_GO, HELLO_TLS_ANY);
	if (err)
		free(prober);
	else
		*ret_prober = prober;
	return err;
}

void prober_free(struct prober *prober)
{
	if (!prober)
		return;
	hello_done(&prober->hello);
	free(prober);
}
