// SPDX-License-Identifier: GPL-3.0-or-later
/* Certificate requests, as openssl reads them, and certificates, as openssl writes them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "acme/crypto/certificate.h"
#include "acme/crypto/csr.h"
#include "acme/crypto/key.h"
#include "tests/unit/fixture.h"

#define DAY_S 86400

static void parse_names(struct identifier *names, const char *const *texts, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		assert_int_equal(identifier_parse(&names[i], texts[i]), IDENTIFIER_OK);
}

/* An empty file of its own for the template. */
static void make_file(char *path)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
}

/* --- requests ------------------------------------------------------------------------------- */

/* What `openssl req -text` says of a request for the names; it checks the signature too. */
static char *request_as_text(enum key_type type, const struct identifier *names, size_t count)
{
	char path[] = "/tmp/sidestep-csr-XXXXXX", *text;
	struct key *key;
	uint8_t *der;
	size_t size;
	int status;

	assert_int_equal(key_generate(&key, type), 0);
	assert_int_equal(csr_make(&der, &size, key, names, count), 0);
	make_file(path);
	fixture_write_file(path, der, size);
	text = fixture_run(&status, "openssl req -inform der -in %s -noout -text -verify 2>&1",
			   path);
	assert_int_equal(status, 0);
	unlink(path);
	free(der);
	key_free(key);
	return text;
}

static void test_csr(void **state)
{
	static const char *const texts[] = {"a.example", "xn--bcher-kva.example", "192.0.2.1",
					    "2001:db8::1"};
	struct identifier names[4];
	char *text;

	(void)state;
	parse_names(names, texts, 4);
	text = request_as_text(KEY_P256, names, 4);
	assert_non_null(strstr(text, "verify OK"));
	assert_non_null(strstr(text, "Version: 1 (0x0)"));
	assert_non_null(strstr(text, "ASN1 OID: prime256v1"));
	assert_non_null(strstr(text, "ecdsa-with-SHA256"));
	assert_non_null(strstr(text, "DNS:a.example, DNS:xn--bcher-kva.example, IP "
				     "Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1"));
	free(text);
}

static void test_csr_of_each_key_type(void **state)
{
	static const struct {
		enum key_type type;
		const char *key, *signature;
	} cases[] = {
		{KEY_P384, "ASN1 OID: secp384r1", "ecdsa-with-SHA384"},
		{KEY_RSA_2048, "(2048 bit)", "sha256WithRSAEncryption"},
		{KEY_RSA_3072, "(3072 bit)", "sha256WithRSAEncryption"},
		{KEY_RSA_4096, "(4096 bit)", "sha256WithRSAEncryption"},
	};
	static const char *const texts[] = {"a.example"};
	struct identifier names[1];
	char *text;
	size_t i;

	(void)state;
	parse_names(names, texts, 1);
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		text = request_as_text(cases[i].type, names, 1);
		assert_non_null(strstr(text, "verify OK"));
		assert_non_null(strstr(text, cases[i].key));
		assert_non_null(strstr(text, cases[i].signature));
		assert_non_null(strstr(text, "DNS:a.example"));
		free(text);
	}
}

/* Every length of the list's DER header: one byte, two, three. */
static void test_csr_of_all_sizes(void **state)
{
	static const size_t counts[] = {1, 4, 5, 9, 10, 50, 100};
	struct identifier *names = calloc(100, sizeof(*names));
	char name[64], *text;
	size_t i, k;

	(void)state;
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "name-number-%zu.example.org", i);
		assert_int_equal(identifier_parse(&names[i], name), IDENTIFIER_OK);
	}
	for (i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		text = request_as_text(KEY_P256, names, counts[i]);
		assert_non_null(strstr(text, "verify OK"));
		for (k = 0; k < counts[i]; k++) {
			snprintf(name, sizeof(name), "DNS:name-number-%zu.example.org", k);
			assert_non_null(strstr(text, name));
		}
		free(text);
	}
	free(names);
}

/* Names of 253 characters: 63 of them fit, 100 do not. */
static void test_csr_of_long_names(void **state)
{
	struct identifier *names = calloc(100, sizeof(*names));
	char name[256], *text;
	struct key *key;
	uint8_t *der = NULL;
	size_t size, i;

	(void)state;
	for (i = 0; i < 100; i++) {
		memset(name, 'a', 253);
		name[63] = name[127] = name[191] = '.';
		snprintf(name + 250, 4, "%03zu", i);
		assert_int_equal(identifier_parse(&names[i], name), IDENTIFIER_OK);
	}
	text = request_as_text(KEY_P256, names, 63);
	assert_non_null(strstr(text, "verify OK"));
	assert_non_null(strstr(text, "aaa062"));
	free(text);
	assert_int_equal(key_generate(&key, KEY_P256), 0);
	assert_int_equal(csr_make(&der, &size, key, names, 100), -E2BIG);
	assert_null(der);
	key_free(key);
	free(names);
}

