// SPDX-License-Identifier: GPL-3.0-or-later
/* Keys, base64url and signed requests, against published vectors and openssl. */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/coding.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/hash.h>

#include "acme/util/base64url.h"
#include "acme/protocol/jws.h"
#include "acme/crypto/key.h"
#include "tests/unit/fixture.h"

/* The P-256 key of RFC 7515 appendix A.3. */
#define RFC7515_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define RFC7515_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
static const char rfc7515_key[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQnnGQmL+YBIff\n"
	"H1136cspYG6+0iY7X1fCE9+E9LKhRANCAAR/zc4ncPbEXUGDy+5v20t7WAczNXvp\n"
	"7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt\n"
	"-----END PRIVATE KEY-----\n";

static struct key *rfc7515(void)
{
	struct key *key;

	assert_int_equal(key_from_pem(&key, rfc7515_key, strlen(rfc7515_key)), 0);
	return key;
}

/* --- base64url -------------------------------------------------------------------------------- */

/* RFC 4648 section 10, without the padding. */
static void test_base64url_vectors(void **state)
{
	static const char *const vectors[][2] = {
		{"", ""},
		{"f", "Zg"},
		{"fo", "Zm8"},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg"},
		{"fooba", "Zm9vYmE"},
		{"foobar", "Zm9vYmFy"},
		{"\xfb\xff", "-_8"},
	};
	char *text, bytes[8];
	size_t size, i;

	(void)state;
	for (i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		text = base64url_new(vectors[i][0], strlen(vectors[i][0]));
		assert_string_equal(text, vectors[i][1]);
		assert_int_equal(BASE64URL_LENGTH(strlen(vectors[i][0])), strlen(text));
		free(text);
		assert_int_equal(base64url_decode(bytes, sizeof(bytes), &size, vectors[i][1]), 0);
		assert_int_equal(size, strlen(vectors[i][0]));
		assert_memory_equal(bytes, vectors[i][0], size);
	}
}

static void test_base64url_decode_refuses(void **state)
{
	static const char *const bad[] = {"Z", "Zm9vY", "Zm9=", "Zm 9", "Zm9v\n", "a+bc", "a/bc"};
	char bytes[3];
	size_t size = 7, i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(base64url_decode(bytes, sizeof(bytes), &size, bad[i]), -EBADMSG);
	assert_int_equal(base64url_decode(bytes, sizeof(bytes), &size, "Zm9vYg"), -EFBIG);
	assert_int_equal(size, 7);
	assert_int_equal(base64url_decode(bytes, sizeof(bytes), &size, "Zm9v"), 0);
	assert_int_equal(size, 3);
}

static void test_base64url_alphabet(void **state)
{
	(void)state;
	assert_true(base64url_is_valid("Az09-_"));
	assert_false(base64url_is_valid(""));
	assert_false(base64url_is_valid("a+b"));
	assert_false(base64url_is_valid("a/b"));
	assert_false(base64url_is_valid("ab=="));
	assert_false(base64url_is_valid("a b"));
	assert_false(base64url_is_valid("a\n"));
}

/* --- keys ------------------------------------------------------------------------------------- */

static void test_key_is_the_published_one(void **state)
{
	char text[BASE64URL_LENGTH(KEY_SIGNATURE_MAX) + 1];
	struct key *key = rfc7515();
	struct key_numbers numbers;

	(void)state;
	assert_int_equal(key_type_of(key), KEY_P256);
	assert_int_equal(key_public_numbers(key, &numbers), 0);
	base64url_encode(text, numbers.first, numbers.first_size);
	assert_string_equal(text, RFC7515_X);
	base64url_encode(text, numbers.second, numbers.second_size);
	assert_string_equal(text, RFC7515_Y);
	key_free(key);
}

static void test_key_round_trip(void **state)
{
	uint8_t public[2][KEY_PUBLIC_MAX];
	struct key *made, *read;
	enum key_type type;
	char pem[KEY_PEM_MAX];
	int size;

	(void)state;
	for (type = 0; type < KEY_TYPES; type++) {
		assert_int_equal(key_generate(&made, type), 0);
		assert_int_equal(key_type_of(made), type);
		size = key_to_pem(made, pem);
		assert_int_equal(size, strlen(pem));
		assert_memory_equal(pem, "-----BEGIN PRIVATE KEY-----\n", 28);
		assert_int_equal(key_from_pem(&read, pem, (size_t)size), 0);
		assert_int_equal(key_type_of(read), type);
		size = key_public(made, public[0]);
		assert_true(size > 0);
		assert_int_equal(key_public(read, public[1]), size);
		assert_memory_equal(public[0], public[1], (size_t)size);
		key_free(made);
		key_free(read);
	}
}

static void test_key_type_names(void **state)
{
	static const char *const wrong[] = {"", "p521", "rsa1024", "ed25519", "p256 "};
	enum key_type type, parsed;
	size_t i;

	(void)state;
	for (type = 0; type < KEY_TYPES; type++) {
		assert_int_equal(key_type_parse(&parsed, key_type_name(type)), 0);
		assert_int_equal(parsed, type);
	}
	assert_int_equal(key_type_parse(&parsed, "P-384"), 0);
	assert_int_equal(parsed, KEY_P384);
	assert_int_equal(key_type_parse(&parsed, "EC256"), 0);
	assert_int_equal(parsed, KEY_P256);
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(key_type_parse(&parsed, wrong[i]), -EINVAL);
}

/* As other programs write them: RFC 5915 with and without the public point, and PKCS #1. */
static void test_key_of_openssl(void **state)
{
	static const struct {
		const char *command;
		enum key_type type;
	} cases[] = {
		{"openssl ecparam -name prime256v1 -genkey -noout", KEY_P256},
		{"openssl ecparam -name prime256v1 -genkey", KEY_P256}, /* parameters first */
		{"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256", KEY_P256},
		{"openssl ecparam -name prime256v1 -genkey -noout | "
		 "openssl ec -no_public 2>/dev/null",
		 KEY_P256},
		{"openssl ecparam -name secp384r1 -genkey -noout", KEY_P384},
		{"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384", KEY_P384},
		{"openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 2>/dev/null",
		 KEY_RSA_2048},
		{"openssl genrsa -traditional 2048 2>/dev/null", KEY_RSA_2048},
		{"openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 2>/dev/null",
		 KEY_RSA_4096},
	};
	struct key *key;
	char *pem;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		pem = fixture_run(NULL, "%s", cases[i].command);
		assert_int_equal(key_from_pem(&key, pem, strlen(pem)), 0);
		assert_int_equal(key_type_of(key), cases[i].type);
		key_free(key);
		free(pem);
	}
}

