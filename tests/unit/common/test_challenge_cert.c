// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The certificate as OpenSSL reads it, and its extensions byte for byte, as the
 * strictest validator compares them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/challenge_cert.h"
#include "tests/unit/fixture.h"

#define ISSUED_AT 1795471200u /* 2026-11-23 22:00:00 UTC */

static struct challenge_key key;
static struct challenge_signer *signer;
static char directory[] = "/tmp/sidestep-XXXXXX";

static int set_up(void **state)
{
	(void)state;
	return !mkdtemp(directory) || challenge_key_generate(&key) ||
	       challenge_signer_new(&signer, &key);
}

static int tear_down(void **state)
{
	(void)state;
	challenge_signer_free(signer);
	free(fixture_run(NULL, "rm -r %s", directory));
	return 0;
}

static void make_cert(struct challenge_cert *ret_cert, const char *name, uint32_t issued_at)
{
	struct challenge_cert cert = {.issued_at = issued_at};
	enum identifier_error err = identifier_parse(&cert.identifier, name);
	size_t i;

	assert_true(err == IDENTIFIER_OK || err == IDENTIFIER_SINGLE_LABEL);
	for (i = 0; i < sizeof(cert.digest); i++)
		cert.digest[i] = (uint8_t)(0xf0 + i);
	assert_int_equal(challenge_cert_sign(signer, &cert), 0);
	*ret_cert = cert;
}

/* Write the certificate for OpenSSL, as cert.pem.  Returns the DER's size. */
static size_t write_cert(const struct challenge_cert *cert, uint8_t ret_der[CHALLENGE_CERT_DER_MAX])
{
	size_t size = challenge_cert_der(&key, cert, ret_der);
	char path[64];
	int status;

	snprintf(path, sizeof(path), "%s/cert.der", directory);
	fixture_write_file(path, ret_der, size);
	free(fixture_run(&status, "openssl x509 -inform DER -in %s -out %s/cert.pem 2>&1", path,
			 directory));
	assert_int_equal(status, 0);
	return size;
}

static char *cert_text(void)
{
	int status;
	char *text =
		fixture_run(&status, "openssl x509 -in %s/cert.pem -noout -text 2>&1", directory);

	assert_int_equal(status, 0);
	return text;
}

static unsigned int occurrences(const char *text, const char *word)
{
	unsigned int count = 0;

	for (text = strstr(text, word); text; text = strstr(text + 1, word))
		count++;
	return count;
}

/* OpenSSL's verdict on the self-signature; it does not know acmeIdentifier, hence -ignore_critical.
 */
static int self_signature_status(void)
{
	int status;

	free(fixture_run(&status,
			 "openssl verify -ignore_critical -check_ss_sig -no_check_time "
			 "-CAfile %s/cert.pem %s/cert.pem 2>&1",
			 directory, directory));
	return status;
}

static void longest_name(char ret_name[254])
{
	char label[64] = {0};

	memset(label, 'a', 63);
	snprintf(ret_name, 254, "%s.%s.%s.%.61s", label, label, label, label);
}

/* What RFC 8737 section 3 and validators ask for, for each kind of name. */
static void test_openssl_reads_it(void **state)
{
	static const struct {
		const char *name, *subject_alt_name;
	} cases[] = {
		{"www.Example.com", "DNS:www.example.com\n"},
		{"localhost", "DNS:localhost\n"},
		{"192.0.2.7", "IP Address:192.0.2.7\n"},
		{"2001:db8::7", "IP Address:2001:DB8:0:0:0:0:0:7\n"},
		{NULL, "DNS:aaaaaaaaaa"},
	};
	uint8_t der[CHALLENGE_CERT_DER_MAX];
	struct challenge_cert cert;
	char longest[254], *text;
	size_t i;

	(void)state;
	longest_name(longest);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_cert(&cert, cases[i].name ? cases[i].name : longest, ISSUED_AT);
		write_cert(&cert, der);
		text = cert_text();
		assert_non_null(strstr(text, "Version: 3 (0x2)"));
		assert_non_null(strstr(text, "Issuer: CN = sidestep challenge\n"));
		assert_non_null(strstr(text, "Subject: CN = sidestep challenge\n"));
		assert_non_null(strstr(text, "70:f1:f2:f3:f4:f5:f6:f7:f8:f9:fa:fb:fc:fd:fe:ff"));
		assert_non_null(strstr(text, "Not Before: Nov 23 21:00:00 2026 GMT"));
		assert_non_null(strstr(text, "Not After : Nov 30 22:00:00 2026 GMT"));
		assert_non_null(strstr(text, "ASN1 OID: prime256v1"));
		assert_int_equal(occurrences(text, "ecdsa-with-SHA256"), 2);
		assert_non_null(strstr(text, "X509v3 Subject Alternative Name: \n"));
		assert_non_null(strstr(text, cases[i].subject_alt_name));
		assert_int_equal(occurrences(text, "DNS:") + occurrences(text, "IP Address:"), 1);
		assert_non_null(strstr(text, "1.3.6.1.5.5.7.1.31: critical\n"));
		assert_int_equal(occurrences(text, "critical"), 1);
		free(text);
		assert_int_equal(self_signature_status(), 0);
	}
}