/* --- certificates ---------------------------------------------------------------------------- */

/* A self-signed certificate with these names, by openssl; to be freed. */
static char *make_certificate(const char *names, const char *options)
{
	char *pem;
	int status;

	pem = fixture_run(&status,
			  "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
			  "-keyout /dev/null -subj /CN=ignored -addext 'subjectAltName=%s' %s "
			  "2>/dev/null",
			  names, options);
	assert_int_equal(status, 0);
	return pem;
}

static void test_certificate(void **state)
{
	static const char *const texts[] = {"a.example", "b.example", "192.0.2.1", "2001:db8::1"};
	struct certificate certificate;
	struct identifier names[4];
	size_t i;
	char *pem;

	(void)state;
	parse_names(names, texts, 4);
	pem = make_certificate("DNS:a.example,DNS:B.example,IP:192.0.2.1,IP:2001:db8::1",
			       "-days 90 -set_serial 0x8001020304");
	assert_int_equal(certificate_read(&certificate, pem, strlen(pem)), 0);
	assert_int_equal(certificate.name_count, 4);
	for (i = 0; i < 4; i++)
		assert_string_equal(certificate.names[i].value, texts[i]);
	assert_false(certificate.has_other_names);
	assert_string_equal(certificate.wildcard, "");
	assert_string_equal(certificate.serial, "8001020304");
	assert_int_equal(certificate.not_after_s - certificate.not_before_s, 90 * DAY_S);

	assert_true(certificate_has_only_names(&certificate, names, 4));
	assert_false(certificate_has_only_names(&certificate, names, 3));
	assert_true(certificate_has_names(&certificate, names, 3));
	assert_int_equal(identifier_parse(&names[0], "c.example"), IDENTIFIER_OK);
	assert_false(certificate_has_names(&certificate, names, 4));
	assert_false(certificate_has_only_names(&certificate, names, 4));
	certificate_done(&certificate);
	free(pem);
}

/* Beyond 2049 the other of X.509's two forms of time: RFC 5280 section 4.1.2.5. */
static void test_certificate_of_long_life(void **state)
{
	struct certificate certificate;
	char *pem = make_certificate("DNS:a.example", "-days 36500");

	(void)state;
	assert_int_equal(certificate_read(&certificate, pem, strlen(pem)), 0);
	assert_int_equal(certificate.not_after_s - certificate.not_before_s, 36500LL * DAY_S);
	certificate_done(&certificate);
	free(pem);
}

static void test_certificate_with_other_names(void **state)
{
	struct certificate certificate;
	struct identifier name;
	char *pem = make_certificate("DNS:*.example,DNS:a.example,email:m@a.example", "");

	(void)state;
	assert_int_equal(identifier_parse(&name, "a.example"), IDENTIFIER_OK);
	assert_int_equal(certificate_read(&certificate, pem, strlen(pem)), 0);
	assert_int_equal(certificate.name_count, 1);
	assert_true(certificate.has_other_names);
	assert_string_equal(certificate.wildcard, "*.example");
	assert_true(certificate_has_names(&certificate, &name, 1));
	assert_false(certificate_has_only_names(&certificate, &name, 1));
	certificate_done(&certificate);
	free(pem);
}

static void test_due(void **state)
{
	struct certificate certificate = {.not_before_s = 1000, .not_after_s = 1000 + 90 * DAY_S};

	(void)state;
	assert_false(certificate_is_due(&certificate, 1000));
	assert_false(certificate_is_due(&certificate, 1000 + 60 * DAY_S));
	assert_true(certificate_is_due(&certificate, 1000 + 60 * DAY_S + 1));
	assert_true(certificate_is_due(&certificate, 1000 + 91 * DAY_S));
	/* A clock that stands years back: the certificate is not yet valid, and not due. */
	assert_false(certificate_is_due(&certificate, 0));
}

/* A certificate for the key, by openssl. */
static char *certificate_of_key(struct key *key)
{
	char path[] = "/tmp/sidestep-key-XXXXXX", pem[KEY_PEM_MAX], *text;
	int size = key_to_pem(key, pem);

	make_file(path);
	fixture_write_file(path, pem, (size_t)size);
	text = fixture_run(NULL, "openssl req -x509 -key %s -subj /CN=x -days 1 2>/dev/null", path);
	unlink(path);
	return text;
}