static void test_key_refused(void **state)
{
	static const char *const commands[] = {
		"echo",
		"echo garbage",
		"openssl ecparam -name secp521r1 -genkey -noout",
		"openssl ecparam -name secp256k1 -genkey -noout",
		"openssl genpkey -algorithm ed25519",
		"openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 2>/dev/null",
		"printf -- '-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----\\n'",
		"openssl ecparam -name prime256v1 -genkey -noout | head -c 150",
		"openssl ecparam -name prime256v1 -genkey -noout | openssl ec -pubout 2>/dev/null",
	};
	struct key *key = NULL;
	char *pem;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		pem = fixture_run(NULL, "%s", commands[i]);
		assert_int_equal(key_from_pem(&key, pem, strlen(pem)), -EBADMSG);
		assert_null(key);
		free(pem);
	}
}

/* A bit of the modulus, or of what signatures are made with, is another. */
static void test_rsa_key_that_contradicts_itself(void **state)
{
	static const size_t places[] = {150, 300, 800, 900, 1000, 1200, 1400, 1500};
	char *pem = fixture_run(NULL, "openssl genrsa -traditional 2048 2>/dev/null");
	struct key *key = NULL;
	char kept;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(places) / sizeof(*places); i++) {
		kept = pem[places[i]];
		pem[places[i]] = kept == 'A' ? 'B' : 'A';
		assert_int_equal(key_from_pem(&key, pem, strlen(pem)), -EBADMSG);
		assert_null(key);
		pem[places[i]] = kept;
	}
	free(pem);
}

/* The public point must belong to the private scalar. */
static void test_key_that_contradicts_itself(void **state)
{
	char pem[sizeof(rfc7515_key)];
	struct key *key = NULL;
	char *at;

	(void)state;
	strcpy(pem, rfc7515_key);
	at = strstr(pem, "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQ");
	assert_non_null(at);
	at[51] = 'R';
	assert_int_equal(key_from_pem(&key, pem, strlen(pem)), -EBADMSG);
	assert_null(key);
}

/* --- signed requests -------------------------------------------------------------------------- */

