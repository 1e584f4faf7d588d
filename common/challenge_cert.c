// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A certificate is written from its last byte to its first, so the length of each structure is
 * known when its header is written.
 */
#include "common/challenge_cert.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/sha256.h>

#define SERIAL_SIZE      16
#define SUBJECT          "sidestep challenge"
#define VALID_BEFORE_S   3600
#define VALID_AFTER_S    (CHALLENGE_CERT_VALID_DAYS * 86400)
#define GENERALIZED_YEAR 2050 /* UTCTime ends: RFC 5280 section 4.1.2.5 */

/* --- DER, ITU-T X.690 -------------------------------------------------------- */

enum der_tag {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_OID = 0x06,
	DER_UTF8_STRING = 0x0c,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_CONTEXT = 0x80,
	DER_CONTEXT_CONSTRUCTED = 0xa0,
};

/* A buffer, filled from its end. */
struct der {
	uint8_t bytes[CHALLENGE_CERT_DER_MAX];
	size_t start;
};

static void der_bytes(struct der *der, const void *bytes, size_t size)
{
	assert(size <= der->start);
	der->start -= size;
	memcpy(der->bytes + der->start, bytes, size);
}

static void der_byte(struct der *der, uint8_t byte)
{
	der_bytes(der, &byte, 1);
}

/* Write the header of everything written since der->start was `end`. */
static void der_header(struct der *der, uint8_t tag, size_t end)
{
	size_t size = end - der->start;

	der_byte(der, (uint8_t)size);
	if (size > 0xff) {
		der_byte(der, (uint8_t)(size >> 8));
		der_byte(der, 0x82);
	} else if (size > 0x7f) {
		der_byte(der, 0x81);
	}
	der_byte(der, tag);
}

static void der_value(struct der *der, uint8_t tag, const void *bytes, size_t size)
{
	size_t end = der->start;

	der_bytes(der, bytes, size);
	der_header(der, tag, end);
}

/* A positive INTEGER from `size` big-endian bytes, in the shortest form. */
static void der_positive(struct der *der, const uint8_t *bytes, size_t size)
{
	size_t end = der->start;

	while (size > 1 && bytes[0] == 0) {
		bytes++;
		size--;
	}
	der_bytes(der, bytes, size);
	if (bytes[0] & 0x80)
		der_byte(der, 0);
	der_header(der, DER_INTEGER, end);
}

/* A BIT STRING of whole bytes. */
static void der_bit_string(struct der *der, const void *bytes, size_t size)
{
	size_t end = der->start;

	der_bytes(der, bytes, size);
	der_byte(der, 0);
	der_header(der, DER_BIT_STRING, end);
}

/* --- the parts of the certificate, RFC 5280 section 4.1 ------------------------ */

