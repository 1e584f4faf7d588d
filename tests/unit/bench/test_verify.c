// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Certificates that are wrong in one thing each.  Every one is created and signed by
 * OpenSSL after its change, or changed afterwards where the change is of the encoding,
 * so that nothing but the named check can find it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "common/validator/verify.h"

#define NAME      "www.example.org"
#define ACME_OID  "1.3.6.1.5.5.7.1.31"
#define OLD_OID   "1.3.6.1.5.5.7.1.30.1" /* of the drafts before RFC 8737 */
#define DAY_S     86400
#define DER_MAX   4096
#define SPARE_MAX 64

static const uint8_t digest[VERIFY_DIGEST_SIZE] = {1, 2, 3, [31] = 32};

/* A certificate before it is signed, and what signs it. */
struct draft {
	X509 *certificate;
	EVP_PKEY *key; /* signs; its public half is in the certificate */
	const EVP_MD *hash;
};

struct der {
	uint8_t bytes[DER_MAX];
	size_t size;
};

static struct verify_expected expected_name(void)
{
	return (struct verify_expected){VERIFY_DNS_NAME, (const uint8_t *)NAME, strlen(NAME),
					digest, time(NULL)};
}

/* --- making ----------------------------------------------------------------------------------- */

/* An extension of any bytes. */
static void add_extension(X509 *certificate, const char *oid, bool critical, const void *bytes,
			  size_t size)
{
	ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension;

	assert_true(object && value && ASN1_OCTET_STRING_set(value, bytes, (int)size));
	extension = X509_EXTENSION_create_by_OBJ(NULL, object, critical, value);
	assert_non_null(extension);
	assert_true(X509_add_ext(certificate, extension, -1));
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(value);
	ASN1_OBJECT_free(object);
}

static void remove_extension(X509 *certificate, const char *oid)
{
	ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
	int at = X509_get_ext_by_OBJ(certificate, object, -1);

	assert_true(at >= 0);
	X509_EXTENSION_free(X509_delete_ext(certificate, at));
	ASN1_OBJECT_free(object);
}

#define SAN_OID "2.5.29.17"

/* GeneralNames of one-byte lengths: what is in `names` is whole GeneralName structures. */
static void set_san(X509 *certificate, const void *names, size_t size)
{
	uint8_t value[128] = {0x30, (uint8_t)size};

	assert_true(size < 0x80 && size + 2 <= sizeof(value));
	memcpy(value + 2, names, size);
	remove_extension(certificate, SAN_OID);
	add_extension(certificate, SAN_OID, false, value, size + 2);
}

static void set_acme(X509 *certificate, const char *oid, bool critical, const void *value,
		     size_t size)
{
	remove_extension(certificate, ACME_OID);
	add_extension(certificate, oid, critical, value, size);
}

static EVP_PKEY *make_key(const char *curve)
{
	EVP_PKEY *key = EVP_EC_gen(curve);

	assert_non_null(key);
	return key;
}

static void make_draft(struct draft *draft)
{
	static const uint8_t san[] = "\x30\x11\x82\x0f" NAME;
	uint8_t acme[2 + VERIFY_DIGEST_SIZE] = {0x04, VERIFY_DIGEST_SIZE};
	X509 *certificate = X509_new();
	X509_NAME *name;

	draft->certificate = certificate;
	draft->key = make_key("P-256");
	draft->hash = EVP_sha256();
	assert_non_null(certificate);
	assert_true(X509_set_version(certificate, X509_VERSION_3));
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 4711);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -DAY_S);
	X509_gmtime_adj(X509_getm_notAfter(certificate), DAY_S);
	name = X509_get_subject_name(certificate);
	assert_true(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					       (const unsigned char *)"challenge", -1, -1, 0));
	assert_true(X509_set_issuer_name(certificate, name));
	assert_true(X509_set_pubkey(certificate, draft->key));
	memcpy(acme + 2, digest, sizeof(digest));
	add_extension(certificate, SAN_OID, false, san, sizeof(san) - 1);
	add_extension(certificate, ACME_OID, true, acme, sizeof(acme));
}

