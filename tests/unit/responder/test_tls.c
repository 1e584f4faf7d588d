// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/curve25519.h>

#include "responder/tls.h"
#include "tests/hello_vectors.h"
#include "tests/unit/fixture.h"
#include "tests/unit/responder/tls_client.h"

#define NAME          "pending.example.com"
#define ACME          "acme-tls/1"
#define SLOTS         64
#define FLIGHT_SIZE   4096
#define NO_ALERT      (-1)
#define UNRECOGNIZED  112 /* RFC 8446 section 6.2 */
#define NO_PROTOCOL   120
#define BAD_HANDSHAKE 40

static struct fixture fixture;
static struct challenge_table *reader;
static struct tls_context *context;

static void publish(const char *name)
{
	static const uint8_t digest[CHALLENGE_DIGEST_SIZE] = {7};
	enum identifier_error error;
	struct identifier identifier;

	error = identifier_parse(&identifier, name);
	assert_true(error == IDENTIFIER_OK || error == IDENTIFIER_SINGLE_LABEL);
	assert_int_equal(challenge_table_publish(fixture.writer, &identifier, digest, 600), 0);
}

static int setup(void **state)
{
	(void)state;
	fixture_init(&fixture, SLOTS);
	fixture_make_table(&fixture, SLOTS);
	publish(NAME);
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

/* --- a server side with its output -------------------------------------------------- */

struct server {
	struct tls tls;
	struct tls_output output;
	enum tls_status status;
	size_t sent; /* to the client, in all */
	uint8_t bytes[FLIGHT_SIZE];
};

static void server_begin(struct server *server, size_t capacity)
{
	assert_true(capacity <= FLIGHT_SIZE);
	*server = (struct server){.status = TLS_WANT_IO};
	server->output = (struct tls_output){.bytes = server->bytes, .capacity = capacity};
	assert_int_equal(tls_begin(&server->tls, context, &server->output), 0);
}

/* Hand the server's output to the client, in pieces of at most its capacity, until there is no more. */
static bool flush(struct server *server, struct tls_client *client)
{
	while (server->output.end) {
		size_t size = server->output.end;

		server->output.end = 0;
		server->sent += size;
		if (!tls_client_step(client, server->bytes, size))
			return false;
		if (server->status == TLS_WANT_IO)
			server->status = tls_step(&server->tls, NULL, 0);
	}
	return true;
}

/*
 * Let both talk, the client's words in pieces of `piece` bytes, until neither
 * has anything to say or one has given up.
 */
static void talk(struct server *server, struct tls_client *client, size_t piece)
{
	bool going = true;

	while (going && client->output_size && server->status == TLS_WANT_IO) {
		static uint8_t words[TLS_CLIENT_BUFFER_SIZE];
		size_t size = client->output_size;

		memcpy(words, client->output, size);
		client->output_size = 0;
		for (size_t at = 0; at < size && server->status == TLS_WANT_IO; at += piece) {
			size_t length = piece < size - at ? piece : size - at;

			server->status = tls_step(&server->tls, words + at, length);
			going = flush(server, client);
		}
	}
}

static bool has_our_certificate(const struct tls_client *client)
{
	uint8_t expected[CHALLENGE_CERT_DER_MAX];
	struct challenge challenge;
	size_t size;

	assert_int_equal(challenge_table_find(reader, NAME, strlen(NAME), &challenge), 0);
	size = challenge_cert_der(challenge_table_key(reader), &challenge.cert, expected);
	return client->certificate_size == size && !memcmp(client->certificate, expected, size);
}

/* A whole handshake, from hello to goodbye. */
static void check_answered(const struct tls_client_options *options, size_t piece, size_t capacity)
{
	struct tls_client client;
	struct server server;

	server_begin(&server, capacity);
	tls_client_init(&client, options);
	talk(&server, &client, piece);
	assert_int_equal(server.status, TLS_DONE);
	assert_true(client.done);
	assert_true(has_our_certificate(&client));
	/* Nothing but the handshake: no session ticket. */
	assert_int_equal(server.output.end, 0);
	assert_false(client.said_goodbye);
	tls_say_goodbye(&server.tls);
	assert_true(server.output.end > 0);
	assert_true(flush(&server, &client));
	assert_true(client.said_goodbye);
	tls_client_done(&client);
	tls_end(&server.tls);
}

static void test_answers(void **state)
{
	static const int groups[] = {0, WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1};
	static const char *const names[] = {NAME, NAME ".", "PENDING.Example.COM"};

	(void)state;
	for (int tls12 = 0; tls12 < 2; tls12++)
		for (size_t group = 0; group < 3; group++)
			for (size_t name = 0; name < 3; name++) {
				const struct tls_client_options options = {
					.server_name = names[name],
					.protocols = ACME,
					.group = groups[group],
					.tls12 = tls12,
				};

				check_answered(&options, TLS_CLIENT_BUFFER_SIZE, FLIGHT_SIZE);
			}
}

/* Clients that offer one group alone, also those that no known validator sends. */
static void test_answers_every_group(void **state)
{
	static const int groups[] = {WOLFSSL_ECC_SECP384R1, WOLFSSL_ECC_SECP521R1,
				     WOLFSSL_X25519MLKEM768};

	(void)state;
	for (size_t group = 0; group < sizeof(groups) / sizeof(groups[0]); group++) {
		const struct tls_client_options options = {
			.server_name = NAME, .protocols = ACME, .group = groups[group]};

		check_answered(&options, TLS_CLIENT_BUFFER_SIZE, FLIGHT_SIZE);
	}
}

static void test_answers_byte_by_byte(void **state)
{
	struct tls_client_options options = {.server_name = NAME, .protocols = ACME};

	(void)state;
	check_answered(&options, 1, FLIGHT_SIZE);
	options.tls12 = true;
	check_answered(&options, 1, FLIGHT_SIZE);
}

/* A flight that does not fit goes on when there is room again. */
static void test_answers_through_a_small_output(void **state)
{
	struct tls_client_options options = {.server_name = NAME, .protocols = ACME};

	(void)state;
	check_answered(&options, TLS_CLIENT_BUFFER_SIZE, 100);
	options.tls12 = true;
	check_answered(&options, TLS_CLIENT_BUFFER_SIZE, 100);
}

/* --- refusing ------------------------------------------------------------------------ */

static void check_refused(const char *server_name, const char *protocols, enum tls_failure failure,
			  int alert)
{
	for (int tls12 = 0; tls12 < 2; tls12++) {
		const struct tls_client_options options = {
			.server_name = server_name, .protocols = protocols, .tls12 = tls12};
		struct tls_client client;
		struct server server;

		server_begin(&server, FLIGHT_SIZE);
		tls_client_init(&client, &options);
		talk(&server, &client, TLS_CLIENT_BUFFER_SIZE);
		assert_int_equal(server.status, TLS_FAILED);
		assert_int_equal(server.tls.failure, failure);
		assert_false(client.done);
		assert_int_equal(client.alert, alert);
		/* The alert was all: seven bytes, RFC 8446 section 6. */
		assert_int_equal(server.sent, 7);
		tls_client_done(&client);
		tls_end(&server.tls);
	}
}

static void test_refuses_names_that_are_not_pending(void **state)
{
	static const char *const names[] = {"other.example.com", "example.com", "sidestep.invalid",
					    "x" NAME, NAME "x"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		check_refused(names[i], ACME, TLS_NOT_PENDING, UNRECOGNIZED);
	check_refused(NULL, ACME, TLS_NOT_PENDING, UNRECOGNIZED);
}

static void test_refuses_withdrawn_names_at_once(void **state)
{
	struct identifier identifier;

	(void)state;
	assert_int_equal(identifier_parse(&identifier, NAME), IDENTIFIER_OK);
	assert_int_equal(challenge_table_withdraw(fixture.writer, &identifier, NULL, 0), 0);
	check_refused(NAME, ACME, TLS_NOT_PENDING, UNRECOGNIZED);
	publish(NAME);
	check_answered(&(struct tls_client_options){.server_name = NAME, .protocols = ACME},
		       TLS_CLIENT_BUFFER_SIZE, FLIGHT_SIZE);
}

/* RFC 8737 section 4: a client that offers anything else is no validator. */
static void test_refuses_other_protocols(void **state)
{
	static const char *const protocols[] = {
		NULL,        "h2",     ACME ",h2",   "h2," ACME,          "acme-tls/2",
		"acme-tls/", ACME "1", "ACME-TLS/1", "h2,http/1.1," ACME,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		check_refused(NAME, protocols[i], TLS_NO_ALPN, NO_PROTOCOL);
}

/* --- what real clients and others send ------------------------------------------------ */

/* Is it a record with a ServerHello?  RFC 8446 sections 5.1 and 4.1.3. */
static bool is_server_hello(const struct tls_output *output)
{
	return output->end > 5 && output->bytes[0] == 22 && output->bytes[5] == 2;
}

/* Does the vector end where its first record ends, or later? */
static bool has_whole_record(const struct hello_vector *vector)
{
	return vector->size >= 5u + (vector->data[3] << 8 | vector->data[4]);
}

/*
 * Whom the classifier steers is answered, and who is not to be steered would not
 * be, so that both read a ClientHello in the same way.  A vector that is cut off
 * is neither answered nor refused.
 */
static void test_agrees_with_the_classifier(void **state)
{
	struct hello_vectors vectors;
	size_t answered = 0;

	(void)state;
	hello_vectors_load(&vectors);
	for (size_t i = 0; i < vectors.count; i++) {
		const struct hello_vector *vector = &vectors.list[i];
		bool acme = vector->verdict == CLIENT_HELLO_ACME;
		struct server server;

		if (vector->verdict == CLIENT_HELLO_TRUNCATED)
			continue; /* more than the classifier wants to see: no verdict */
		if (acme)
			publish(vector->server_name);
		server_begin(&server, FLIGHT_SIZE);
		server.status = tls_step(&server.tls, vector->data, vector->size);
		if (is_server_hello(&server.output) != (acme && has_whole_record(vector)) ||
		    (acme && server.status != TLS_WANT_IO))
			fail_msg("%s: %s, but status %d and %zu bytes of answer", vector->name,
				 hello_verdict_name(vector->verdict), server.status,
				 server.output.end);
		answered += is_server_hello(&server.output);
		tls_end(&server.tls);
	}
	assert_true(answered > 0);
	hello_vectors_free(&vectors);
}

/*
 * The flight that answers a validator of Go 1.26, which offers X25519MLKEM768 and X25519: what is
 * fastest, and a change_cipher_spec for middleboxes.
 */
static void test_first_flight(void **state)
{
	static const uint8_t change_cipher_spec[] = {20, 3, 3, 0, 1, 1};
	static const uint8_t suite[] = {0x13, 0x01}; /* TLS_AES_128_GCM_SHA256 */
	static const uint8_t share[] = {0, 51, 0, 36, 0, 29, 0, 32}; /* key_share: X25519 */
	const struct hello_vector *hello;
	struct hello_vectors vectors;
	struct server server;
	const uint8_t *end;

	(void)state;
	hello_vectors_load(&vectors);
	hello = hello_vectors_find(&vectors, "pebble-dns");
	publish(hello->server_name);
	server_begin(&server, FLIGHT_SIZE);
	server.status = tls_step(&server.tls, hello->data, hello->size);
	assert_true(is_server_hello(&server.output));
	/* Behind record header, handshake header, version, random and the client's session id. */
	assert_memory_equal(server.bytes + 5 + 4 + 2 + 32 + 1 + 32, suite, sizeof(suite));
	end = server.bytes + 5 + (server.bytes[3] << 8 | server.bytes[4]);
	assert_non_null(memmem(server.bytes, (size_t)(end - server.bytes), share, sizeof(share)));
	/* RFC 8446 appendix D.4: directly behind the ServerHello. */
	assert_memory_equal(end, change_cipher_spec, sizeof(change_cipher_spec));
	tls_end(&server.tls);
	hello_vectors_free(&vectors);
}

static void test_survives_damage(void **state)
{
	const struct hello_vector *vector;
	struct hello_vectors vectors;
	uint8_t bytes[4096];

	(void)state;
	hello_vectors_load(&vectors);
	vector = hello_vectors_find(&vectors, "pebble-dns");
	assert_true(vector->size <= sizeof(bytes));
	publish(vector->server_name);
	for (size_t at = 0; at < vector->size; at++) {
		struct server server;

		memcpy(bytes, vector->data, vector->size);
		bytes[at] ^= 0xff;
		server_begin(&server, FLIGHT_SIZE);
		server.status = tls_step(&server.tls, bytes, vector->size);
		assert_int_not_equal(server.status, TLS_DONE);
		tls_end(&server.tls);
	}
	hello_vectors_free(&vectors);
}

static void make_key(curve25519_key *ret_key)
{
	WC_RNG rng;

	assert_int_equal(wc_InitRng(&rng), 0);
	assert_int_equal(wc_curve25519_init(ret_key), 0);
	assert_int_equal(wc_curve25519_make_key(&rng, CURVE25519_KEYSIZE, ret_key), 0);
	wc_FreeRng(&rng);
}

/* What both come to with the same third key. */
static bool agree_alike(curve25519_key *one, curve25519_key *other)
{
	uint8_t secrets[2][CURVE25519_KEYSIZE];
	word32 sizes[2] = {sizeof(secrets[0]), sizeof(secrets[1])};

	assert_int_equal(wc_curve25519_shared_secret(one, other, secrets[0], &sizes[0]), 0);
	assert_int_equal(wc_curve25519_shared_secret(other, other, secrets[1], &sizes[1]), 0);
	return memcmp(secrets[0], secrets[1], sizeof(secrets[0])) == 0;
}

/* wolfSSL's call, which the linker leads to tls_key_share.c. */
static void test_handshakes_of_a_second_share_a_key(void **state)
{
	const struct timespec more_than_a_second = {1, 100000000};
	curve25519_key keys[3];

	(void)state;
	make_key(&keys[0]);
	nanosleep(&more_than_a_second, NULL);
	make_key(&keys[1]);
	make_key(&keys[2]);
	assert_false(agree_alike(&keys[0], &keys[1]));
	assert_true(agree_alike(&keys[1], &keys[2]));
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		wc_curve25519_free(&keys[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshakes_of_a_second_share_a_key),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_answers_every_group),
		cmocka_unit_test(test_answers_byte_by_byte),
		cmocka_unit_test(test_answers_through_a_small_output),
		cmocka_unit_test(test_refuses_names_that_are_not_pending),
		cmocka_unit_test(test_refuses_withdrawn_names_at_once),
		cmocka_unit_test(test_refuses_other_protocols),
		cmocka_unit_test(test_agrees_with_the_classifier),
		cmocka_unit_test(test_first_flight), /* arms a name of those before */
		cmocka_unit_test(test_survives_damage),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
