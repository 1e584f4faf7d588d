/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mutated inputs for what reads strangers' bytes: a CA's directory, PEM chains,
 * keys, DNS answers, ClientHellos.  From sound seeds, with the same random
 * numbers each time; FUZZ_INPUTS is how many for each reader.  `make fuzz` runs
 * a million each with ASan and UBSan, which are what tells of a fault.
 */
#include <ares.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "acme/certificate.h"
#include "acme/directory.h"
#include "acme/dns_answer.h"
#include "acme/json.h"
#include "acme/key.h"
#include "tests/hello_vectors.h"
#include "tests/unit/fixture.h"

#define INPUTS_DEFAULT 20000
#define INPUT_MAX      8192
#define EDITS_MAX      6

/* xorshift64: the same inputs in every run. */
static uint64_t random_state;

static size_t below(size_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (size_t)(random_state % bound);
}

/* One change: a bit, an edge value, a piece doubled, or one taken out. */
static size_t edit(uint8_t *input, size_t size)
{
	static const uint8_t edges[] = {0x00, 0xff, 0x7f, 0x80, '"', '{', '-', '\n'};
	size_t at, length;

	if (!size)
		return 0;
	at = below(size);
	length = 1 + below(size - at < 64 ? size - at : 64);
	switch (below(5)) {
	case 0:
		input[at] ^= (uint8_t)(1u << below(8));
		return size;
	case 1:
		input[at] = edges[below(sizeof(edges))];
		return size;
	case 2:
		if (size + length > INPUT_MAX)
			return size;
		memmove(input + at + length, input + at, size - at);
		return size + length;
	case 3:
		memmove(input + at, input + at + length, size - at - length);
		return size - length;
	default:
		return below(16) ? size : at;
	}
}

/* Each input is in memory of its very size, so that ASan sees a byte too many read. */
static void fuzz(void (*read)(const uint8_t *input, size_t size), const void *seed, size_t size)
{
	const char *wanted = getenv("FUZZ_INPUTS");
	size_t inputs = wanted ? strtoul(wanted, NULL, 10) : INPUTS_DEFAULT, edits, used;
	static uint8_t buffer[INPUT_MAX];
	uint8_t *input;

	assert_in_range(inputs, 1, 1000000000);
	assert_in_range(size, 1, INPUT_MAX);
	for (random_state = 0x5eed; inputs > 0; inputs--) {
		memcpy(buffer, seed, size);
		used = size;
		for (edits = 1 + below(EDITS_MAX); edits > 0; edits--)
			used = edit(buffer, used);
		input = malloc(used ? used : 1);
		assert_non_null(input);
		memcpy(input, buffer, used);
		read(input, used);
		free(input);
	}
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void read_directory(const uint8_t *input, size_t size)
{
	json_t *object = json_read((const char *)input, size);
	struct directory directory;

	if (object && !directory_read(&directory, object)) {
		assert_true(url_is_usable(directory.new_order));
		directory_done(&directory);
	}
	json_decref(object);
}

static void test_directory(void **state)
{
	static const char seed[] =
		"{\"newNonce\":\"https://a.example/n\",\"newAccount\":\"https://a.example/a\","
		"\"newOrder\":\"https://a.example/o\",\"revokeCert\":\"https://a.example/r\","
		"\"keyChange\":\"https://a.example/k\",\"renewalInfo\":\"https://a.example/i\","
		"\"meta\":{\"termsOfService\":\"https://a.example/t\",\"externalAccountRequired\":"
		"true,\"caaIdentities\":[\"a.example\",\"b.example\"]}}";

	struct directory directory;
	json_t *object = json_read(seed, sizeof(seed) - 1);

	(void)state;
	assert_int_equal(directory_read(&directory, object), 0);
	directory_done(&directory);
	json_decref(object);
	fuzz(read_directory, seed, sizeof(seed) - 1);
}

/* --- PEM -------------------------------------------------------------------------------------- */

static void read_chain(const uint8_t *input, size_t size)
{
	struct certificate certificate;
	struct chain chain;
	size_t i;

	if (!chain_read(&chain, (const char *)input, size))
		for (i = 0; i < chain.count; i++)
			assert_true(chain.certificates[i].offset + chain.certificates[i].size <=
				    size);
	if (!certificate_read(&certificate, (const char *)input, size))
		certificate_done(&certificate);
}

static void test_chain(void **state)
{
	char *seed = fixture_run(NULL,
				 "for name in a b; do openssl req -x509 -newkey ec -pkeyopt "
				 "ec_paramgen_curve:P-256 -nodes -keyout /dev/null -subj /CN=$name "
				 "-addext subjectAltName=DNS:$name.example,IP:192.0.2.1 -days 1 "
				 "2>/dev/null; done");

	struct chain chain;

	(void)state;
	assert_int_equal(chain_read(&chain, seed, strlen(seed)), 0);
	assert_int_equal(chain.count, 2);
	fuzz(read_chain, seed, strlen(seed));
	free(seed);
}

static void read_key(const uint8_t *input, size_t size)
{
	struct key *key;

	if (!key_from_pem(&key, (const char *)input, size))
		key_free(key);
}

static void test_key(void **state)
{
	char *seed = fixture_run(NULL, "openssl ecparam -name prime256v1 -genkey -noout");

	(void)state;
	fuzz(read_key, seed, strlen(seed));
	free(seed);
}

/* --- the DNS ---------------------------------------------------------------------------------- */

static void read_answers(const uint8_t *input, size_t size)
{
	static const enum dns_type types[] = {DNS_A, DNS_AAAA, DNS_CAA};
	struct dns_answer answer;
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(*types); i++) {
		dns_answer_read(&answer, types[i], ARES_SUCCESS, input, (int)size);
		dns_answer_done(&answer);
	}
}