/* Decode base64url by other means than those under test. */
static size_t decode(uint8_t *ret_bytes, size_t size, const char *text)
{
	word32 used = (word32)size;
	char padded[4096];
	size_t length = strlen(text), i;

	assert_true(length + 4 < sizeof(padded));
	for (i = 0; i < length; i++)
		padded[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
	while (i % 4)
		padded[i++] = '=';
	padded[i] = '\0';
	assert_int_equal(Base64_Decode((byte *)padded, (word32)i, ret_bytes, &used), 0);
	return used;
}

static json_t *decode_json(const char *text)
{
	uint8_t bytes[4096];
	size_t size = decode(bytes, sizeof(bytes), text);
	json_t *object = json_loadb((char *)bytes, size, 0, NULL);

	assert_non_null(object);
	return object;
}

static const char *member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	assert_non_null(text);
	return text;
}

/* RFC 7518 section 3.4: r and s, over the two encoded parts with a dot between. */
static void check_signature(const json_t *jws, struct key *key)
{
	bool is_p384 = key_type_of(key) == KEY_P384;
	uint8_t signature[KEY_SIGNATURE_MAX], digest[WC_MAX_DIGEST_SIZE];
	word32 width = is_p384 ? 48 : 32, der_size = ECC_MAX_SIG_SIZE;
	byte der[ECC_MAX_SIG_SIZE];
	char *input;
	int valid = 0;

	assert_int_equal(decode(signature, sizeof(signature), member(jws, "signature")), 2 * width);
	assert_true(asprintf(&input, "%s.%s", member(jws, "protected"), member(jws, "payload")) >
		    0);
	assert_int_equal(wc_Hash(is_p384 ? WC_HASH_TYPE_SHA384 : WC_HASH_TYPE_SHA256, (byte *)input,
				 (word32)strlen(input), digest, width),
			 0);
	free(input);
	assert_int_equal(
		wc_ecc_rs_raw_to_sig(signature, width, signature + width, width, der, &der_size),
		0);
	assert_int_equal(wc_ecc_verify_hash(der, der_size, digest, width, &valid, key_ecc(key)), 0);
	assert_int_equal(valid, 1);
}

/* RFC 7518 section 3.3: as openssl sees it. */
static void check_rsa_signature(const json_t *jws, struct key *key)
{
	char directory[] = "/tmp/sidestep-jws-XXXXXX", path[64], pem[KEY_PEM_MAX], *input, *text;
	uint8_t signature[KEY_SIGNATURE_MAX];
	size_t size = decode(signature, sizeof(signature), member(jws, "signature"));
	int status;

	assert_non_null(mkdtemp(directory));
	assert_true(asprintf(&input, "%s.%s", member(jws, "protected"), member(jws, "payload")) >
		    0);
	snprintf(path, sizeof(path), "%s/input", directory);
	fixture_write_file(path, input, strlen(input));
	snprintf(path, sizeof(path), "%s/signature", directory);
	fixture_write_file(path, signature, size);
	snprintf(path, sizeof(path), "%s/key", directory);
	fixture_write_file(path, pem, (size_t)key_to_pem(key, pem));
	text = fixture_run(&status,
			   "cd %s && openssl dgst -sha256 -prverify key -signature signature input",
			   directory);
	assert_int_equal(status, 0);
	free(text);
	free(input);
	free(fixture_run(NULL, "rm -r %s", directory));
}

static json_t *sign(struct key *key, const char *key_id, const char *payload)
{
	json_t *jws;
	char *body;

	assert_int_equal(jws_sign(&body, key, key_id, "n0nce", "https://ca.example/a?b", payload),
			 0);
	jws = json_loads(body, 0, NULL);
	free(body);
	assert_int_equal(json_object_size(jws), 3);
	check_signature(jws, key);
	return jws;
}

static void test_jws_by_account(void **state)
{
	struct key *key = rfc7515();
	json_t *jws = sign(key, "https://ca.example/account/1", "{\"a\":1}");
	json_t *header = decode_json(member(jws, "protected"));
	uint8_t payload[64];

	(void)state;
	assert_int_equal(json_object_size(header), 4);
	assert_string_equal(member(header, "alg"), "ES256");
	assert_string_equal(member(header, "nonce"), "n0nce");
	assert_string_equal(member(header, "url"), "https://ca.example/a?b");
	assert_string_equal(member(header, "kid"), "https://ca.example/account/1");
	assert_int_equal(decode(payload, sizeof(payload), member(jws, "payload")), 7);
	assert_memory_equal(payload, "{\"a\":1}", 7);
	json_decref(header);
	json_decref(jws);
	key_free(key);
}