static void use_key(struct draft *draft, EVP_PKEY *key)
{
	EVP_PKEY_free(draft->key);
	draft->key = key;
	assert_true(X509_set_pubkey(draft->certificate, key));
}

static void sign(struct draft *draft, struct der *ret_der)
{
	unsigned char *at = ret_der->bytes;
	int size;

	assert_true(X509_sign(draft->certificate, draft->key, draft->hash) > 0);
	size = i2d_X509(draft->certificate, NULL);
	assert_in_range(size, 1, DER_MAX - SPARE_MAX);
	ret_der->size = (size_t)i2d_X509(draft->certificate, &at);
	X509_free(draft->certificate);
	EVP_PKEY_free(draft->key);
}

/* --- changes before the signature ------------------------------------------------------------- */

static void version_1(struct draft *draft)
{
	X509_set_version(draft->certificate, X509_VERSION_1);
}

static void version_2(struct draft *draft)
{
	X509_set_version(draft->certificate, X509_VERSION_2);
}

static void serial_zero(struct draft *draft)
{
	ASN1_INTEGER_set(X509_get_serialNumber(draft->certificate), 0);
}

static void serial_negative(struct draft *draft)
{
	ASN1_INTEGER_set(X509_get_serialNumber(draft->certificate), -5);
}

static void serial_of(struct draft *draft, uint8_t first, int size)
{
	uint8_t bytes[32] = {first};

	ASN1_STRING_set(X509_get_serialNumber(draft->certificate), bytes, size);
}

static void serial_21_octets(struct draft *draft)
{
	serial_of(draft, 0x7f, 21);
}

/* 20, and the zero that keeps it positive. */
static void serial_20_octets_and_sign(struct draft *draft)
{
	serial_of(draft, 0x80, 20);
}

static void other_issuer(struct draft *draft)
{
	X509_NAME_add_entry_by_txt(X509_get_issuer_name(draft->certificate), "O", MBSTRING_ASC,
				   (const unsigned char *)"CA", -1, -1, 0);
}

/* The same to X509_NAME_cmp(), but not to those who compare bytes. */
static void issuer_in_upper_case(struct draft *draft)
{
	X509_NAME *name = X509_NAME_new();

	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"CHALLENGE", -1,
				   -1, 0);
	X509_set_issuer_name(draft->certificate, name);
	X509_NAME_free(name);
}

static void key_of_unknown_curve(struct draft *draft)
{
	use_key(draft, make_key("secp256k1"));
}

static void key_rsa_512(struct draft *draft)
{
	use_key(draft, EVP_RSA_gen(512));
}

static void signature_sha1(struct draft *draft)
{
	draft->hash = EVP_sha1();
}

static void signature_by_another_key(struct draft *draft)
{
	EVP_PKEY *other = make_key("P-256");

	EVP_PKEY_free(draft->key);
	draft->key = other;
}

static void valid_from_tomorrow(struct draft *draft)
{
	X509_gmtime_adj(X509_getm_notBefore(draft->certificate), DAY_S);
	X509_gmtime_adj(X509_getm_notAfter(draft->certificate), 2 * DAY_S);
}

static void valid_until_an_hour_ago(struct draft *draft)
{
	X509_gmtime_adj(X509_getm_notAfter(draft->certificate), -3600);
}

static void san_twice(struct draft *draft)
{
	add_extension(draft->certificate, SAN_OID, false, "\x30\x11\x82\x0f" NAME, 19);
}

static void acme_twice(struct draft *draft)
{
	uint8_t acme[2 + VERIFY_DIGEST_SIZE] = {0x04, VERIFY_DIGEST_SIZE};

	memcpy(acme + 2, digest, sizeof(digest));
	add_extension(draft->certificate, ACME_OID, true, acme, sizeof(acme));
}