static const uint8_t oid_ecdsa_with_sha256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
static const uint8_t oid_ec_public_key[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
static const uint8_t oid_prime256v1[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static const uint8_t oid_common_name[] = {0x55, 0x04, 0x03};
static const uint8_t oid_subject_alt_name[] = {0x55, 0x1d, 0x11};
static const uint8_t oid_acme_identifier[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f};

/* RFC 5758 section 3.2: without parameters. */
static void der_signature_algorithm(struct der *der)
{
	size_t end = der->start;

	der_value(der, DER_OID, oid_ecdsa_with_sha256, sizeof(oid_ecdsa_with_sha256));
	der_header(der, DER_SEQUENCE, end);
}

static void der_name(struct der *der)
{
	size_t end = der->start;

	der_value(der, DER_UTF8_STRING, SUBJECT, strlen(SUBJECT));
	der_value(der, DER_OID, oid_common_name, sizeof(oid_common_name));
	der_header(der, DER_SEQUENCE, end);
	der_header(der, DER_SET, end);
	der_header(der, DER_SEQUENCE, end);
}

static void der_time(struct der *der, int64_t unix_s)
{
	time_t moment = unix_s < 0 ? 0 : (time_t)unix_s;
	bool generalized;
	struct tm utc;
	char text[32];
	size_t length;

	gmtime_r(&moment, &utc);
	generalized = utc.tm_year + 1900 >= GENERALIZED_YEAR;
	length =
		strftime(text, sizeof(text), generalized ? "%Y%m%d%H%M%SZ" : "%y%m%d%H%M%SZ", &utc);
	der_value(der, generalized ? DER_GENERALIZED_TIME : DER_UTC_TIME, text, length);
}

static void der_validity(struct der *der, uint32_t issued_at)
{
	size_t end = der->start;

	der_time(der, (int64_t)issued_at + VALID_AFTER_S);
	der_time(der, (int64_t)issued_at - VALID_BEFORE_S);
	der_header(der, DER_SEQUENCE, end);
}

/* RFC 5480 section 2. */
static void der_public_key(struct der *der, const struct challenge_key *key)
{
	size_t end = der->start, algorithm_end;

	der_bit_string(der, key->public_point, sizeof(key->public_point));
	algorithm_end = der->start;
	der_value(der, DER_OID, oid_prime256v1, sizeof(oid_prime256v1));
	der_value(der, DER_OID, oid_ec_public_key, sizeof(oid_ec_public_key));
	der_header(der, DER_SEQUENCE, algorithm_end);
	der_header(der, DER_SEQUENCE, end);
}

/* RFC 8737 section 3: critical; an OCTET STRING within the extension's own. */
static void der_acme_identifier(struct der *der, const uint8_t digest[CHALLENGE_DIGEST_SIZE])
{
	size_t end = der->start;

	der_value(der, DER_OCTET_STRING, digest, CHALLENGE_DIGEST_SIZE);
	der_header(der, DER_OCTET_STRING, end);
	der_value(der, DER_BOOLEAN, "\xff", 1);
	der_value(der, DER_OID, oid_acme_identifier, sizeof(oid_acme_identifier));
	der_header(der, DER_SEQUENCE, end);
}

/* RFC 5280 section 4.2.1.6, with one dNSName [2] or one iPAddress [7]. */
static void der_subject_alt_name(struct der *der, const struct identifier *identifier)
{
	size_t end = der->start;

	switch (identifier->type) {
	case IDENTIFIER_DNS:
		der_value(der, DER_CONTEXT | 2, identifier->value, strlen(identifier->value));
		break;
	case IDENTIFIER_IPV4:
		der_value(der, DER_CONTEXT | 7, identifier->address, 4);
		break;
	case IDENTIFIER_IPV6:
		der_value(der, DER_CONTEXT | 7, identifier->address, 16);
		break;
	}
	der_header(der, DER_SEQUENCE, end);
	der_header(der, DER_OCTET_STRING, end);
	der_value(der, DER_OID, oid_subject_alt_name, sizeof(oid_subject_alt_name));
	der_header(der, DER_SEQUENCE, end);
}

/* Random enough, never zero, always 16 bytes, and the same for the same challenge. */
static void der_serial(struct der *der, const uint8_t digest[CHALLENGE_DIGEST_SIZE])
{
	uint8_t serial[SERIAL_SIZE];

	memcpy(serial, digest, sizeof(serial));
	serial[0] = (serial[0] & 0x7f) | 0x40;
	der_positive(der, serial, sizeof(serial));
}

static void der_to_be_signed(struct der *der, const struct challenge_key *key,
			     const struct challenge_cert *cert)
{
	size_t end = der->start, version_end;

	der_acme_identifier(der, cert->digest);
	der_subject_alt_name(der, &cert->identifier);
	der_header(der, DER_SEQUENCE, end);
	der_header(der, DER_CONTEXT_CONSTRUCTED | 3, end);
	der_public_key(der, key);
	der_name(der);
	der_validity(der, cert->issued_at);
	der_name(der);
	der_signature_algorithm(der);
	der_serial(der, cert->digest);
	version_end = der->start;
	der_value(der, DER_INTEGER, "\x02", 1); /* v3 */
	der_header(der, DER_CONTEXT_CONSTRUCTED | 0, version_end);
	der_header(der, DER_SEQUENCE, end);
}

/* RFC 5480 appendix A: Ecdsa-Sig-Value in a BIT STRING. */
static void der_signature(struct der *der, const uint8_t signature[CHALLENGE_SIGNATURE_SIZE])
{
	size_t end = der->start, half = CHALLENGE_SIGNATURE_SIZE / 2;

	der_positive(der, signature + half, half);
	der_positive(der, signature, half);
	der_header(der, DER_SEQUENCE, end);
	der_byte(der, 0);
	der_header(der, DER_BIT_STRING, end);
}

size_t challenge_cert_der(const struct challenge_key *key, const struct challenge_cert *cert,
			  uint8_t ret_der[CHALLENGE_CERT_DER_MAX])
{
	struct der der = {.start = sizeof(der.bytes)};
	size_t size;

	der_signature(&der, cert->signature);
	der_signature_algorithm(&der);
	der_to_be_signed(&der, key, cert);
	der_header(&der, DER_SEQUENCE, sizeof(der.bytes));
	size = sizeof(der.bytes) - der.start;
	memcpy(ret_der, der.bytes + der.start, size);
	return size;
}

/* --- the key and the signature ------------------------------------------------- */

int challenge_key_der(const struct challenge_key *key, uint8_t ret_der[CHALLENGE_KEY_DER_MAX])
{
	struct der der = {.start = sizeof(der.bytes)};
	size_t end = der.start, parameters_end, size;

	der_bit_string(&der, key->public_point, sizeof(key->public_point));
	der_header(&der, DER_CONTEXT_CONSTRUCTED | 1, end);
	parameters_end = der.start;
	der_value(&der, DER_OID, oid_prime256v1, sizeof(oid_prime256v1));
	der_header(&der, DER_CONTEXT_CONSTRUCTED | 0, parameters_end);
	der_value(&der, DER_OCTET_STRING, key->private_scalar, sizeof(key->private_scalar));
	der_value(&der, DER_INTEGER, "\x01", 1);
	der_header(&der, DER_SEQUENCE, end);
	size = end - der.start;
	assert(size <= CHALLENGE_KEY_DER_MAX);
	memcpy(ret_der, der.bytes + der.start, size);
	return (int)size;
}

int challenge_key_generate(struct challenge_key *ret_key)
{
	struct challenge_key key;
	word32 scalar_size = sizeof(key.private_scalar), point_size = sizeof(key.public_point);
	bool rng_ready = false, ecc_ready = false;
	int err = -EIO;
	ecc_key ecc;
	WC_RNG rng;

	if (wc_InitRng(&rng))
		goto out;
	rng_ready = true;
	if (wc_ecc_init(&ecc))
		goto out;
	ecc_ready = true;
	if (wc_ecc_make_key_ex(&rng, CHALLENGE_KEY_PRIVATE_SIZE, &ecc, ECC_SECP256R1) ||
	    wc_ecc_export_private_only(&ecc, key.private_scalar, &scalar_size) ||
	    wc_ecc_export_x963(&ecc, key.public_point, &point_size) ||
	    scalar_size != sizeof(key.private_scalar) || point_size != sizeof(key.public_point))
		goto out;
	*ret_key = key;
	err = 0;
out:
	if (ecc_ready)
		wc_ecc_free(&ecc);
	if (rng_ready)
		wc_FreeRng(&rng);
	return err;
}

struct challenge_signer {
	struct challenge_key key;
	ecc_key ecc;
	WC_RNG rng;
};

int challenge_signer_new(struct challenge_signer **ret_signer, const struct challenge_key *key)
{
	struct challenge_signer *signer = calloc(1, sizeof(*signer));

	if (!signer)
		return -ENOMEM;
	signer->key = *key;
	if (wc_InitRng(&signer->rng)) {
		free(signer);
		return -EIO;
	}
	if (wc_ecc_init(&signer->ecc)) {
		wc_FreeRng(&signer->rng);
		free(signer);
		return -EIO;
	}
	if (wc_ecc_import_private_key_ex(key->private_scalar, sizeof(key->private_scalar),
					 key->public_point, sizeof(key->public_point), &signer->ecc,
					 ECC_SECP256R1) ||
	    wc_ecc_check_key(&signer->ecc)) {
		challenge_signer_free(signer);
		return -EIO;
	}
	*ret_signer = signer;
	return 0;
}

void challenge_signer_free(struct challenge_signer *signer)
{
	if (!signer)
		return;
	wc_ecc_free(&signer->ecc);
	wc_FreeRng(&signer->rng);
	free(signer);
}

/* Put a number without leading zeros at the end of `size` bytes. */
static void align_right(uint8_t *ret_number, size_t size, const uint8_t *bytes, size_t count)
{
	memset(ret_number, 0, size - count);
	memcpy(ret_number + size - count, bytes, count);
}

int challenge_cert_sign(struct challenge_signer *signer, struct challenge_cert *cert)
{
	enum { HALF = CHALLENGE_SIGNATURE_SIZE / 2 };
	uint8_t hash[WC_SHA256_DIGEST_SIZE], signature[ECC_MAX_SIG_SIZE], r[HALF], s[HALF];
	word32 size = sizeof(signature), r_size = sizeof(r), s_size = sizeof(s);
	struct der der = {.start = sizeof(der.bytes)};

	der_to_be_signed(&der, &signer->key, cert);
	if (wc_Sha256Hash(der.bytes + der.start, (word32)(sizeof(der.bytes) - der.start), hash) ||
	    wc_ecc_sign_hash(hash, sizeof(hash), signature, &size, &signer->rng, &signer->ecc) ||
	    wc_ecc_sig_to_rs(signature, size, r, &r_size, s, &s_size) || r_size > sizeof(r) ||
	    s_size > sizeof(s))
		return -EIO;
	align_right(cert->signature, HALF, r, r_size);
	align_right(cert->signature + HALF, HALF, s, s_size);
	return 0;
}
