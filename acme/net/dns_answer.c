// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/net/dns_answer.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Calls that 1.18 has; newer versions would have others used. */
#define CARES_NO_DEPRECATED
#include <ares.h>

#include "acme/net/caa.h"

/* More than any CA tries, or that anybody has. */
#define RECORDS_MAX 64

static enum dns_status status_of(int ares_status)
{
	switch (ares_status) {
	case ARES_SUCCESS:
		return DNS_FOUND;
	case ARES_ENODATA:
		return DNS_NO_DATA;
	case ARES_ENOTFOUND:
		return DNS_NO_NAME;
	case ARES_ESERVFAIL:
	case ARES_ENOTIMP:
	case ARES_EFORMERR:
		return DNS_FAILED;
	case ARES_EREFUSED:
		return DNS_REFUSED;
	case ARES_ETIMEOUT:
		return DNS_TIMED_OUT;
	case ARES_ECONNREFUSED:
	case ARES_EFILE:
		return DNS_NO_RESOLVER;
	case ARES_ENOMEM:
		return DNS_NO_MEMORY;
	default:
		return DNS_BAD_ANSWER;
	}
}

static int read_ipv4(struct dns_answer *answer, const uint8_t *message, int size)
{
	struct ares_addrttl found[RECORDS_MAX];
	int count = RECORDS_MAX, status, i;

	status = ares_parse_a_reply(message, size, NULL, found, &count);
	if (status)
		return status;
	for (i = 0; i < count; i++)
		answer->addresses[answer->count++] =
			(struct dns_address){.family = AF_INET, .ipv4 = found[i].ipaddr};
	return 0;
}

static int read_ipv6(struct dns_answer *answer, const uint8_t *message, int size)
{
	struct ares_addr6ttl found[RECORDS_MAX];
	int count = RECORDS_MAX, status, i;

	status = ares_parse_aaaa_reply(message, size, NULL, found, &count);
	if (status)
		return status;
	for (i = 0; i < count; i++) {
		struct dns_address *address = &answer->addresses[answer->count++];

		address->family = AF_INET6;
		memcpy(&address->ipv6, &found[i].ip6addr, sizeof(address->ipv6));
	}
	return 0;
}

static int read_addresses(struct dns_answer *answer, const uint8_t *message, int size)
{
	answer->addresses = calloc(RECORDS_MAX, sizeof(*answer->addresses));
	if (!answer->addresses)
		return ARES_ENOMEM;
	return answer->type == DNS_A ? read_ipv4(answer, message, size)
				     : read_ipv6(answer, message, size);
}

static bool copy_bytes(char **ret_copy, const void *bytes, size_t size)
{
	char *copy = malloc(size + 1);

	if (!copy)
		return false;
	memcpy(copy, bytes, size);
	copy[size] = '\0';
	*ret_copy = copy;
	return true;
}

/* All of them: one that is left out could be the one that forbids. */
static int copy_caa(struct dns_answer *answer, const struct ares_caa_reply *first)
{
	const struct ares_caa_reply *reply;
	struct caa_record *record;
	size_t count = 0;

	for (reply = first; reply; reply = reply->next)
		count++;
	answer->caa = calloc(count ? count : 1, sizeof(*answer->caa));
	if (!answer->caa)
		return ARES_ENOMEM;
	for (reply = first; reply; reply = reply->next) {
		record = &answer->caa[answer->count++];
		record->flags = (uint8_t)reply->critical;
		record->value_size = reply->length;
		if (!copy_bytes(&record->tag, reply->property, reply->plength) ||
		    !copy_bytes(&record->value, reply->value, reply->length))
			return ARES_ENOMEM;
	}
	return 0;
}

static int read_caa(struct dns_answer *answer, const uint8_t *message, int size)
{
	struct ares_caa_reply *first;
	int status = ares_parse_caa_reply(message, size, &first);

	if (status)
		return status;
	status = copy_caa(answer, first);
	ares_free_data(first);
	return status;
}

void dns_answer_read(struct dns_answer *ret_answer, enum dns_type type, int ares_status,
		     const uint8_t *message, int size)
{
	struct dns_answer answer = {.type = type};

	if (ares_status == ARES_SUCCESS)
		ares_status = type == DNS_CAA ? read_caa(&answer, message, size)
					      : read_addresses(&answer, message, size);
	/* Records of other types only, such as a CNAME that leads to nothing. */
	if (ares_status == ARES_SUCCESS && !answer.count)
		ares_status = ARES_ENODATA;
	answer.status = status_of(ares_status);
	if (answer.status != DNS_FOUND)
		dns_answer_done(&answer);
	*ret_answer = answer;
}

/* Status and type stay. */
void dns_answer_done(struct dns_answer *answer)
{
	for (size_t i = 0; answer->caa && i < answer->count; i++) {
		free(answer->caa[i].tag);
		free(answer->caa[i].value);
	}
	free(answer->caa);
	free(answer->addresses);
	answer->caa = NULL;
	answer->addresses = NULL;
	answer->count = 0;
}

static const struct {
	const char *name, *text;
} statuses[DNS_STATUSES] = {
	[DNS_FOUND] = {"found", "found"},
	[DNS_NO_DATA] = {"no_data", "the name has no such record"},
	[DNS_NO_NAME] = {"no_name", "the name does not exist in the DNS (NXDOMAIN)"},
	[DNS_FAILED] = {"failed", "the domain's name servers fail to answer, or DNSSEC does not "
				  "let the resolver trust them (SERVFAIL)"},
	[DNS_REFUSED] = {"refused", "the resolver refuses this host's query"},
	[DNS_TIMED_OUT] = {"timed_out", "no answer from the resolver in time"},
	[DNS_NO_RESOLVER] = {"no_resolver", "no resolver can be reached"},
	[DNS_BAD_ANSWER] = {"bad_answer", "the resolver's answer cannot be read"},
	[DNS_NO_MEMORY] = {"no_memory", "out of memory"},
};

const char *dns_status_name(enum dns_status status)
{
	return statuses[status].name;
}

const char *dns_status_text(enum dns_status status)
{
	return statuses[status].text;
}

struct dns_address_text dns_address_text(const struct dns_address *address)
{
	struct dns_address_text text;

	inet_ntop(address->family, &address->ipv4, text.text, sizeof(text.text));
	return text;
}