static void key_usage_besides(struct draft *draft)
{
	add_extension(draft->certificate, "2.5.29.15", false, "\x03\x02\x07\x80", 4);
}

static void critical_constraints_besides(struct draft *draft)
{
	add_extension(draft->certificate, "2.5.29.19", true, "\x30\x00", 2);
}

static void san_missing(struct draft *draft)
{
	remove_extension(draft->certificate, SAN_OID);
}

static void san_with_bytes_behind(struct draft *draft)
{
	remove_extension(draft->certificate, SAN_OID);
	add_extension(draft->certificate, SAN_OID, false, "\x30\x11\x82\x0f" NAME "\x05\x00", 21);
}

static void san_of_long_length(struct draft *draft)
{
	remove_extension(draft->certificate, SAN_OID);
	add_extension(draft->certificate, SAN_OID, false, "\x30\x81\x11\x82\x0f" NAME, 20);
}

static void san_no_sequence(struct draft *draft)
{
	remove_extension(draft->certificate, SAN_OID);
	add_extension(draft->certificate, SAN_OID, false, "\x31\x11\x82\x0f" NAME, 19);
}

static void san_empty(struct draft *draft)
{
	set_san(draft->certificate, "", 0);
}

static void san_another_name_too(struct draft *draft)
{
	set_san(draft->certificate,
		"\x82\x0f" NAME "\x82\x0b"
		"example.org",
		30);
}

static void san_the_name_twice(struct draft *draft)
{
	set_san(draft->certificate, "\x82\x0f" NAME "\x82\x0f" NAME, 34);
}

static void san_an_address(struct draft *draft)
{
	set_san(draft->certificate, "\x87\x04\xc0\x00\x02\x01", 6);
}

static void san_the_name_as_email(struct draft *draft)
{
	set_san(draft->certificate, "\x81\x0f" NAME, 17);
}

static void san_in_upper_case(struct draft *draft)
{
	set_san(draft->certificate, "\x82\x0fWWW.example.org", 17);
}

static void san_another_name(struct draft *draft)
{
	set_san(draft->certificate, "\x82\x0fwww.example.com", 17);
}

static void san_a_wildcard(struct draft *draft)
{
	set_san(draft->certificate, "\x82\x0d*.example.org", 15);
}

static void san_with_a_trailing_dot(struct draft *draft)
{
	set_san(draft->certificate, "\x82\x10" NAME ".", 18);
}

static void san_the_name_and_a_zero(struct draft *draft)
{
	set_san(draft->certificate, "\x82\x10" NAME "\0", 18);
}

static void acme_missing(struct draft *draft)
{
	remove_extension(draft->certificate, ACME_OID);
}

static void acme_not_critical(struct draft *draft)
{
	uint8_t acme[2 + VERIFY_DIGEST_SIZE] = {0x04, VERIFY_DIGEST_SIZE};

	memcpy(acme + 2, digest, sizeof(digest));
	set_acme(draft->certificate, ACME_OID, false, acme, sizeof(acme));
}

static void acme_of_the_drafts(struct draft *draft)
{
	uint8_t acme[2 + VERIFY_DIGEST_SIZE] = {0x04, VERIFY_DIGEST_SIZE};

	memcpy(acme + 2, digest, sizeof(digest));
	set_acme(draft->certificate, OLD_OID, true, acme, sizeof(acme));
}

static void acme_without_octet_string(struct draft *draft)
{
	set_acme(draft->certificate, ACME_OID, true, digest, sizeof(digest));
}

static void acme_of_size(struct draft *draft, uint8_t size, size_t behind)
{
	uint8_t acme[64] = {0x04, size};

	memcpy(acme + 2, digest, sizeof(digest));
	set_acme(draft->certificate, ACME_OID, true, acme, 2u + size + behind);
}

static void acme_31_bytes(struct draft *draft)
{
	acme_of_size(draft, 31, 0);
}

static void acme_33_bytes(struct draft *draft)
{
	acme_of_size(draft, 33, 0);
}

