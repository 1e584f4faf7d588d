// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Mutated inputs for what reads strangers' bytes: a CA's directory, renewal windows and Link
 * headers, PEM chains, keys, DNS answers, ClientHellos; and for what reads operators' files.  From sound seeds, with the same random
 * numbers each time; FUZZ_INPUTS is how many for each reader.  `make fuzz` runs
 * a million each with ASan and UBSan, which are what tells of a fault.
 */
#include <ares.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <curl/curl.h>
#include <jansson.h>

#include "acme/protocol/ari.h"
#include "acme/crypto/certificate.h"
#include "acme/config/config.h"
#include "acme/protocol/directory.h"
#include "acme/net/dns_answer.h"
#include "acme/config/domains_file.h"
#include "acme/util/failure.h"
#include "acme/util/json.h"
#include "acme/crypto/key.h"
#include "acme/protocol/link_header.h"
#include "acme/crypto/csr.h"
#include "acme/store/store.h"
#include "common/paths.h"
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
		"true,\"caaIdentities\":[\"a.example\",\"b.example\"],\"profiles\":{\"classic\":"
		"\"90 days\",\"shortlived\":\"6 days\"}}}";

	struct directory directory;
	json_t *object = json_read(seed, sizeof(seed) - 1);

	(void)state;
	assert_int_equal(directory_read(&directory, object), 0);
	directory_done(&directory);
	json_decref(object);
	fuzz(read_directory, seed, sizeof(seed) - 1);
}

static void read_window(const uint8_t *input, size_t size)
{
	char explanation_url[2048];
	struct ari_answer answer;

	if (ari_read(&answer, (const char *)input, size, explanation_url))
		assert_true(answer.start_s < answer.end_s);
}

static void test_window(void **state)
{
	static const char seed[] = "{\"suggestedWindow\":{\"start\":\"2026-11-26T04:00:00Z\","
				   "\"end\":\"2026-11-27T04:00:00.123+01:00\"},"
				   "\"explanationURL\":\"https://a.example/why\"}";
	char explanation_url[2048];
	struct ari_answer answer;

	(void)state;
	assert_true(ari_read(&answer, seed, sizeof(seed) - 1, explanation_url));
	fuzz(read_window, seed, sizeof(seed) - 1);
}

/* --- headers ---------------------------------------------------------------------------------- */

#define LINKS_MAX 4

static size_t read_links(const char *value)
{
	char *urls[LINKS_MAX];
	size_t count = link_header_read(urls, LINKS_MAX, value, "alternate",
					"https://a.example/c/1"),
	       i;

	for (i = 0; i < count; i++) {
		assert_true(url_is_usable(urls[i]));
		free(urls[i]);
	}
	return count;
}

/* A header's value ends at its first zero byte. */
static void read_link_header(const uint8_t *input, size_t size)
{
	char *value = strndup((const char *)input, size);

	assert_non_null(value);
	read_links(value);
	free(value);
}

static void test_link(void **state)
{
	static const char seed[] =
		"<https://a.example/c/1/1>;rel=\"alternate\", </c/1/2>; title=\"a \\\"b\\\", c\" ; "
		"rel=\"next alternate\",<../directory>;rel=index , <2?x=>;rel=alternate";

	(void)state;
	assert_int_equal(read_links(seed), 3);
	fuzz(read_link_header, seed, sizeof(seed) - 1);
}

/* Retry-After and Date are read by libcurl, its dates by this. */
static void read_date(const uint8_t *input, size_t size)
{
	char *value = strndup((const char *)input, size);

	assert_non_null(value);
	curl_getdate(value, NULL);
	free(value);
}

static void test_date(void **state)
{
	static const char seed[] = "Thu, 26 Nov 2026 12:00:00 GMT";

	(void)state;
	assert_int_equal(curl_getdate(seed, NULL), 1795694400);
	fuzz(read_date, seed, sizeof(seed) - 1);
}

/* --- what operators write ----------------------------------------------------------------------- */

static struct paths paths;

static void read_configuration(const uint8_t *input, size_t size)
{
	struct failure failure = {0};
	char path[PATHS_MAX + 32];
	struct config *config;

	snprintf(path, sizeof(path), "%s/sidestep.conf", paths.conf);
	fixture_write_file(path, input, size);
	if (config_read(&config, &paths, &failure))
		assert_true(failure_is_set(&failure));
	else
		config_free(config);
	failure_done(&failure);
}

static void test_configuration(void **state)
{
	static const char seed[] =
		"; a comment\n[sidestep]\nemail = a@b.example\nagree-tos = yes\nca = one two\n"
		"[ca one]\nserver = https://a.example/d\neab-kid = k\neab-hmac-key-file = /f\n"
		"[certificate shop]\nnames = a.example, b.example\n  c.example\n"
		"key-type = rsa2048\n[domains many]\nfile = /etc/many.txt\ntenant = many\n";
	char root[] = "/dev/shm/sidestep-XXXXXX";
	struct failure failure = {0};
	struct config *config;

	(void)state;
	assert_non_null(mkdtemp(root));
	assert_int_equal(paths_init(&paths, root), 0);
	free(fixture_run(NULL, "mkdir -p %s", paths.conf));
	read_configuration((const uint8_t *)seed, sizeof(seed) - 1);
	assert_int_equal(config_read(&config, &paths, &failure), 0);
	config_free(config);
	fuzz(read_configuration, seed, sizeof(seed) - 1);
	free(fixture_run(NULL, "rm -rf %s", root));
}

static size_t count_domains(const uint8_t *input, size_t size)
{
	struct domains_file *file = domains_file_new(fmemopen((void *)input, size, "r"));
	struct domains_file_text text;
	struct domains_file_line line;
	struct failure failure = {0};
	size_t count = 0;
	int result;

	assert_non_null(file);
	while ((result = domains_file_next(file, &text)) > 0) {
		assert_int_not_equal(text.number, 0);
		assert_int_equal(text.length, strlen(text.text));
		if (domains_file_parse(file, &line, &failure)) {
			assert_true(failure_is_set(&failure));
			failure_done(&failure);
			continue;
		}
		assert_in_range(line.name_count, 1, CSR_NAMES_MAX);
		assert_true(certificate_name_is_valid(line.cert_name));
		count++;
	}
	assert_int_equal(result, 0);
	domains_file_free(file);
	return count;
}

static void read_domains(const uint8_t *input, size_t size)
{
	if (size)
		count_domains(input, size);
}

static void test_domains(void **state)
{
	static const char seed[] =
		"# mine\na.example www.a.example\n  b.example > shop\r\n"
		"m\xc3\xbcller.example xn--mller-kva.example\n192.0.2.1 2001:db8::1 > ip\n";

	(void)state;
	assert_int_equal(count_domains((const uint8_t *)seed, sizeof(seed) - 1), 4);
	fuzz(read_domains, seed, sizeof(seed) - 1);
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
		cmocka_unit_test(test_directory),     cmocka_unit_test(test_chain),
		cmocka_unit_test(test_key),           cmocka_unit_test(test_dns_answer),
		cmocka_unit_test(test_client_hello),  cmocka_unit_test(test_window),
		cmocka_unit_test(test_link),          cmocka_unit_test(test_date),
		cmocka_unit_test(test_configuration), cmocka_unit_test(test_domains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
