/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The state machine of one connection: the caller passes events in and gets actions back. It makes
 * no system call, so that tests need no ring. worker.c performs the actions.
 */
#ifndef RESPONDER_CONN_H
#define RESPONDER_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "responder/peer.h"
#include "responder/server.h"
#include "responder/tls.h"

/* The longest life of a connection, from accept to the last byte. */
#define CONN_DEADLINE_MS 10000
/*
 * For so long the kernel waits for a client that acknowledges nothing, also after the close: until then
 * the connection has a place at production's port.
 */
#define CONN_USER_TIMEOUT_MS 30000
/*
 * The most bytes that a client may send, also after the handshake; then the connection is closed.
 * Validators send much less: a ClientHello of 2 KB, and 200 bytes.
 */
#define CONN_INPUT_MAX 32768
/* The longest flight of the responder, ServerHello to Finished, has about 1,200 bytes. */
#define CONN_OUTPUT_SIZE 2048

enum conn_event {
	CONN_RECEIVED, /* bytes arrived */
	CONN_SENT, /* `size` bytes of the output were sent */
	CONN_EOF, /* the client will send no more */
	CONN_BROKEN, /* reset, or any other error of the socket */
	CONN_EXPIRED, /* the deadline has passed */
	CONN_CROWDED_OUT, /* another connection needs its place */
};

enum conn_state {
	CONN_HANDSHAKE,
	CONN_GOODBYE, /* done: sends close_notify, then waits for the client to close */
	CONN_FAILING, /* sends an alert, then closes the connection */
	CONN_CLOSED, /* only the socket remains to be closed */
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

/* The actions that the caller performs now. */
struct conn_todo {
	const uint8_t *send; /* NULL: nothing; else stays valid until CONN_SENT or CONN_BROKEN */
	size_t send_size;
	bool close; /* close the socket, then conn_end() */
};

/* Start a connection in a zeroed slot, or in one after conn_end().  0 or -ENOMEM. */
int conn_begin(struct conn *conn, struct tls_context *context, const struct peer *peer);

/* `bytes` and `size` belong to CONN_RECEIVED; `size` alone to CONN_SENT. */
struct conn_todo conn_step(struct conn *conn, enum conn_event event, const uint8_t *bytes,
			   size_t size);

/* Has it not yet sent an acceptable ClientHello? */
bool conn_is_waiting(const struct conn *conn);

/* Has the client got its answer, so that closing the connection loses nothing? */
bool conn_is_done(const struct conn *conn);

void conn_end(struct conn *conn);

#endif