static void test_jws_by_key(void **state)
{
	struct key *key = rfc7515();
	json_t *jws = sign(key, NULL, "");
	json_t *header = decode_json(member(jws, "protected"));
	const json_t *jwk = json_object_get(header, "jwk");

	(void)state;
	assert_int_equal(json_object_size(header), 4);
	assert_int_equal(json_object_size(jwk), 4);
	assert_string_equal(member(jwk, "kty"), "EC");
	assert_string_equal(member(jwk, "crv"), "P-256");
	assert_string_equal(member(jwk, "x"), RFC7515_X);
	assert_string_equal(member(jwk, "y"), RFC7515_Y);
	/* POST-as-GET: the payload is the empty string. */
	assert_string_equal(member(jws, "payload"), "");
	json_decref(header);
	json_decref(jws);
	key_free(key);
}

/* By the keys of certificates, too: RFC 8555 section 7.6. */
static void test_jws_by_other_keys(void **state)
{
	struct key *key;
	json_t *jws, *header;
	char *body;

	(void)state;
	assert_int_equal(key_generate(&key, KEY_P384), 0);
	jws = sign(key, NULL, "{}");
	header = decode_json(member(jws, "protected"));
	assert_string_equal(member(header, "alg"), "ES384");
	assert_string_equal(member(json_object_get(header, "jwk"), "crv"), "P-384");
	json_decref(header);
	json_decref(jws);
	key_free(key);

	assert_int_equal(key_generate(&key, KEY_RSA_2048), 0);
	assert_int_equal(jws_sign(&body, key, NULL, "n0nce", "https://ca.example/", "{}"), 0);
	jws = json_loads(body, 0, NULL);
	free(body);
	header = decode_json(member(jws, "protected"));
	assert_string_equal(member(header, "alg"), "RS256");
	assert_string_equal(member(json_object_get(header, "jwk"), "kty"), "RSA");
	/* 65537, RFC 7518 section 6.3.1.2 */
	assert_string_equal(member(json_object_get(header, "jwk"), "e"), "AQAB");
	check_rsa_signature(jws, key);
	json_decref(header);
	json_decref(jws);
	key_free(key);
}

/* A leading zero in r or s comes once in 128 signatures: it must be kept. */
static void test_jws_signatures_keep_their_width(void **state)
{
	struct key *key = rfc7515();
	int i;

	(void)state;
	for (i = 0; i < 600; i++)
		json_decref(sign(key, NULL, "x"));
	key_free(key);
}

/* The thumbprint of RFC 7515's key, as `printf '{"crv":...}' | sha256sum` has it. */
static void test_key_authorization(void **state)
{
	static const char thumbprint_input[] =
		"{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"" RFC7515_X "\",\"y\":\"" RFC7515_Y
		"\"}";
	uint8_t digest[DIGEST_SIZE], expected[DIGEST_SIZE];
	struct key *key = rfc7515();
	char *hex;
	int i;

	(void)state;
	hex = fixture_run(NULL,
			  "printf 'token.%%s' $(printf '%%s' '%s' | openssl dgst -sha256 -binary | "
			  "base64 | tr '/+' '_-' | tr -d '=') | openssl dgst -sha256 -r",
			  thumbprint_input);
	for (i = 0; i < DIGEST_SIZE; i++)
		assert_int_equal(sscanf(hex + (size_t)2 * i, "%2hhx", &expected[i]), 1);
	free(hex);
	assert_int_equal(jws_key_authorization_digest(digest, key, "token"), 0);
	assert_memory_equal(digest, expected, sizeof(digest));
	key_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base64url_vectors),
		cmocka_unit_test(test_base64url_decode_refuses),
		cmocka_unit_test(test_base64url_alphabet),
		cmocka_unit_test(test_key_is_the_published_one),
		cmocka_unit_test(test_key_round_trip),
		cmocka_unit_test(test_key_type_names),
		cmocka_unit_test(test_key_of_openssl),
		cmocka_unit_test(test_key_refused),
		cmocka_unit_test(test_key_that_contradicts_itself),
		cmocka_unit_test(test_rsa_key_that_contradicts_itself),
		cmocka_unit_test(test_jws_by_account),
		cmocka_unit_test(test_jws_by_key),
		cmocka_unit_test(test_jws_by_other_keys),
		cmocka_unit_test(test_jws_signatures_keep_their_width),
		cmocka_unit_test(test_key_authorization),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
