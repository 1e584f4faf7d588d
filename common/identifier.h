/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An ACME identifier: a domain name (RFC 8555 section 9.7.7) or an IP address (RFC 8738), and the
 * TLS server name that a validator sends for it.
 */
#ifndef IDENTIFIER_H
#define IDENTIFIER_H

#include <stdint.h>

enum identifier_type { IDENTIFIER_DNS, IDENTIFIER_IPV4, IDENTIFIER_IPV6 };

struct identifier {
	enum identifier_type type;
	uint8_t address[16]; /* network order; 4 or 16 bytes used, by type */
	char value[254]; /* as ACME spells it: lower case, no trailing dot; IPv6 as RFC 5952 */
	char sni[254]; /* the server name of RFC 8738 section 6: value, or in-addr.arpa / ip6.arpa */
};

enum identifier_error {
	IDENTIFIER_OK,
	IDENTIFIER_EMPTY,
	IDENTIFIER_WILDCARD, /* TLS-ALPN-01 cannot validate it: dns-01 can */
	IDENTIFIER_NOT_ASCII, /* give the A-label (xn--...) */
	IDENTIFIER_BAD_LABEL, /* not letters, digits and hyphens; or empty, or over 63 */
	IDENTIFIER_TOO_LONG, /* over 253 */
	IDENTIFIER_SINGLE_LABEL, /* no dot: no public CA issues for it; private ones do */
};

/*
 * Parse the spelling of a user or a CA. Fills *ret_identifier on OK and on SINGLE_LABEL, which is a
 * warning; leaves it untouched otherwise.
 */
enum identifier_error identifier_parse(struct identifier *ret_identifier, const char *text);

/* What is wrong and what to do about it, for the user; static storage. */
const char *identifier_error_text(enum identifier_error err);

/* "dns" or "ip": the type as ACME spells it. */
const char *identifier_acme_type(const struct identifier *identifier);

#endif
