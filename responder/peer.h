/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The address at the other end of a connection. The ring provides it: the kernel reports it with
 * each accepted socket, and getpeername(2) for an adopted one.
 */
#ifndef RESPONDER_PEER_H
#define RESPONDER_PEER_H

#include <stdint.h>

#include "bpf/steer_abi.h"

struct sockaddr_storage;

struct peer {
	enum steer_family family;
	uint8_t address[16]; /* as on the wire; IPv4 is the first four bytes, the rest 0 */
};

/* Convert the address from the kernel. A family other than IP becomes 0.0.0.0. */
struct peer peer_from_address(const struct sockaddr_storage *address);

#endif