static void acme_with_bytes_behind(struct draft *draft)
{
	acme_of_size(draft, 32, 2);
}

static void acme_other_digest(struct draft *draft)
{
	uint8_t acme[2 + VERIFY_DIGEST_SIZE] = {0x04, VERIFY_DIGEST_SIZE};

	memcpy(acme + 2, digest, sizeof(digest));
	acme[sizeof(acme) - 1] ^= 1;
	set_acme(draft->certificate, ACME_OID, true, acme, sizeof(acme));
}

/* --- changes of the signed DER ---------------------------------------------------------------- */

/* The outer SEQUENCE's length in three octets where two do: BER. */
static void length_too_long(struct der *der)
{
	assert_int_equal(der->bytes[1], 0x82);
	memmove(der->bytes + 3, der->bytes + 2, der->size - 2);
	der->bytes[1] = 0x83;
	der->bytes[2] = 0;
	der->size++;
}

/* The same of indefinite length. */
static void length_indefinite(struct der *der)
{
	memmove(der->bytes + 2, der->bytes + 4, der->size - 4);
	der->bytes[1] = 0x80;
	der->size -= 2;
	memset(der->bytes + der->size, 0, 2);
	der->size += 2;
}

static void cut_short(struct der *der)
{
	der->size--;
}

static void nothing(struct der *der)
{
	der->size = 0;
}

static void bytes_behind(struct der *der)
{
	der->bytes[der->size++] = 0;
}

static void another_structure(struct der *der)
{
	static const uint8_t sequence[] = {0x30, 0x03, 0x02, 0x01, 0x01};

	memcpy(der->bytes, sequence, sizeof(sequence));
	der->size = sizeof(sequence);
}

