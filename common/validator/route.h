/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where connections go to and come from: each address that the user named, from each
 * source address of its family.  A source plays a CA's perspective.
 */
#ifndef BENCH_ROUTE_H
#define BENCH_ROUTE_H

#include <arpa/inet.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* An address with a port, of either family. */
struct endpoint {
	union {
		struct sockaddr any;
		struct sockaddr_in ipv4;
		struct sockaddr_in6 ipv6;
	};
	socklen_t size; /* 0: none */
};

struct route {
	struct endpoint destination, source; /* a source may be none: the kernel's choice */
};

/*
 * ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT; numeric only, so that nothing but the user
 * says where a load goes.  0 or -EINVAL.
 */
int endpoint_parse(struct endpoint *ret_endpoint, const char *text, uint16_t default_port);

struct endpoint_text {
	char text[INET6_ADDRSTRLEN + sizeof("[]:65535")];
};
struct endpoint_text endpoint_text(const struct endpoint *endpoint);

/*
 * Every destination with every source of its family, or with none where none is given.
 * 0, -ENOMEM, or -EAFNOSUPPORT when a source fits no destination.  The caller frees.
 */
int routes_make(struct route **ret_routes, size_t *ret_count, const struct endpoint *destinations,
		size_t destination_count, const struct endpoint *sources, size_t source_count);

#endif
