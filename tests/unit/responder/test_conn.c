// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>
#include <string.h>

#include <wolfssl/ssl.h>

#include "responder/conn.h"
#include "tests/unit/fixture.h"
#include "tests/unit/responder/tls_client.h"

#define NAME  "pending.example.com"
#define ACME  "acme-tls/1"
#define SLOTS 4

/* With a key share that is taken at once: two flights from the client, one from us. */
static const struct tls_client_options validator = {
	.server_name = NAME, .protocols = ACME, .group = WOLFSSL_ECC_X25519};

static struct fixture fixture;
static struct challenge_table *reader;
static struct tls_context *context;
static const struct peer peer = {STEER_V4, {192, 0, 2, 1}};

/* One connection, and the client at its other end. */
static struct conn conn;
static struct tls_client client;
static uint8_t words[TLS_CLIENT_BUFFER_SIZE];

static int setup(void **state)
{
	static const uint8_t digest[CHALLENGE_DIGEST_SIZE] = {7};
	struct identifier identifier;

	(void)state;
	fixture_init(&fixture, SLOTS);
	fixture_make_table(&fixture, SLOTS);
	assert_int_equal(identifier_parse(&identifier, NAME), IDENTIFIER_OK);
	assert_int_equal(challenge_table_publish(fixture.writer, &identifier, digest, 600), 0);
	assert_int_equal(challenge_table_open(&reader, &fixture.paths, CHALLENGE_TABLE_READ), 0);
	assert_int_equal(tls_context_new(reader, &context), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tls_context_free(context);
	challenge_table_free(reader);
	fixture_done(&fixture);
	return 0;
}

static void begin(const struct tls_client_options *options)
{
	assert_int_equal(conn_begin(&conn, context, &peer), 0);
	tls_client_init(&client, options);
}

/* The connection must have ended, and so. */
static void end(struct conn_todo todo, enum conn_stat result)
{
	assert_true(todo.close);
	assert_null(todo.send);
	assert_int_equal(conn.state, CONN_CLOSED);
	assert_int_equal(conn.result, result);
	conn_end(&conn);
	tls_client_done(&client);
}

static void assert_waits(struct conn_todo todo)
{
	assert_null(todo.send);
	assert_false(todo.close);
}

/* What the client has to say arrives. */
static struct conn_todo hear_client(void)
{
	size_t size = client.output_size;

	assert_true(size > 0);
	memcpy(words, client.output, size);
	client.output_size = 0;
	return conn_step(&conn, CONN_RECEIVED, words, size);
}

/* `todo` must be to send: the first `size` bytes of that go, and reach the client. */
static struct conn_todo send_some(struct conn_todo todo, size_t size)
{
	assert_non_null(todo.send);
	assert_true(size <= todo.send_size);
	tls_client_step(&client, todo.send, size);
	return conn_step(&conn, CONN_SENT, NULL, size);
}

static struct conn_todo send_all(struct conn_todo todo)
{
	return send_some(todo, todo.send_size);
}

/* Up to the moment in which our goodbye has gone. */
static void complete_handshake(const struct tls_client_options *options)
{
	struct conn_todo todo;

	begin(options);
	todo = send_all(hear_client());
	assert_waits(todo);
	todo = hear_client();
	assert_int_equal(conn.state, CONN_GOODBYE);
	assert_waits(send_all(todo));
	assert_true(client.done);
	assert_true(client.said_goodbye);
}

/* --- the way of a validator ------------------------------------------------------- */

static void test_answers_and_says_goodbye(void **state)
{
	const struct tls_client_options tls12 = {
		.server_name = NAME, .protocols = ACME, .tls12 = true};

	(void)state;
	complete_handshake(&validator);
	end(conn_step(&conn, CONN_EOF, NULL, 0), CONN_STAT_ANSWERED);
	complete_handshake(&tls12);
	end(conn_step(&conn, CONN_EOF, NULL, 0), CONN_STAT_ANSWERED);
}

/* Row W9.  What stands before the NUL is pending; the name as a whole is none. */
static void test_a_name_with_a_nul_is_none(void **state)
{
	static const char asked[] = NAME "X.example.com";
	const struct tls_client_options options = {.server_name = asked, .protocols = ACME};
	uint8_t *name;

	(void)state;
	begin(&options);
	name = memmem(client.output, client.output_size, asked, strlen(asked));
	assert_non_null(name);
	name[strlen(NAME)] = 0;
	end(send_all(hear_client()), CONN_STAT_NOT_PENDING);
}

/* However it leaves then: it has had its answer. */
static void test_the_answer_counts_however_the_client_leaves(void **state)
{
	(void)state;
	complete_handshake(&validator);
	end(conn_step(&conn, CONN_BROKEN, NULL, 0), CONN_STAT_ANSWERED);
	complete_handshake(&validator);
	end(conn_step(&conn, CONN_EXPIRED, NULL, 0), CONN_STAT_ANSWERED);
	/* Without waiting for our goodbye. */
	begin(&validator);
	assert_waits(send_all(hear_client()));
	assert_non_null(hear_client().send);
	end(conn_step(&conn, CONN_BROKEN, NULL, 0), CONN_STAT_ANSWERED);
}

static void test_goes_on_after_a_short_send(void **state)
{
	struct conn_todo todo;

	(void)state;
	begin(&validator);
	todo = hear_client();
	while (todo.send_size > 1) {
		size_t left = todo.send_size - 1;

		todo = send_some(todo, 1);
		assert_int_equal(todo.send_size, left);
	}
	assert_waits(send_all(todo));
	assert_non_null(hear_client().send);
	end(conn_step(&conn, CONN_EOF, NULL, 0), CONN_STAT_ANSWERED);
}

/* The bytes of a send that is under way stay where they are; more output waits behind them. */
static void test_sends_one_thing_at_a_time(void **state)
{
	struct conn_todo first, todo;
	size_t half;

	(void)state;
	begin(&validator);
	first = hear_client();
	half = first.send_size / 2;
	/* All of it is with the client, and only half of that is known here. */
	tls_client_step(&client, first.send, first.send_size);
	assert_waits(hear_client());
	assert_int_equal(conn.state, CONN_GOODBYE);
	todo = conn_step(&conn, CONN_SENT, NULL, half);
	assert_ptr_equal(todo.send, first.send + half);
	/* The rest of the flight, and the goodbye behind it. */
	assert_true(todo.send_size > first.send_size - half);
	tls_client_step(&client, first.send + first.send_size,
			todo.send_size - (first.send_size - half));
	assert_true(client.said_goodbye);
	assert_waits(conn_step(&conn, CONN_SENT, NULL, todo.send_size));
	end(conn_step(&conn, CONN_EOF, NULL, 0), CONN_STAT_ANSWERED);
}

/* --- the others --------------------------------------------------------------------- */

/* The alert goes out, and then the connection closes, whether or not the client does. */
static void check_refused(const struct tls_client_options *options, enum conn_stat result)
{
	struct conn_todo todo;

	begin(options);
	todo = hear_client();
	assert_int_equal(conn.state, CONN_FAILING);
	assert_false(todo.close);
	end(send_all(todo), result);
}

static void test_refuses_with_an_alert(void **state)
{
	const struct tls_client_options other_name = {.server_name = "x.example.com",
						      .protocols = ACME};
	const struct tls_client_options other_protocol = {.server_name = NAME, .protocols = "h2"};

	(void)state;
	check_refused(&other_name, CONN_STAT_NOT_PENDING);
	check_refused(&other_protocol, CONN_STAT_NO_ALPN);
}

static void test_closes_on_what_is_not_tls(void **state)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: " NAME "\r\n\r\n";
	struct conn_todo todo;

	(void)state;
	begin(&validator);
	todo = conn_step(&conn, CONN_RECEIVED, (const uint8_t *)request, strlen(request));
	if (todo.send)
		todo = send_all(todo);
	end(todo, CONN_STAT_HANDSHAKE_FAILED);
}

