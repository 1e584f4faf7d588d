// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/listening.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "responder/netlink.h"

struct search {
	const uint16_t *ports;
	size_t port_count;
	bool found;
};

static void look_at_socket(void *context, const struct nlmsghdr *message)
{
	const struct inet_diag_msg *socket = NLMSG_DATA(message);
	struct search *search = context;

	if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    message->nlmsg_len < NLMSG_LENGTH(sizeof(*socket)))
		return;
	for (size_t i = 0; i < search->port_count; i++)
		search->found |= ntohs(socket->id.idiag_sport) == search->ports[i];
}

static int search_family(struct search *search, unsigned char family)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 wanted;
	} request = {
		.header = {.nlmsg_len = sizeof(request), .nlmsg_type = SOCK_DIAG_BY_FAMILY},
		.wanted = {.sdiag_family = family,
			   .sdiag_protocol = IPPROTO_TCP,
			   .idiag_states = 1u << TCP_LISTEN},
	};

	return netlink_dump(NETLINK_SOCK_DIAG, &request.header, look_at_socket, search);
}

int listening_at(const uint16_t *ports, size_t port_count)
{
	struct search search = {.ports = ports, .port_count = port_count};
	int err = search_family(&search, AF_INET);

	if (!err)
		err = search_family(&search, AF_INET6);
	return err ? err : search.found;
}
