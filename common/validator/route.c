// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/validator/route.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A port from 1 to 65535, or 0. */
static uint16_t parse_port(const char *text)
{
	unsigned long port;
	char *end;

	if (*text < '0' || *text > '9')
		return 0;
	errno = 0;
	port = strtoul(text, &end, 10);
	return errno || *end || port > UINT16_MAX ? 0 : (uint16_t)port;
}

static bool set_address(struct endpoint *endpoint, const char *address, uint16_t port)
{
	*endpoint = (struct endpoint){0};
	if (inet_pton(AF_INET, address, &endpoint->ipv4.sin_addr) == 1) {
		endpoint->ipv4.sin_family = AF_INET;
		endpoint->ipv4.sin_port = htons(port);
		endpoint->size = sizeof(endpoint->ipv4);
		return true;
	}
	if (inet_pton(AF_INET6, address, &endpoint->ipv6.sin6_addr) == 1) {
		endpoint->ipv6.sin6_family = AF_INET6;
		endpoint->ipv6.sin6_port = htons(port);
		endpoint->size = sizeof(endpoint->ipv6);
		return true;
	}
	return false;
}

int endpoint_parse(struct endpoint *ret_endpoint, const char *text, uint16_t default_port)
{
	char address[INET6_ADDRSTRLEN];
	const char *end, *colon = strchr(text, ':');
	struct endpoint endpoint;
	uint16_t port = default_port;

	if (*text == '[') {
		text++;
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		if (end[1])
			port = parse_port(end + 2);
		if (end[1] && !port)
			return -EINVAL;
	} else if (colon && !strchr(colon + 1, ':')) {
		end = colon;
		port = parse_port(colon + 1);
		if (!port)
			return -EINVAL;
	} else {
		end = text + strlen(text);
	}
	if ((size_t)(end - text) >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, (size_t)(end - text));
	address[end - text] = '\0';
	if (!set_address(&endpoint, address, port))
		return -EINVAL;
	*ret_endpoint = endpoint;
	return 0;
}

struct endpoint_text endpoint_text(const struct endpoint *endpoint)
{
	struct endpoint_text text;
	char address[INET6_ADDRSTRLEN] = "";

	if (endpoint->any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &endpoint->ipv4.sin_addr, address, sizeof(address));
		snprintf(text.text, sizeof(text.text), "%s:%u", address,
			 ntohs(endpoint->ipv4.sin_port));
	} else {
		inet_ntop(AF_INET6, &endpoint->ipv6.sin6_addr, address, sizeof(address));
		snprintf(text.text, sizeof(text.text), "[%s]:%u", address,
			 ntohs(endpoint->ipv6.sin6_port));
	}
	return text;
}

static bool same_family(const struct endpoint *a, const struct endpoint *b)
{
	return a->any.sa_family == b->any.sa_family;
}

static bool has_family(const struct endpoint *endpoints, size_t count, const struct endpoint *of)
{
	for (size_t i = 0; i < count; i++)
		if (same_family(&endpoints[i], of))
			return true;
	return false;
}

int routes_make(struct route **ret_routes, size_t *ret_count, const struct endpoint *destinations,
		size_t destination_count, const struct endpoint *sources, size_t source_count)
{
	struct route *routes;
	size_t count = 0;

	for (size_t i = 0; i < source_count; i++)
		if (!has_family(destinations, destination_count, &sources[i]))
			return -EAFNOSUPPORT;
	routes = calloc(destination_count * (source_count + 1), sizeof(*routes));
	if (!routes)
		return -ENOMEM;
	for (size_t d = 0; d < destination_count; d++) {
		if (!has_family(sources, source_count, &destinations[d]))
			routes[count++] = (struct route){.destination = destinations[d]};
		for (size_t s = 0; s < source_count; s++)
			if (same_family(&sources[s], &destinations[d]))
				routes[count++] = (struct route){destinations[d], sources[s]};
	}
	*ret_routes = routes;
	*ret_count = count;
	return 0;
}
