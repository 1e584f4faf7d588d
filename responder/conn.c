// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/conn.h"

#include <assert.h>
#include <string.h>

#include "responder/hello_traits.h"

int conn_begin(struct conn *conn, struct tls_context *context, const struct peer *peer)
{
	conn->peer = *peer;
	conn->state = CONN_HANDSHAKE;
	conn->result = CONN_STAT_CLIENT_LEFT;
	conn->input_size = 0;
	conn->hello_size = conn->hello_traits = 0;
	conn->hello_pieces = 0;
	conn->sending = false;
	conn->sent = 0;
	conn->output = (struct tls_output){.bytes = conn->output_bytes,
					   .capacity = sizeof(conn->output_bytes)};
	return tls_begin(&conn->tls, context, &conn->output);
}

void conn_end(struct conn *conn)
{
	tls_end(&conn->tls);
}

bool conn_is_waiting(const struct conn *conn)
{
	return conn->state == CONN_HANDSHAKE && !conn->tls.has_certificate;
}

bool conn_is_done(const struct conn *conn)
{
	/* Only the close_notify is left to send, and the client does not need it. */
	return conn->state == CONN_GOODBYE;
}

static enum conn_stat result_of_failure(const struct conn *conn)
{
	switch (conn->tls.failure) {
	case TLS_NOT_PENDING:
		return CONN_STAT_NOT_PENDING;
	case TLS_NO_ALPN:
		return CONN_STAT_NO_ALPN;
	default:
		return CONN_STAT_HANDSHAKE_FAILED;
	}
}

/* Let the handshake go on; called with no bytes when the output has room again. */
static void shake_hands(struct conn *conn, const uint8_t *bytes, size_t size)
{
	switch (tls_step(&conn->tls, bytes, size)) {
	case TLS_DONE:
		conn->result = CONN_STAT_ANSWERED;
		conn->state = CONN_GOODBYE;
		tls_say_goodbye(&conn->tls);
		break;
	case TLS_WANT_IO:
		break;
	case TLS_FAILED:
		conn->result = result_of_failure(conn);
		conn->state = CONN_FAILING;
		break;
	}
}

/* Look at a piece of the hello before TLS takes it; nothing is to be sent before it is whole. */
static void note_hello(struct conn *conn, const uint8_t *bytes, size_t size)
{
	size_t room = sizeof(conn->output_bytes) - conn->hello_size;

	if (size > room)
		size = room;
	memcpy(conn->output_bytes + conn->hello_size, bytes, size);
	conn->hello_size += (uint16_t)size;
	if (conn->hello_pieces < UINT8_MAX)
		conn->hello_pieces++;
	conn->hello_traits = hello_traits(conn->output_bytes, conn->hello_size);
	conn->tls.server_name_size = hello_server_name_size(conn->output_bytes, conn->hello_size);
}

static void on_received(struct conn *conn, const uint8_t *bytes, size_t size)
{
	conn->input_size += size;
	if (conn->input_size > CONN_INPUT_MAX) {
		if (conn->state == CONN_HANDSHAKE)
			conn->result = CONN_STAT_HANDSHAKE_FAILED;
		conn->state = CONN_CLOSED;
	} else if (conn->state == CONN_HANDSHAKE) {
		if (conn_is_waiting(conn) && !conn->output.end)
			note_hello(conn, bytes, size);
		shake_hands(conn, bytes, size);
	}
	/* After the handshake a validator has nothing to say but goodbye. */
}

static void on_sent(struct conn *conn, size_t size)
{
	assert(conn->sending && size <= conn->output.end - conn->sent);
	conn->sending = false;
	conn->sent += size;
	if (conn->sent < conn->output.end)
		return;
	conn->sent = 0;
	conn->output.end = 0;
	/* A flight longer than the output was cut: the rest of it comes now. */
	if (conn->state == CONN_HANDSHAKE)
		shake_hands(conn, NULL, 0);
}

/* The actions of this state. */
static struct conn_todo next_todo(struct conn *conn)
{
	struct conn_todo todo = {0};

	if (conn->state != CONN_CLOSED && !conn->sending && conn->sent < conn->output.end) {
		conn->sending = true;
		todo.send = conn->output_bytes + conn->sent;
		todo.send_size = conn->output.end - conn->sent;
	} else if (conn->state == CONN_FAILING && !conn->sending) {
		conn->state = CONN_CLOSED;
	}
	todo.close = conn->state == CONN_CLOSED;
	return todo;
}

struct conn_todo conn_step(struct conn *conn, enum conn_event event, const uint8_t *bytes,
			   size_t size)
{
	assert(conn->state != CONN_CLOSED);
	switch (event) {
	case CONN_RECEIVED:
		on_received(conn, bytes, size);
		break;
	case CONN_SENT:
		on_sent(conn, size);
		break;
	case CONN_EXPIRED:
		/* A validator that has its answer may take its time to leave. */
		if (conn->state == CONN_HANDSHAKE)
			conn->result = CONN_STAT_DEADLINE;
		conn->state = CONN_CLOSED;
		break;
	case CONN_CROWDED_OUT:
		if (conn->state == CONN_HANDSHAKE)
			conn->result = CONN_STAT_MADE_ROOM;
		conn->state = CONN_CLOSED;
		break;
	case CONN_EOF:
	case CONN_BROKEN:
		conn->state = CONN_CLOSED;
		break;
	}
	return next_todo(conn);
}
