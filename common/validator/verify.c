// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/validator/verify.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#define TAG_BOOLEAN      0x01
#define TAG_INTEGER      0x02
#define TAG_OCTET_STRING 0x04
#define TAG_SEQUENCE     0x30
#define TAG_CONSTRUCTED  0x20
#define TAG_LONG         0x1f /* a tag of several bytes: nothing in a certificate has one */

#define DEPTH_MAX         16 /* a certificate has 8 */
#define SERIAL_OCTETS_MAX 20 /* RFC 5280 section 4.1.2.2 */
#define RSA_BITS_MIN      1024 /* Go's crypto/rsa */

static const struct {
	const char *name, *text;
} results[VERIFY_RESULTS] = {
	[VERIFY_OK] = {"ok", "answers the challenge"},
	[VERIFY_NOT_DER] = {"not_der", "the certificate is not DER (X.690 section 10)"},
	[VERIFY_TRAILING_BYTES] = {"trailing_bytes", "there are bytes behind the certificate"},
	[VERIFY_NOT_A_CERTIFICATE] = {"not_a_certificate", "this DER is no X.509 certificate"},
	[VERIFY_VERSION] = {"version", "the certificate's version is not 3"},
	[VERIFY_SERIAL_NOT_POSITIVE] = {"serial_not_positive",
					"the serial number is zero or negative"},
	[VERIFY_SERIAL_TOO_LONG] = {"serial_too_long", "the serial number has more than 20 octets"},
	[VERIFY_ALGORITHMS_DIFFER] = {"algorithms_differ",
				      "the signed signature algorithm is not the one outside"},
	[VERIFY_NOT_SELF_ISSUED] = {"not_self_issued",
				    "issuer and subject differ: a real certificate, so another "
				    "server answered"},
	[VERIFY_KEY] = {"key", "the public key is none that validators take"},
	[VERIFY_SIGNATURE_WEAK] = {"signature_weak", "the signature is made with MD5 or SHA-1"},
	[VERIFY_SIGNATURE] = {"signature", "the signature is not by the certificate's own key"},
	[VERIFY_NOT_YET_VALID] = {"not_yet_valid", "the certificate is not valid yet: compare "
						   "the clocks"},
	[VERIFY_EXPIRED] = {"expired", "the certificate has expired"},
	[VERIFY_EXTENSION_TWICE] = {"extension_twice", "an extension is there twice"},
	[VERIFY_EXTENSION_OTHER] = {"extension_other",
				    "there is an extension besides subjectAltName and "
				    "acmeIdentifier"},
	[VERIFY_SAN_MISSING] = {"san_missing", "there is no subjectAltName"},
	[VERIFY_SAN_MALFORMED] = {"san_malformed", "the subjectAltName is malformed"},
	[VERIFY_SAN_NOT_ONE] = {"san_not_one", "the subjectAltName has not exactly one name"},
	[VERIFY_SAN_TYPE] = {"san_type", "the subjectAltName is of another type than the "
					 "identifier"},
	[VERIFY_SAN_SPELLING] = {"san_spelling", "the subjectAltName is not in lower case"},
	[VERIFY_SAN_OTHER] = {"san_other", "the subjectAltName is another name"},
	[VERIFY_ACME_MISSING] = {"acme_missing",
				 "there is no acmeIdentifier: another server answered, which "
				 "takes any protocol"},
	[VERIFY_ACME_NOT_CRITICAL] = {"acme_not_critical", "acmeIdentifier is not critical"},
	[VERIFY_ACME_MALFORMED] = {"acme_malformed",
				   "acmeIdentifier is not an OCTET STRING of 32 bytes alone"},
	[VERIFY_ACME_DIGEST] = {"acme_digest",
				"acmeIdentifier has the digest of another key authorization"},
};

const char *verify_name(enum verify_result result)
{
	return results[result].name;
}

const char *verify_text(enum verify_result result)
{
	return results[result].text;
}

/* --- DER ------------------------------------------------------------------------------------ */

/* What is left to read. */
struct der {
	const uint8_t *at, *end;
};

struct element {
	uint8_t tag;
	struct der content;
};

static size_t der_size(const struct der *der)
{
	return (size_t)(der->end - der->at);
}

/* The next element: one-byte tag, definite length in its shortest form. */
static bool der_next(struct der *der, struct element *ret_element)
{
	const uint8_t *at = der->at;
	size_t length, octets;

	if (der_size(der) < 2 || (at[0] & TAG_LONG) == TAG_LONG)
		return false;
	length = at[1];
	at += 2;
	if (length & 0x80) {
		octets = length & 0x7f;
		if (octets < 1 || octets > 3 || octets > (size_t)(der->end - at))
			return false;
		length = 0;
		for (size_t i = 0; i < octets; i++)
			length = length << 8 | *at++;
		if (length < 0x80 || length >> 8 * (octets - 1) == 0)
			return false;
	}
	if (length > (size_t)(der->end - at))
		return false;
	ret_element->tag = der->at[0];
	ret_element->content = (struct der){at, at + length};
	der->at = at + length;
	return true;
}

