// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/peer.h"

#include <netinet/in.h>
#include <string.h>

struct peer peer_from_address(const struct sockaddr_storage *address)
{
	struct peer peer = {.family = STEER_V4};

	if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

		peer.family = STEER_V6;
		memcpy(peer.address, &v6->sin6_addr, sizeof(v6->sin6_addr));
	} else if (address->ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;

		memcpy(peer.address, &v4->sin_addr, sizeof(v4->sin_addr));
	}
	return peer;
}