/* ecdsa-with-SHA256 outside becomes ecdsa-with-SHA384; what is signed stays. */
static void other_algorithm_outside(struct der *der)
{
	static const uint8_t oid[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
	uint8_t *at = der->bytes, *last = NULL;

	while ((at = memmem(at, (size_t)(der->bytes + der->size - at), oid, sizeof(oid))))
		last = at++;
	assert_non_null(last);
	last[sizeof(oid) - 1] = 0x03;
}

static void signature_bent(struct der *der)
{
	der->bytes[der->size - 1] ^= 1;
}

/* --- the table -------------------------------------------------------------------------------- */

static const struct mutation {
	const char *name;
	enum verify_result result; /* of the check that it breaks */
	void (*change)(struct draft *draft);
	void (*bend)(struct der *der);
} mutations[] = {
#define CHANGE(change, result)                \
	{                                     \
#change, result, change, NULL \
	}
#define BEND(bend, result)                \
	{                                 \
#bend, result, NULL, bend \
	}
	BEND(length_too_long, VERIFY_NOT_DER),
	BEND(length_indefinite, VERIFY_NOT_DER),
	BEND(cut_short, VERIFY_NOT_DER),
	BEND(nothing, VERIFY_NOT_DER),
	BEND(bytes_behind, VERIFY_TRAILING_BYTES),
	BEND(another_structure, VERIFY_NOT_A_CERTIFICATE),
	CHANGE(version_1, VERIFY_VERSION),
	CHANGE(version_2, VERIFY_VERSION),
	CHANGE(serial_zero, VERIFY_SERIAL_NOT_POSITIVE),
	CHANGE(serial_negative, VERIFY_SERIAL_NOT_POSITIVE),
	CHANGE(serial_21_octets, VERIFY_SERIAL_TOO_LONG),
	CHANGE(serial_20_octets_and_sign, VERIFY_SERIAL_TOO_LONG),
	BEND(other_algorithm_outside, VERIFY_ALGORITHMS_DIFFER),
	CHANGE(other_issuer, VERIFY_NOT_SELF_ISSUED),
	CHANGE(issuer_in_upper_case, VERIFY_NOT_SELF_ISSUED),
	CHANGE(key_of_unknown_curve, VERIFY_KEY),
	CHANGE(key_rsa_512, VERIFY_KEY),
	CHANGE(signature_sha1, VERIFY_SIGNATURE_WEAK),
	CHANGE(signature_by_another_key, VERIFY_SIGNATURE),
	BEND(signature_bent, VERIFY_SIGNATURE),
	CHANGE(valid_from_tomorrow, VERIFY_NOT_YET_VALID),
	CHANGE(valid_until_an_hour_ago, VERIFY_EXPIRED),
	CHANGE(san_twice, VERIFY_EXTENSION_TWICE),
	CHANGE(acme_twice, VERIFY_EXTENSION_TWICE),
	CHANGE(key_usage_besides, VERIFY_EXTENSION_OTHER),
	CHANGE(critical_constraints_besides, VERIFY_EXTENSION_OTHER),
	CHANGE(san_missing, VERIFY_SAN_MISSING),
	CHANGE(san_with_bytes_behind, VERIFY_SAN_MALFORMED),
	CHANGE(san_of_long_length, VERIFY_SAN_MALFORMED),
	CHANGE(san_no_sequence, VERIFY_SAN_MALFORMED),
	CHANGE(san_empty, VERIFY_SAN_NOT_ONE),
	CHANGE(san_another_name_too, VERIFY_SAN_NOT_ONE),
	CHANGE(san_the_name_twice, VERIFY_SAN_NOT_ONE),
	CHANGE(san_an_address, VERIFY_SAN_TYPE),
	CHANGE(san_the_name_as_email, VERIFY_SAN_TYPE),
	CHANGE(san_in_upper_case, VERIFY_SAN_SPELLING),
	CHANGE(san_another_name, VERIFY_SAN_OTHER),
	CHANGE(san_a_wildcard, VERIFY_SAN_OTHER),
	CHANGE(san_with_a_trailing_dot, VERIFY_SAN_OTHER),
	CHANGE(san_the_name_and_a_zero, VERIFY_SAN_OTHER),
	CHANGE(acme_missing, VERIFY_ACME_MISSING),
	CHANGE(acme_of_the_drafts, VERIFY_ACME_MISSING),
	CHANGE(acme_not_critical, VERIFY_ACME_NOT_CRITICAL),
	CHANGE(acme_without_octet_string, VERIFY_ACME_MALFORMED),
	CHANGE(acme_31_bytes, VERIFY_ACME_MALFORMED),
	CHANGE(acme_33_bytes, VERIFY_ACME_MALFORMED),
	CHANGE(acme_with_bytes_behind, VERIFY_ACME_MALFORMED),
	CHANGE(acme_other_digest, VERIFY_ACME_DIGEST),
};

#define MUTATIONS (sizeof(mutations) / sizeof(*mutations))

static void make(const struct mutation *mutation, struct der *ret_der)
{
	struct draft draft;

	make_draft(&draft);
	if (mutation && mutation->change)
		mutation->change(&draft);
	sign(&draft, ret_der);
	if (mutation && mutation->bend)
		mutation->bend(ret_der);
}

static void test_rejects_each_mutation(void **state)
{
	struct verify_expected expected = expected_name();
	enum verify_result result;
	struct der der;

	(void)state;
	for (size_t i = 0; i < MUTATIONS; i++) {
		make(&mutations[i], &der);
		result = verify_certificate(der.bytes, der.size, &expected);
		if (result != mutations[i].result)
			fail_msg("%s: found %s instead of %s", mutations[i].name,
				 verify_name(result), verify_name(mutations[i].result));
	}
}

static void test_every_verdict_has_a_mutation(void **state)
{
	bool met[VERIFY_RESULTS] = {[VERIFY_OK] = true};

	(void)state;
	for (size_t i = 0; i < MUTATIONS; i++)
		met[mutations[i].result] = true;
	for (enum verify_result result = 0; result < VERIFY_RESULTS; result++) {
		if (!met[result])
			fail_msg("no mutation is found by %s", verify_name(result));
		assert_non_null(verify_text(result));
	}
}

/* --- what is right ---------------------------------------------------------------------------- */

static void assert_ok(const struct der *der, const struct verify_expected *expected)
{
	enum verify_result result = verify_certificate(der->bytes, der->size, expected);

	if (result != VERIFY_OK)
		fail_msg("%s", verify_text(result));
}

static void test_accepts_the_answer(void **state)
{
	struct verify_expected expected = expected_name();
	struct der der;

	(void)state;
	make(NULL, &der);
	assert_ok(&der, &expected);
	/* Whatever the key authorization: the form alone. */
	expected.digest = NULL;
	assert_ok(&der, &expected);
	make(&(struct mutation){.change = acme_other_digest}, &der);
	assert_ok(&der, &expected);
}

static void longest_serial(struct draft *draft)
{
	serial_of(draft, 0x7f, 20);
}

static void key_p384(struct draft *draft)
{
	use_key(draft, make_key("P-384"));
	draft->hash = EVP_sha384();
}

static void key_rsa_2048(struct draft *draft)
{
	use_key(draft, EVP_RSA_gen(2048));
}

static void key_ed25519(struct draft *draft)
{
	use_key(draft, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
	draft->hash = NULL;
}

static void test_accepts_what_validators_do(void **state)
{
	static void (*const changes[])(struct draft *) = {longest_serial, key_p384, key_rsa_2048,
							  key_ed25519};
	struct verify_expected expected = expected_name();
	struct der der;

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		make(&(struct mutation){.change = changes[i]}, &der);
		assert_ok(&der, &expected);
	}
}

static void san_of_ipv6(struct draft *draft)
{
	static const uint8_t name[] = {0x87, 0x10, 0x20, 0x01, 0x0d, 0xb8, [17] = 1};

	set_san(draft->certificate, name, sizeof(name));
}

/* RFC 8738 section 3. */
static void test_address_identifiers(void **state)
{
	static const uint8_t ipv4[] = {192, 0, 2, 1}, ipv6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	struct verify_expected expected = expected_name();
	struct der der;

	(void)state;
	expected.type = VERIFY_IP_ADDRESS;
	expected.name = ipv4;
	expected.name_size = sizeof(ipv4);
	make(&(struct mutation){.change = san_an_address}, &der);
	assert_ok(&der, &expected);
	make(NULL, &der);
	assert_int_equal(verify_certificate(der.bytes, der.size, &expected), VERIFY_SAN_TYPE);
	make(&(struct mutation){.change = san_of_ipv6}, &der);
	assert_int_equal(verify_certificate(der.bytes, der.size, &expected), VERIFY_SAN_OTHER);
	expected.name = ipv6;
	expected.name_size = sizeof(ipv6);
	assert_ok(&der, &expected);
}

/* Any byte of it changed makes it wrong; and no bytes make it read beyond. */
static void test_rejects_every_bent_byte(void **state)
{
	struct verify_expected expected = expected_name();
	struct der der;
	uint8_t *copy;

	(void)state;
	make(NULL, &der);
	for (size_t i = 0; i < der.size; i++) {
		copy = malloc(der.size); /* of its very size, for the sanitizer */
		assert_non_null(copy);
		memcpy(copy, der.bytes, der.size);
		copy[i] ^= 0x20;
		if (verify_certificate(copy, der.size, &expected) == VERIFY_OK)
			fail_msg("byte %zu does not matter", i);
		free(copy);
		copy = malloc(i ? i : 1);
		assert_non_null(copy);
		memcpy(copy, der.bytes, i);
		assert_int_equal(verify_certificate(copy, i, &expected), VERIFY_NOT_DER);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepts_the_answer),
		cmocka_unit_test(test_accepts_what_validators_do),
		cmocka_unit_test(test_address_identifiers),
		cmocka_unit_test(test_rejects_each_mutation),
		cmocka_unit_test(test_every_verdict_has_a_mutation),
		cmocka_unit_test(test_rejects_every_bent_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