static void test_key_of_certificate(void **state)
{
	struct key *keys[KEY_TYPES], *twin;
	int type, other;
	char *text;

	(void)state;
	for (type = 0; type < KEY_TYPES; type++)
		assert_int_equal(key_generate(&keys[type], (enum key_type)type), 0);
	for (type = 0; type < KEY_TYPES; type++) {
		text = certificate_of_key(keys[type]);
		for (other = 0; other < KEY_TYPES; other++)
			assert_int_equal(certificate_is_for_key(text, strlen(text), keys[other]),
					 other == type);
		assert_int_equal(key_generate(&twin, (enum key_type)type), 0);
		assert_false(certificate_is_for_key(text, strlen(text), twin));
		key_free(twin);
		free(text);
	}
	assert_false(certificate_is_for_key("", 0, keys[KEY_P256]));
	for (type = 0; type < KEY_TYPES; type++)
		key_free(keys[type]);
}

/* --- chains ---------------------------------------------------------------------------------- */

static void test_chain(void **state)
{
	char *leaf = make_certificate("DNS:a.example", ""), *text;
	char *root = make_certificate("DNS:root.example", "");
	struct chain chain;

	(void)state;
	assert_true(asprintf(&text, "\n%s\r\n \n%s", leaf, root) > 0);
	assert_int_equal(chain_read(&chain, text, strlen(text)), 0);
	assert_int_equal(chain.count, 2);
	assert_int_equal(chain.certificates[0].size, strlen(leaf));
	assert_memory_equal(text + chain.certificates[0].offset, leaf, strlen(leaf));
	assert_memory_equal(text + chain.certificates[1].offset, root, strlen(root));
	free(text);
	free(root);
	free(leaf);
}

static void check_no_chain(const char *text, size_t size)
{
	struct chain chain = {.count = 77};

	assert_int_equal(chain_read(&chain, text, size), -EBADMSG);
	assert_int_equal(chain.count, 77);
}

static void test_no_chain(void **state)
{
	static const char *const behind[] = {
		"x",
		"-----BEGIN CERTIFICATE-----",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
	};
	char *leaf = make_certificate("DNS:a.example", ""), *text;
	size_t length = strlen(leaf), i;

	(void)state;
	check_no_chain("", 0);
	check_no_chain(" \n", 2);
	for (i = 0; i < sizeof(behind) / sizeof(*behind); i++) {
		assert_true(asprintf(&text, "%s%s", leaf, behind[i]) > 0);
		check_no_chain(text, strlen(text));
		free(text);
		check_no_chain(behind[i], strlen(behind[i]));
	}
	/* A zero between two certificates ends nothing. */
	text = calloc(1, 2 * length + 1);
	memcpy(text, leaf, length);
	memcpy(text + length + 1, leaf, length);
	check_no_chain(text, 2 * length + 1);
	free(text);
	/* Cut off anywhere: never read beyond the end, and never taken for whole. */
	for (i = 0; i < length - 1; i++)
		check_no_chain(leaf, i);
	free(leaf);
}

static void test_chain_is_bounded(void **state)
{
	char *leaf = make_certificate("DNS:a.example", "");
	size_t length = strlen(leaf), i;
	struct chain chain;
	char *text = malloc((CHAIN_CERTIFICATES_MAX + 1) * length);

	(void)state;
	for (i = 0; i <= CHAIN_CERTIFICATES_MAX; i++)
		memcpy(text + i * length, leaf, length);
	assert_int_equal(chain_read(&chain, text, CHAIN_CERTIFICATES_MAX * length), 0);
	assert_int_equal(chain.count, CHAIN_CERTIFICATES_MAX);
	check_no_chain(text, (CHAIN_CERTIFICATES_MAX + 1) * length);
	free(text);
	free(leaf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_csr),
		cmocka_unit_test(test_csr_of_each_key_type),
		cmocka_unit_test(test_csr_of_all_sizes),
		cmocka_unit_test(test_csr_of_long_names),
		cmocka_unit_test(test_certificate),
		cmocka_unit_test(test_certificate_of_long_life),
		cmocka_unit_test(test_certificate_with_other_names),
		cmocka_unit_test(test_due),
		cmocka_unit_test(test_key_of_certificate),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_no_chain),
		cmocka_unit_test(test_chain_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