/* A verdict is worth something only if it can be the other one. */
static void test_bad_signature_shows(void **state)
{
	uint8_t der[CHALLENGE_CERT_DER_MAX];
	struct challenge_cert cert;

	(void)state;
	make_cert(&cert, "www.example.com", ISSUED_AT);
	cert.signature[17] ^= 1;
	write_cert(&cert, der);
	assert_int_not_equal(self_signature_status(), 0);
	cert.signature[17] ^= 1;
	cert.digest[3] ^= 1;
	write_cert(&cert, der);
	assert_int_not_equal(self_signature_status(), 0);
}

/* The extensions' exact bytes, and that there is nothing else beside them. */
static void assert_extensions(const char *name, const uint8_t *subject_alt_name, size_t size)
{
	static const uint8_t acme_identifier_start[] = {0x30, 0x31, 0x06, 0x08, 0x2b, 0x06, 0x01,
							0x05, 0x05, 0x07, 0x01, 0x1f, 0x01, 0x01,
							0xff, 0x04, 0x22, 0x04, 0x20};
	uint8_t der[CHALLENGE_CERT_DER_MAX], expected[512], *at = expected;
	struct challenge_cert cert;
	size_t der_size, content;

	make_cert(&cert, name, ISSUED_AT);
	der_size = challenge_cert_der(&key, &cert, der);
	content = size + sizeof(acme_identifier_start) + sizeof(cert.digest);
	assert_true(content < 0x80); /* the short form of lengths below */
	*at++ = 0xa3;
	*at++ = (uint8_t)(content + 2);
	*at++ = 0x30;
	*at++ = (uint8_t)content;
	memcpy(at, subject_alt_name, size);
	at += size;
	memcpy(at, acme_identifier_start, sizeof(acme_identifier_start));
	at += sizeof(acme_identifier_start);
	memcpy(at, cert.digest, sizeof(cert.digest));
	at += sizeof(cert.digest);
	/* What follows the to-be-signed part: the algorithm of the signature. */
	memcpy(at, "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02\x03", 13);
	at += 13;
	assert_non_null(memmem(der, der_size, expected, (size_t)(at - expected)));
}

static void test_exact_extensions(void **state)
{
	static const uint8_t dns[] = {0x30, 0x10, 0x06, 0x03, 0x55, 0x1d, 0x11, 0x04, 0x09,
				      0x30, 0x07, 0x82, 0x05, 'a',  '.',  'b',  '-',  'c'};
	static const uint8_t ipv4[] = {0x30, 0x0f, 0x06, 0x03, 0x55, 0x1d, 0x11, 0x04, 0x08,
				       0x30, 0x06, 0x87, 0x04, 192,  0,    2,    7};
	static const uint8_t ipv6[] = {0x30, 0x1b, 0x06, 0x03, 0x55, 0x1d, 0x11, 0x04, 0x14, 0x30,
				       0x12, 0x87, 0x10, 0x20, 0x01, 0x0d, 0xb8, 0,    0,    0,
				       0,    0,    0,    0,    0,    0,    0,    0,    0x07};

	(void)state;
	assert_extensions("A.b-C", dns, sizeof(dns));
	assert_extensions("192.0.2.7", ipv4, sizeof(ipv4));
	assert_extensions("2001:DB8::7", ipv6, sizeof(ipv6));
}