static bool primitive_is_der(const struct element *element)
{
	const uint8_t *at = element->content.at;
	size_t size = der_size(&element->content);

	switch (element->tag) {
	case TAG_BOOLEAN:
		return size == 1 && (at[0] == 0 || at[0] == 0xff);
	case TAG_INTEGER:
		if (size < 2)
			return size == 1;
		return !(at[0] == 0 && at[1] < 0x80) && !(at[0] == 0xff && at[1] >= 0x80);
	default:
		return true;
	}
}

/* Whether all of it is DER.  An explicit stack: recursion by a stranger's bytes is bounded. */
static bool all_is_der(struct der der)
{
	struct der outer[DEPTH_MAX];
	struct element element;
	unsigned int depth = 0;

	for (;;) {
		while (der.at == der.end) {
			if (!depth)
				return true;
			der = outer[--depth];
		}
		if (!der_next(&der, &element))
			return false;
		if (!(element.tag & TAG_CONSTRUCTED)) {
			if (!primitive_is_der(&element))
				return false;
			continue;
		}
		if (depth == DEPTH_MAX)
			return false;
		outer[depth++] = der;
		der = element.content;
	}
}

/* --- the certificate's fields ---------------------------------------------------------------- */

static enum verify_result check_serial(const X509 *certificate)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
	const uint8_t *bytes = ASN1_STRING_get0_data(serial);
	size_t size = (size_t)ASN1_STRING_length(serial);

	if (ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER || (size == 1 && bytes[0] == 0))
		return VERIFY_SERIAL_NOT_POSITIVE;
	/* OpenSSL leaves out the zero octet before a first one of 0x80 and above. */
	if (size + (bytes[0] >= 0x80) > SERIAL_OCTETS_MAX)
		return VERIFY_SERIAL_TOO_LONG;
	return VERIFY_OK;
}

/* The same bytes: OpenSSL's own comparison overlooks case and spaces. */
static bool is_self_issued(const X509 *certificate)
{
	const unsigned char *subject, *issuer;
	size_t subject_size, issuer_size;

	return X509_NAME_get0_der(X509_get_subject_name(certificate), &subject, &subject_size) &&
	       X509_NAME_get0_der(X509_get_issuer_name(certificate), &issuer, &issuer_size) &&
	       subject_size == issuer_size && memcmp(subject, issuer, subject_size) == 0;
}

/* The keys of Go's crypto/x509. */
static bool key_is_usable(const EVP_PKEY *key)
{
	static const char *const curves[] = {SN_secp224r1, SN_X9_62_prime256v1, SN_secp384r1,
					     SN_secp521r1};
	char curve[64];

	switch (key ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE) {
	case EVP_PKEY_RSA:
		return EVP_PKEY_get_bits(key) >= RSA_BITS_MIN;
	case EVP_PKEY_ED25519:
		return true;
	case EVP_PKEY_EC:
		if (!EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL))
			return false;
		for (size_t i = 0; i < sizeof(curves) / sizeof(*curves); i++)
			if (strcmp(curve, curves[i]) == 0)
				return true;
		return false;
	default:
		return false;
	}
}

static enum verify_result check_signature(X509 *certificate)
{
	const X509_ALGOR *outside;
	EVP_PKEY *key = X509_get0_pubkey(certificate);
	int hash = NID_undef;

	X509_get0_signature(NULL, &outside, certificate);
	if (X509_ALGOR_cmp(outside, X509_get0_tbs_sigalg(certificate)) != 0)
		return VERIFY_ALGORITHMS_DIFFER;
	if (!is_self_issued(certificate))
		return VERIFY_NOT_SELF_ISSUED;
	if (!key_is_usable(key))
		return VERIFY_KEY;
	X509_get_signature_info(certificate, &hash, NULL, NULL, NULL);
	if (hash == NID_sha1 || hash == NID_md5)
		return VERIFY_SIGNATURE_WEAK;
	return X509_verify(certificate, key) == 1 ? VERIFY_OK : VERIFY_SIGNATURE;
}

static enum verify_result check_validity(const X509 *certificate, time_t now)
{
	/* 0: the time cannot be read. */
	if (X509_cmp_time(X509_get0_notBefore(certificate), &now) >= 0)
		return VERIFY_NOT_YET_VALID;
	if (X509_cmp_time(X509_get0_notAfter(certificate), &now) <= 0)
		return VERIFY_EXPIRED;
	return VERIFY_OK;
}

/* --- its extensions ------------------------------------------------------------------------- */

static struct der value_of(X509_EXTENSION *extension)
{
	const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(extension);
	const uint8_t *bytes = ASN1_STRING_get0_data(value);

	return (struct der){bytes, bytes + ASN1_STRING_length(value)};
}

