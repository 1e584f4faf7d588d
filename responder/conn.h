/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One connection's life, as decisions: events go in, what is to be done comes
 * out.  It makes no system call, so that it can be tested without a ring;
 * server.c acts.
 */
#ifndef CONN_H
#define CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "responder/peer.h"
#include "responder/server.h"
#include "responder/tls.h"

/* From accept to the last byte, whatever the client does. */
#define CONN_DEADLINE_MS 10000
/*
 * Received in all, also after the handshake: whoever sends more is cut off.  No
 * validator comes near: a ClientHello is 2 KB, the rest 200 bytes.
 */
#define CONN_INPUT_MAX 32768
/* Our longest flight, ServerHello to Finished, is about 1,200 bytes. */
#define CONN_OUTPUT_SIZE 2048

enum conn_event {
	CONN_RECEIVED, /* bytes came */
	CONN_SENT, /* so many bytes of the output have gone */
	CONN_EOF, /* the client will send no more */
	CONN_BROKEN, /* reset, or any other error of the socket */
	CONN_EXPIRED, /* the deadline has passed */
	CONN_CROWDED_OUT, /* others need its place more */
};

enum conn_state {
	CONN_HANDSHAKE,
	CONN_GOODBYE, /* done: our close_notify goes out, then the client's end is awaited */
	CONN_FAILING, /* an alert goes out, then the connection is closed */
	CONN_CLOSED, /* nothing is left to do but to close the socket */
};

struct conn {
	enum conn_state state;
	struct peer peer;
	enum conn_stat result; /* valid from CONN_GOODBYE or CONN_CLOSED on */
	struct tls tls;
	size_t input_size; /* received so far */
	/* Of the ClientHello, for evidence; its bytes are kept in output_bytes until it is whole. */
	uint16_t hello_size, hello_traits;
	uint8_t hello_pieces;
	bool sending; /* a send is under way; its bytes must not move */
	size_t sent; /* of output */
	struct tls_output output;
	uint8_t output_bytes[CONN_OUTPUT_SIZE];
};

/* What the caller is to do now. */
struct conn_todo {
	const uint8_t *send; /* NULL: nothing; else stays valid until CONN_SENT or CONN_BROKEN */
	size_t send_size;
	bool close; /* close the socket, then conn_end() */
};

/* Begin a life in a slot that conn_end() has left, or a zeroed one.  0 or -ENOMEM. */
int conn_begin(struct conn *conn, struct tls_context *context, const struct peer *peer);

/* `bytes` and `size` belong to CONN_RECEIVED; `size` alone to CONN_SENT. */
struct conn_todo conn_step(struct conn *conn, enum conn_event event, const uint8_t *bytes,
			   size_t size);

/* Has it yet to send a ClientHello that is worth an answer? */
bool conn_is_waiting(const struct conn *conn);

/* Has it got what it came for, so that nothing is lost when it is closed? */
bool conn_is_done(const struct conn *conn);

void conn_end(struct conn *conn);

#endif
