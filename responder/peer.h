/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who is at the other end of a connection.  The ring knows it: the kernel tells
 * the address together with each accepted socket, and getpeername(2) that of an
 * adopted one.
 */
#ifndef PEER_H
#define PEER_H

#include <stdint.h>

#include "bpf/steer_abi.h"

struct sockaddr_storage;

struct peer {
	enum steer_family family;
	uint8_t address[16]; /* as on the wire; IPv4 is the first four bytes, the rest 0 */
};

/* From what the kernel gave; another family than IP is 0.0.0.0. */
struct peer peer_from_address(const struct sockaddr_storage *address);

#endif