static void test_tells_how_a_client_left(void **state)
{
	(void)state;
	begin(&validator);
	end(conn_step(&conn, CONN_EOF, NULL, 0), CONN_STAT_CLIENT_LEFT);
	begin(&validator);
	end(conn_step(&conn, CONN_BROKEN, NULL, 0), CONN_STAT_CLIENT_LEFT);
	begin(&validator);
	end(conn_step(&conn, CONN_EXPIRED, NULL, 0), CONN_STAT_DEADLINE);
	/* In the middle: our flight is under way, or has gone. */
	begin(&validator);
	assert_non_null(hear_client().send);
	end(conn_step(&conn, CONN_EXPIRED, NULL, 0), CONN_STAT_DEADLINE);
	begin(&validator);
	assert_waits(send_all(hear_client()));
	end(conn_step(&conn, CONN_EOF, NULL, 0), CONN_STAT_CLIENT_LEFT);
}

/* A ClientHello of 8 KiB, which is fine, in records (RFC 8446 section 5.1) of a byte each. */
static void test_hears_only_so_much(void **state)
{
	static const uint8_t beginning[] = {22, 3, 1, 0, 4, 1, 0, 0x20, 0},
			     more[] = {22, 3, 1, 0, 1, 3};
	struct conn_todo todo;

	(void)state;
	begin(&validator);
	todo = conn_step(&conn, CONN_RECEIVED, beginning, sizeof(beginning));
	while (!todo.close) {
		assert_in_range(conn.input_size, 0, CONN_INPUT_MAX);
		todo = conn_step(&conn, CONN_RECEIVED, more, sizeof(more));
	}
	assert_true(conn.input_size > CONN_INPUT_MAX);
	end(todo, CONN_STAT_HANDSHAKE_FAILED);
}

static void test_hears_only_so_much_after_the_goodbye(void **state)
{
	static const uint8_t filler[1024];
	struct conn_todo todo = {0};

	(void)state;
	complete_handshake(&validator);
	while (!todo.close) {
		assert_in_range(conn.input_size, 0, CONN_INPUT_MAX);
		todo = conn_step(&conn, CONN_RECEIVED, filler, sizeof(filler));
	}
	assert_true(conn.input_size > CONN_INPUT_MAX);
	end(todo, CONN_STAT_ANSWERED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_name_with_a_nul_is_none),
		cmocka_unit_test(test_answers_and_says_goodbye),
		cmocka_unit_test(test_the_answer_counts_however_the_client_leaves),
		cmocka_unit_test(test_goes_on_after_a_short_send),
		cmocka_unit_test(test_sends_one_thing_at_a_time),
		cmocka_unit_test(test_refuses_with_an_alert),
		cmocka_unit_test(test_closes_on_what_is_not_tls),
		cmocka_unit_test(test_tells_how_a_client_left),
		cmocka_unit_test(test_hears_only_so_much),
		cmocka_unit_test(test_hears_only_so_much_after_the_goodbye),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