static void test_dns_answer(void **state)
{
	/* One question for CAA of a.example, and three answers: CAA, A, AAAA. */
	static const uint8_t seed[] =
		"\x12\x34\x81\x80\x00\x01\x00\x03\x00\x00\x00\x00\x01"
		"a\x07"
		"example\x00\x01\x01\x00\x01"
		"\xc0\x0c\x01\x01\x00\x01\x00\x00\x00\x3c\x00\x0e\x00\x05issueca.test"
		"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01"
		"\xc0\x0c\x00\x1c\x00\x01\x00\x00\x00\x3c\x00\x10\x20\x01\x0d\xb8"
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01";

	struct dns_answer answer;

	(void)state;
	dns_answer_read(&answer, DNS_CAA, ARES_SUCCESS, seed, sizeof(seed) - 1);
	assert_int_equal(answer.count, 1);
	dns_answer_done(&answer);
	fuzz(read_answers, seed, sizeof(seed) - 1);
}

/* --- ClientHellos ----------------------------------------------------------------------------- */

static void read_hello(const uint8_t *input, size_t size)
{
	uint8_t buffer[CLIENT_HELLO_BUFFER_SIZE] = {0};
	struct client_hello hello;

	if (size > CLIENT_HELLO_WINDOW)
		size = CLIENT_HELLO_WINDOW;
	memcpy(buffer, input, size);
	if (client_hello_parse(buffer, (__u32)size, &hello) == CLIENT_HELLO_ACME)
		assert_true((size_t)hello.server_name_offset + hello.server_name_length <= size);
}

static void test_client_hello(void **state)
{
	struct hello_vectors vectors;
	size_t i;

	(void)state;
	hello_vectors_load(&vectors);
	for (i = 0; i < vectors.count; i++)
		if (vectors.list[i].verdict == CLIENT_HELLO_ACME)
			fuzz(read_hello, vectors.list[i].data, vectors.list[i].size);
	hello_vectors_free(&vectors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_directory),    cmocka_unit_test(test_chain),
		cmocka_unit_test(test_key),          cmocka_unit_test(test_dns_answer),
		cmocka_unit_test(test_client_hello),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
