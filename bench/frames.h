/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A TAP interface with a host of the bench at its far end, and the frames of a
 * TCP client, made by hand so that each comes exactly when it is wanted.  It needs a
 * network namespace of its own.
 */
#ifndef FRAMES_H
#define FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAMES_PORT        443
#define FRAMES_ADDRESS     0xc0000202u /* 192.0.2.2, the near end's; host order */
#define FRAMES_SIZE_MAX    1514
#define FRAMES_PAYLOAD_MAX 1428 /* also with IPv6 and timestamps */

/* RFC 9293 section 3.1 */
enum frames_flags { FRAMES_FIN = 0x01, FRAMES_SYN = 0x02, FRAMES_RST = 0x04, FRAMES_ACK = 0x10 };

struct frames_tap {
	int fd; /* of the far end */
	unsigned int ifindex; /* of the near end */
	uint8_t address[6]; /* of the near end, link layer */
	uint16_t next_port; /* of the far end's next connection */
};

/* One connection of the far end's client. */
struct frames_connection {
	bool ipv6;
	uint16_t port; /* the client's; host order, as all here */
	uint16_t to_port; /* 0: FRAMES_PORT */
	uint32_t client_isn, server_isn;
	uint32_t server_timestamp;
};

struct frame {
	size_t size;
	uint8_t bytes[FRAMES_SIZE_MAX];
};

/*
 * Make the interface in the current namespace, up, with FRAMES_ADDRESS and without
 * IPv6 or ARP, which would send frames of their own.  Returns 0 or -errno; it is gone when
 * the process ends.
 */
int frames_open(struct frames_tap *ret_tap);

/*
 * The segment of `connection` with these flags and payload, `offset` bytes behind
 * the first; with the options of a Linux client, timestamps among them.
 */
void frames_make(const struct frames_tap *tap, const struct frames_connection *connection,
		 unsigned int flags, uint32_t offset, const void *payload, size_t size,
		 struct frame *ret_frame);

/* Let the frame arrive.  The stack has dealt with it when this returns.  0 or -errno. */
int frames_send(const struct frames_tap *tap, const struct frame *frame);

/* Begin a connection over IPv4: SYN and SYN-ACK.  0, -ETIMEDOUT without an answer, or -errno. */
int frames_connect(struct frames_tap *tap, struct frames_connection *ret_connection);

/* Complete it: the third ACK.  0 or -errno. */
int frames_acknowledge(const struct frames_tap *tap, const struct frames_connection *connection);

/* End it by a RST `offset` bytes behind its first.  0 or -errno. */
int frames_reset(const struct frames_tap *tap, const struct frames_connection *connection,
		 uint32_t offset);

#endif