static void test_same_input_same_bytes(void **state)
{
	uint8_t der[CHALLENGE_CERT_DER_MAX], again[CHALLENGE_CERT_DER_MAX];
	struct challenge_cert cert;
	size_t size;

	(void)state;
	make_cert(&cert, "www.example.com", ISSUED_AT);
	size = challenge_cert_der(&key, &cert, der);
	assert_int_equal(challenge_cert_der(&key, &cert, again), size);
	assert_memory_equal(der, again, size);
}

/* RFC 5280 section 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050. */
static void test_times(void **state)
{
	static const struct {
		uint32_t issued_at;
		const char *not_before, *not_after;
	} cases[] = {
		{0, "UTCTIME           :700101000000Z", "UTCTIME           :700108000000Z"},
		{2524604400u, "UTCTIME           :491231220000Z",
		 "GENERALIZEDTIME   :20500107230000Z"},
		{2524608000u + 3600, "GENERALIZEDTIME   :20500101000000Z",
		 "GENERALIZEDTIME   :20500108010000Z"},
		{UINT32_MAX, "GENERALIZEDTIME   :21060207052815Z",
		 "GENERALIZEDTIME   :21060214062815Z"},
	};
	uint8_t der[CHALLENGE_CERT_DER_MAX];
	struct challenge_cert cert;
	size_t i;
	char *text;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_cert(&cert, "www.example.com", cases[i].issued_at);
		write_cert(&cert, der);
		text = fixture_run(NULL, "openssl asn1parse -in %s/cert.pem 2>&1", directory);
		assert_non_null(strstr(text, cases[i].not_before));
		assert_non_null(strstr(text, cases[i].not_after));
		free(text);
	}
}

/* Many signatures, so that numbers with leading zeros and with the top bit set come up. */
static void test_every_form_of_signature(void **state)
{
	unsigned int count, leading_zeros = 0, top_bits = 0;
	struct challenge_cert cert;

	(void)state;
	for (count = 0; count < 3000; count++) {
		make_cert(&cert, "www.example.com", ISSUED_AT);
		leading_zeros += cert.signature[0] == 0 || cert.signature[32] == 0;
		top_bits += cert.signature[0] >> 7;
		assert_true(fixture_cert_verifies(&key, &cert));
	}
	assert_true(leading_zeros > 0);
	assert_true(top_bits > 0);
	cert.signature[40] ^= 1;
	assert_false(fixture_cert_verifies(&key, &cert));
}

/* The key for the TLS side is the certificate's. */
static void test_key(void **state)
{
	uint8_t der[CHALLENGE_CERT_DER_MAX];
	struct challenge_cert cert;
	char path[64], *of_key, *of_cert;
	int size, status;

	(void)state;
	size = challenge_key_der(&key, der);
	assert_in_range(size, 1, CHALLENGE_KEY_DER_MAX);
	snprintf(path, sizeof(path), "%s/key.der", directory);
	fixture_write_file(path, der, (size_t)size);
	free(fixture_run(&status, "openssl pkey -inform DER -in %s -noout -check 2>&1", path));
	assert_int_equal(status, 0);
	make_cert(&cert, "www.example.com", ISSUED_AT);
	write_cert(&cert, der);
	of_key = fixture_run(NULL, "openssl pkey -inform DER -in %s -pubout", path);
	of_cert = fixture_run(NULL, "openssl x509 -in %s/cert.pem -noout -pubkey", directory);
	assert_non_null(strstr(of_key, "BEGIN PUBLIC KEY"));
	assert_string_equal(of_key, of_cert);
	free(of_key);
	free(of_cert);
}

static void test_keys_differ(void **state)
{
	struct challenge_key other;
	struct challenge_signer *none = NULL;

	(void)state;
	assert_int_equal(challenge_key_generate(&other), 0);
	assert_memory_not_equal(other.private_scalar, key.private_scalar,
				sizeof(key.private_scalar));
	/* A point that is not on the curve is refused. */
	other.public_point[40] ^= 1;
	assert_int_equal(challenge_signer_new(&none, &other), -EIO);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_openssl_reads_it),
		cmocka_unit_test(test_bad_signature_shows),
		cmocka_unit_test(test_exact_extensions),
		cmocka_unit_test(test_same_input_same_bytes),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_every_form_of_signature),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_keys_differ),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
