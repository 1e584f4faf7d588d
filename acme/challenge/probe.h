/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Validates a name over the network as a CA does: runs common/validator, with a ClientHello like
 * Go's and checks as strict as the strictest CA's, on the agent's event loop.
 */
#ifndef ACME_CHALLENGE_PROBE_H
#define ACME_CHALLENGE_PROBE_H

#include <netinet/in.h>
#include <stdint.h>

struct dns_address;
struct identifier;
struct loop;
struct probe;
struct prober;

#define PROBE_PORT 443 /* RFC 8737 section 3: no other */

enum probe_kind {
	PROBE_RIGHT, /* the responder answered, with the right certificate */
	PROBE_PRODUCTION, /* production answered */
	PROBE_WRONG_CERTIFICATE, /* something answered acme-tls/1, but not with this challenge */
	PROBE_REFUSED, /* nothing listens there */
	PROBE_UNREACHABLE, /* no route */
	PROBE_TIMED_OUT, /* no answer to the SYN */
	PROBE_BROKEN_OFF, /* connected, but the handshake did not end */
	PROBE_LOCAL, /* this host could not open the connection */
	PROBE_KINDS,
};

struct probe_result {
	enum probe_kind kind;
	const char *text; /* a sentence; static storage */
};

/* Create what all probes share.  `loop` must outlive it.  0, -ENOMEM or -ENOTSUP. */
int prober_new(struct prober **ret_prober, struct loop *loop);
/* All probes must have ended or be cancelled. */
void prober_free(struct prober *prober);

struct probe_options {
	const struct dns_address *address;
	uint16_t port;
	const struct identifier *identifier;
	const uint8_t *digest; /* SHA-256 of the key authorization */
	uint32_t timeout_ms; /* for connection and handshake */
	void (*done)(void *context, const struct probe_result *result);
	void *context;
};

/*
 * Start a probe; `options` is copied.  `done` is called once, later, from the loop, unless the
 * probe is cancelled before; the probe is freed then.  NULL: out of memory.
 */
struct probe *probe_start(struct prober *prober, const struct probe_options *options);
void probe_cancel(struct probe *probe);

/* "production" and the like, for JSON; static storage. */
const char *probe_kind_name(enum probe_kind kind);

#endif