/* GeneralNames with the one name, to the byte (RFC 8737 section 3, Boulder's comparison). */
static enum verify_result check_san(X509_EXTENSION *extension,
				    const struct verify_expected *expected)
{
	struct der value, names;
	struct element element;
	size_t size;

	if (!extension)
		return VERIFY_SAN_MISSING;
	value = value_of(extension);
	if (!all_is_der(value) || !der_next(&value, &element) || der_size(&value) ||
	    element.tag != TAG_SEQUENCE)
		return VERIFY_SAN_MALFORMED;
	names = element.content;
	if (!der_next(&names, &element) || der_size(&names))
		return VERIFY_SAN_NOT_ONE;
	if (element.tag != expected->type)
		return VERIFY_SAN_TYPE;
	size = der_size(&element.content);
	if (size == expected->name_size && memcmp(element.content.at, expected->name, size) == 0)
		return VERIFY_OK;
	if (element.tag == VERIFY_DNS_NAME && size == expected->name_size &&
	    strncasecmp((const char *)element.content.at, (const char *)expected->name, size) == 0)
		return VERIFY_SAN_SPELLING;
	return VERIFY_SAN_OTHER;
}

/* RFC 8737 section 3: critical; Authorization ::= OCTET STRING (SIZE (32)). */
static enum verify_result check_acme(X509_EXTENSION *extension, const uint8_t *digest)
{
	struct der value;
	struct element element;

	if (!X509_EXTENSION_get_critical(extension))
		return VERIFY_ACME_NOT_CRITICAL;
	value = value_of(extension);
	if (!der_next(&value, &element) || der_size(&value) || element.tag != TAG_OCTET_STRING ||
	    der_size(&element.content) != VERIFY_DIGEST_SIZE)
		return VERIFY_ACME_MALFORMED;
	if (digest && memcmp(element.content.at, digest, VERIFY_DIGEST_SIZE) != 0)
		return VERIFY_ACME_DIGEST;
	return VERIFY_OK;
}

static bool is_extension(X509_EXTENSION *extension, const uint8_t *oid, size_t size)
{
	const ASN1_OBJECT *object = X509_EXTENSION_get_object(extension);

	return OBJ_length(object) == size && memcmp(OBJ_get0_data(object), oid, size) == 0;
}

/* Exactly the two, each once. */
static enum verify_result check_extensions(const X509 *certificate,
					   const struct verify_expected *expected)
{
	static const uint8_t san_oid[] = {0x55, 0x1d, 0x11}; /* 2.5.29.17 */
	/* 1.3.6.1.5.5.7.1.31, RFC 8737 section 6.1 */
	static const uint8_t acme_oid[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f};
	X509_EXTENSION *san = NULL, *acme = NULL, *other = NULL, **found;
	enum verify_result result;

	for (int i = 0; i < X509_get_ext_count(certificate); i++) {
		X509_EXTENSION *extension = X509_get_ext(certificate, i);

		if (is_extension(extension, san_oid, sizeof(san_oid)))
			found = &san;
		else if (is_extension(extension, acme_oid, sizeof(acme_oid)))
			found = &acme;
		else
			found = &other;
		if (*found && found != &other)
			return VERIFY_EXTENSION_TWICE;
		*found = extension;
	}
	if (!acme)
		return VERIFY_ACME_MISSING;
	if (other)
		return VERIFY_EXTENSION_OTHER;
	result = check_san(san, expected);
	return result == VERIFY_OK ? check_acme(acme, expected->digest) : result;
}

/* What comes before parsing: one structure, DER to its last byte, and nothing behind it. */
static enum verify_result check_encoding(const uint8_t *der, size_t size)
{
	struct der whole = {der, der + size};
	struct element element;

	if (!der_next(&whole, &element) || !all_is_der((struct der){der, whole.at}))
		return VERIFY_NOT_DER;
	return der_size(&whole) ? VERIFY_TRAILING_BYTES : VERIFY_OK;
}

enum verify_result verify_parsed(X509 *certificate, const uint8_t *der, size_t size,
				 const struct verify_expected *expected)
{
	enum verify_result result = check_encoding(der, size);

	if (result != VERIFY_OK)
		return result;
	if (X509_get_version(certificate) != X509_VERSION_3)
		return VERIFY_VERSION;
	result = check_serial(certificate);
	if (result == VERIFY_OK)
		result = check_signature(certificate);
	if (result == VERIFY_OK)
		result = check_validity(certificate, expected->now);
	return result == VERIFY_OK ? check_extensions(certificate, expected) : result;
}

enum verify_result verify_certificate(const uint8_t *der, size_t size,
				      const struct verify_expected *expected)
{
	const unsigned char *at = der;
	enum verify_result result = check_encoding(der, size);
	X509 *certificate;

	if (result != VERIFY_OK)
		return result;
	certificate = d2i_X509(NULL, &at, (long)size);
	if (!certificate)
		return VERIFY_NOT_A_CERTIFICATE;
	result = verify_parsed(certificate, der, size, expected);
	X509_free(certificate);
	return result;
}
