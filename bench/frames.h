/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A wire with a host of ours at the far end: a TAP interface, and the frames of a
 * TCP client, made by hand so that each comes exactly when it is wanted.  It needs a
 * network namespace of its own.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_PORT        443
#define WIRE_ADDRESS     0xc0000202u /* 192.0.2.2, the near end's; host order */
#define WIRE_FRAME_MAX   1514
#define WIRE_PAYLOAD_MAX 1428 /* also with IPv6 and timestamps */

/* RFC 9293 section 3.1 */
enum wire_flags { WIRE_FIN = 0x01, WIRE_SYN = 0x02, WIRE_RST = 0x04, WIRE_ACK = 0x10 };

struct wire {
	int fd; /* of the far end */
	unsigned int ifindex; /* of the near end */
	uint8_t address[6]; /* of the near end, link layer */
	uint16_t next_port; /* of the far end's next connection */
};

/* One connection of the far end's client. */
struct wire_connection {
	bool ipv6;
	uint16_t port; /* the client's; host order, as all here */
	uint16_t to_port; /* 0: WIRE_PORT */
	uint32_t client_isn, server_isn;
	uint32_t server_timestamp;
};

struct wire_frame {
	size_t size;
	uint8_t bytes[WIRE_FRAME_MAX];
};

/*
 * Make the interface in the current namespace, up, with WIRE_ADDRESS and without
 * IPv6 or ARP, which would send frames of their own.  Returns 0 or -errno; it is gone when
 * the process ends.
 */
int wire_open(struct wire *ret_wire);

/*
 * The segment of `connection` with these flags and payload, `offset` bytes behind
 * the first; with the options of a Linux client, timestamps among them.
 */
void wire_make_frame(const struct wire *wire, const struct wire_connection *connection,
		     unsigned int flags, uint32_t offset, const void *payload, size_t size,
		     struct wire_frame *ret_frame);

/* Let the frame arrive.  The stack has dealt with it when this returns.  0 or -errno. */
int wire_send(const struct wire *wire, const struct wire_frame *frame);

/* Begin a connection over IPv4: SYN and SYN-ACK.  0, -ETIMEDOUT without an answer, or -errno. */
int wire_connect(struct wire *wire, struct wire_connection *ret_connection);

/* Complete it: the third ACK.  0 or -errno. */
int wire_acknowledge(const struct wire *wire, const struct wire_connection *connection);

/* End it by a RST `offset` bytes behind its first.  0 or -errno. */
int wire_reset(const struct wire *wire, const struct wire_connection *connection, uint32_t offset);

#endif
