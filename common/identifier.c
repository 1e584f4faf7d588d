// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/identifier.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DNS_NAME_MAX  253 /* RFC 1035 section 2.3.4, without the trailing dot */
#define DNS_LABEL_MAX 63

/* RFC 8738 section 6: the reverse mapping's name, RFC 1034 section 5.2.1. */
static void make_ipv4(struct identifier *identifier)
{
	const uint8_t *a = identifier->address;

	identifier->type = IDENTIFIER_IPV4;
	snprintf(identifier->value, sizeof(identifier->value), "%u.%u.%u.%u", a[0], a[1], a[2],
		 a[3]);
	snprintf(identifier->sni, sizeof(identifier->sni), "%u.%u.%u.%u.in-addr.arpa", a[3], a[2],
		 a[1], a[0]);
}

/* RFC 8738 section 6: nibbles in reverse, RFC 3596 section 2.5. */
static void make_ipv6(struct identifier *identifier)
{
	static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};
	const uint8_t *a = identifier->address;
	char *sni = identifier->sni;
	int i;

	identifier->type = IDENTIFIER_IPV6;
	inet_ntop(AF_INET6, a, identifier->value, sizeof(identifier->value));
	/* libc writes ::1:2 as ::0.1.0.2; RFC 5952 section 5 keeps dots to known prefixes. */
	if (strchr(identifier->value, '.') && memcmp(a, mapped_prefix, sizeof(mapped_prefix)) != 0)
		snprintf(identifier->value, sizeof(identifier->value), "::%x:%x",
			 a[12] << 8 | a[13], a[14] << 8 | a[15]);
	for (i = 15; i >= 0; i--)
		sni += sprintf(sni, "%x.%x.", a[i] & 0xf, a[i] >> 4);
	strcpy(sni, "ip6.arpa");
}

/* Whether `text` is an IPv6 address, perhaps in brackets as in a URL; fills the address if so. */
static bool parse_ipv6(struct identifier *ret_identifier, const char *text)
{
	char bare[INET6_ADDRSTRLEN];
	size_t length = strlen(text);

	if (text[0] == '[' && text[length - 1] == ']') {
		text++;
		length -= 2;
	}
	if (length >= sizeof(bare))
		return false;
	memcpy(bare, text, length);
	bare[length] = '\0';
	return inet_pton(AF_INET6, bare, ret_identifier->address) == 1;
}

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* RFC 1123 section 2.1: letters, digits and inner hyphens. */
static bool label_is_valid(const char *label, size_t length)
{
	size_t i;

	if (length == 0 || length > DNS_LABEL_MAX)
		return false;
	for (i = 0; i < length; i++)
		if (!is_letter_or_digit(label[i]) && !(label[i] == '-' && i > 0 && i < length - 1))
			return false;
	return true;
}

/* Errors that are easy to recognise, so that their texts can be precise. */
static enum identifier_error check_at_a_glance(const char *text, size_t length)
{
	size_t i;

	if (length == 0)
		return IDENTIFIER_EMPTY;
	for (i = 0; i < length; i++)
		if ((unsigned char)text[i] >= 0x80)
			return IDENTIFIER_NOT_ASCII;
	if (text[0] == '*' && (length == 1 || text[1] == '.'))
		return IDENTIFIER_WILDCARD;
	if (length > DNS_NAME_MAX)
		return IDENTIFIER_TOO_LONG;
	/* 1.2.3, 999.1.1.1, 1.2.3.4.: a mistyped address, not a name. */
	if (strspn(text, "0123456789.") >= length)
		return IDENTIFIER_BAD_LABEL;
	return IDENTIFIER_OK;
}

static enum identifier_error parse_dns(struct identifier *identifier, const char *text)
{
	size_t length = strlen(text), start = 0, labels = 0, i;
	enum identifier_error err;

	if (length && text[length - 1] == '.')
		length--;
	err = check_at_a_glance(text, length);
	if (err)
		return err;
	for (i = 0; i <= length; i++) {
		if (i < length && text[i] != '.')
			continue;
		if (!label_is_valid(text + start, i - start))
			return IDENTIFIER_BAD_LABEL;
		start = i + 1;
		labels++;
	}
	identifier->type = IDENTIFIER_DNS;
	for (i = 0; i < length; i++)
		identifier->value[i] = text[i] >= 'A' && text[i] <= 'Z' ? text[i] | 0x20 : text[i];
	memcpy(identifier->sni, identifier->value, sizeof(identifier->sni));
	return labels == 1 ? IDENTIFIER_SINGLE_LABEL : IDENTIFIER_OK;
}

enum identifier_error identifier_parse(struct identifier *ret_identifier, const char *text)
{
	struct identifier identifier = {0};
	enum identifier_error err = IDENTIFIER_OK;

	if (inet_pton(AF_INET, text, identifier.address) == 1)
		make_ipv4(&identifier);
	else if (text[0] != '\0' && parse_ipv6(&identifier, text))
		make_ipv6(&identifier);
	else
		err = parse_dns(&identifier, text);
	if (err == IDENTIFIER_OK || err == IDENTIFIER_SINGLE_LABEL)
		*ret_identifier = identifier;
	return err;
}

const char *identifier_error_text(enum identifier_error err)
{
	switch (err) {
	case IDENTIFIER_OK:
		return "the name is fine";
	case IDENTIFIER_EMPTY:
		return "the name is empty; give a domain name or an IP address";
	case IDENTIFIER_WILDCARD:
		return "TLS-ALPN-01 cannot validate wildcards; name each host, or use an ACME "
		       "client with dns-01 for this one";
	case IDENTIFIER_NOT_ASCII:
		return "the name is not ASCII; give its A-label (xn--...), for example as `idn2` "
		       "prints it";
	case IDENTIFIER_BAD_LABEL:
		return "this is neither an IP address nor a domain name; between dots belong 1 to "
		       "63 letters, digits and inner hyphens";
	case IDENTIFIER_TOO_LONG:
		return "the name is longer than 253 characters, the most that DNS allows";
	case IDENTIFIER_SINGLE_LABEL:
		return "the name has no dot; no public CA issues for it, a private one may";
	}
	return "unknown error";
}

const char *identifier_acme_type(const struct identifier *identifier)
{
	return identifier->type == IDENTIFIER_DNS ? "dns" : "ip";
}
