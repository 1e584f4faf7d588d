/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a resolver's answer comes to, and its records; read by c-ares.  Pure. */
#ifndef ACME_NET_DNS_ANSWER_H
#define ACME_NET_DNS_ANSWER_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

struct caa_record;

enum dns_type { DNS_A, DNS_AAAA, DNS_CAA };

enum dns_status {
	DNS_FOUND, /* records, at least one */
	DNS_NO_DATA, /* the name exists, but has no record of the type */
	DNS_NO_NAME, /* NXDOMAIN: the name does not exist */
	DNS_FAILED, /* SERVFAIL: the resolver got no answer, or none that DNSSEC lets it trust */
	DNS_REFUSED, /* the resolver does not want to answer us */
	DNS_TIMED_OUT, /* no answer from the resolver */
	DNS_NO_RESOLVER, /* none can be reached, or none is configured */
	DNS_BAD_ANSWER, /* the answer cannot be read */
	DNS_NO_MEMORY,
	DNS_STATUSES,
};

struct dns_address {
	int family; /* AF_INET or AF_INET6 */
	union {
		struct in_addr ipv4;
		struct in6_addr ipv6;
	};
};

struct dns_answer {
	enum dns_type type;
	enum dns_status status;
	size_t count; /* of whichever there is; 0 unless FOUND */
	struct dns_address *addresses;
	struct caa_record *caa;
};

/*
 * Read the answer to a question of `type`: c-ares' status of the query and the
 * message, if there is one.  What came behind a CNAME counts.  dns_answer_done() frees.
 */
void dns_answer_read(struct dns_answer *ret_answer, enum dns_type type, int ares_status,
		     const uint8_t *message, int size);
void dns_answer_done(struct dns_answer *answer);

/* A word for JSON ("no_name"), and what it means, for the user; static storage. */
const char *dns_status_name(enum dns_status status);
const char *dns_status_text(enum dns_status status);

struct dns_address_text {
	char text[INET6_ADDRSTRLEN];
};
struct dns_address_text dns_address_text(const struct dns_address *address);

#endif
