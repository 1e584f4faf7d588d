// SPDX-License-Identifier: GPL-3.0-or-later
/* JSON Web Signatures as a CA reads them: RFC 7515, RFC 7517, RFC 7638, RFC 8555 section 6. */
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/model_internal.h"

#define SIGNATURE_MAX 512
#define HEADER_MAX    4096

/* --- base64url -------------------------------------------------------------------------------- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t model_base64url_decode(uint8_t *ret_bytes, size_t max, const char *text)
{
	uint32_t bits = 0, held = 0;
	size_t size = 0;
	const char *at;

	for (; *text; text++) {
		at = strchr(digits, *text);
		if (!at || size == max)
			return 0;
		bits = bits << 6 | (uint32_t)(at - digits);
		held += 6;
		if (held >= 8) {
			held -= 8;
			ret_bytes[size++] = (uint8_t)(bits >> held);
		}
	}
	return size;
}

void model_base64url_encode(char *ret_text, const uint8_t *bytes, size_t size)
{
	uint32_t bits = 0, held = 0;

	while (size--) {
		bits = bits << 8 | *bytes++;
		for (held += 8; held >= 6; held -= 6)
			*ret_text++ = digits[bits >> (held - 6) & 63];
	}
	if (held)
		*ret_text++ = digits[bits << (6 - held) & 63];
	*ret_text = '\0';
}

/* Decode a JSON object in base64url; *ret_text, which may be NULL, is the caller's to free. */
static json_t *decode_object(const char *encoded, char **ret_text)
{
	size_t size = encoded ? strlen(encoded) : 0;
	uint8_t *bytes = malloc(size + 1);
	json_t *object = NULL;

	if (bytes && encoded) {
		size = model_base64url_decode(bytes, size, encoded);
		bytes[size] = '\0';
		object = json_loadb((char *)bytes, size, JSON_REJECT_DUPLICATES, NULL);
	}
	if (ret_text)
		*ret_text = (char *)bytes;
	else
		free(bytes);
	return object;
}

/* --- keys ------------------------------------------------------------------------------------- */

static const char *member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static EVP_PKEY *key_from_params(const char *kind, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
	EVP_PKEY *key = NULL;

	if (context && params && EVP_PKEY_fromdata_init(context) == 1)
		EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params);
	EVP_PKEY_CTX_free(context);
	return key;
}

static EVP_PKEY *read_ec_key(const json_t *jwk)
{
	bool is_256 = strcmp(member(jwk, "crv"), "P-256") == 0;
	size_t width = is_256 ? 32 : 48;
	uint8_t point[1 + 2 * 48] = {4};
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
						 is_256 ? (char *)"P-256" : (char *)"P-384", 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * width),
		OSSL_PARAM_construct_end(),
	};

	if ((!is_256 && strcmp(member(jwk, "crv"), "P-384") != 0) ||
	    model_base64url_decode(point + 1, width, member(jwk, "x")) != width ||
	    model_base64url_decode(point + 1 + width, width, member(jwk, "y")) != width)
		return NULL;
	return key_from_params("EC", params);
}

static EVP_PKEY *read_rsa_key(const json_t *jwk)
{
	uint8_t n[SIGNATURE_MAX], e[8];
	size_t n_size = model_base64url_decode(n, sizeof(n), member(jwk, "n"));
	size_t e_size = model_base64url_decode(e, sizeof(e), member(jwk, "e"));
	BIGNUM *modulus = BN_bin2bn(n, (int)n_size, NULL),
	       *exponent = BN_bin2bn(e, (int)e_size, NULL);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	EVP_PKEY *key = NULL;

	if (n_size && e_size && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent))
		params = OSSL_PARAM_BLD_to_param(build);
	key = key_from_params("RSA", params);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	BN_free(modulus);
	BN_free(exponent);
	return key;
}

static EVP_PKEY *read_key(const json_t *jwk)
{
	if (strcmp(member(jwk, "kty"), "EC") == 0)
		return read_ec_key(jwk);
	return strcmp(member(jwk, "kty"), "RSA") == 0 ? read_rsa_key(jwk) : NULL;
}

/* RFC 7638: the required members in the order of their names. */
static void make_thumbprint(char ret_text[THUMBPRINT_MAX], const json_t *jwk)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char text[HEADER_MAX];
	int size;

	if (strcmp(member(jwk, "kty"), "EC") == 0)
		size = snprintf(text, sizeof(text),
				"{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}",
				member(jwk, "crv"), member(jwk, "x"), member(jwk, "y"));
	else
		size = snprintf(text, sizeof(text), "{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"}",
				member(jwk, "e"), member(jwk, "n"));
	SHA256((uint8_t *)text, (size_t)size, digest);
	model_base64url_encode(ret_text, digest, sizeof(digest));
}

void model_digest_of_token(const struct model_account *account, const char *token,
			   uint8_t ret_digest[MODEL_DIGEST])
{
	char text[128];
	int size = snprintf(text, sizeof(text), "%s.%s", token, account->thumbprint);

	SHA256((uint8_t *)text, (size_t)size, ret_digest);
}

/* --- signatures ------------------------------------------------------------------------------- */

/* r and s at their full width, as DER.  Returns its size; 0: impossible. */
static size_t der_from_raw(uint8_t **ret_der, const uint8_t *raw, size_t size)
{
	ECDSA_SIG *signature = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw, (int)size / 2, NULL);
	BIGNUM *s = BN_bin2bn(raw + size / 2, (int)size / 2, NULL);
	int length = 0;

	if (ECDSA_SIG_set0(signature, r, s) == 1)
		length = i2d_ECDSA_SIG(signature, ret_der);
	ECDSA_SIG_free(signature);
	return length > 0 ? (size_t)length : 0;
}

static bool verify(EVP_PKEY *key, const char *algorithm, const char *signed_text,
		   const uint8_t *raw, size_t size)
{
	bool is_ec = EVP_PKEY_get_base_id(key) == EVP_PKEY_EC;
	size_t width = (size_t)(EVP_PKEY_get_bits(key) + 7) / 8;
	const char *wanted = is_ec ? width == 32 ? "ES256" : "ES384" : "RS256";
	const EVP_MD *hash = is_ec && width == 48 ? EVP_sha384() : EVP_sha256();
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t *der = NULL;
	bool right;

	if (strcmp(algorithm, wanted) != 0 || size != (is_ec ? 2 * width : width)) {
		EVP_MD_CTX_free(context);
		return false;
	}
	size = is_ec ? der_from_raw(&der, raw, size) : size;
	right = EVP_DigestVerifyInit(context, NULL, hash, NULL, key) == 1 &&
		EVP_DigestVerify(context, is_ec ? der : raw, size, (const uint8_t *)signed_text,
				 strlen(signed_text)) == 1;
	OPENSSL_free(der);
	EVP_MD_CTX_free(context);
	return right;
}

static bool signature_is_right(EVP_PKEY *key, const json_t *header, const json_t *message)
{
	uint8_t signature[SIGNATURE_MAX];
	size_t size =
		model_base64url_decode(signature, sizeof(signature), member(message, "signature"));
	bool right = false;
	char *text;

	if (asprintf(&text, "%s.%s", member(message, "protected"), member(message, "payload")) < 0)
		return false;
	right = key && size && verify(key, member(header, "alg"), text, signature, size);
	free(text);
	return right;
}

/* --- requests --------------------------------------------------------------------------------- */

void model_nonce_make(struct model_ca *ca, char ret_text[64])
{
	struct model_nonce *nonce = &ca->nonces[ca->nonce_next];

	snprintf(nonce->text, sizeof(nonce->text), "n%016llx",
		 (unsigned long long)(++ca->next_nonce * 0x9e3779b97f4a7c15));
	ca->nonce_next = (ca->nonce_next + 1) % MODEL_NONCES_MAX;
	strcpy(ret_text, nonce->text);
}

bool model_nonce_spend(struct model_ca *ca, const char *text)
{
	size_t i;

	/* The newest first: those are what clients use. */
	for (i = 1; i <= MODEL_NONCES_MAX && *text; i++) {
		struct model_nonce *nonce =
			&ca->nonces[(ca->nonce_next + MODEL_NONCES_MAX - i) % MODEL_NONCES_MAX];

		if (strcmp(nonce->text, text) == 0) {
			nonce->text[0] = '\0';
			return true;
		}
	}
	return false;
}

static bool find_signer(struct model_call *call, const json_t *header)
{
	const char *kid = member(header, "kid");
	json_t *jwk = json_object_get(header, "jwk");
	unsigned long long id = 0;

	if (!*kid == !jwk) {
		model_refuse(call, 400, "malformed", "either kid or jwk");
		return false;
	}
	if (jwk) {
		call->jwk = json_incref(jwk);
		call->key = read_key(jwk);
		make_thumbprint(call->thumbprint, jwk);
		if (!call->key)
			model_refuse(call, 400, "badPublicKey", "cannot read the key");
		return call->key;
	}
	if (strncmp(kid, call->ca->options.base, strlen(call->ca->options.base)) == 0)
		sscanf(kid + strlen(call->ca->options.base), "/account/%llu", &id);
	call->account = model_account_by_id(call->ca, id);
	if (call->account)
		call->key = call->account->key;
	else
		model_refuse(call, 400, "accountDoesNotExist", "account %s not found", kid);
	return call->account;
}

static bool check_header(struct model_call *call, const json_t *header, const json_t *message)
{
	if (strcmp(member(header, "url"), call->request->url) != 0)
		model_refuse(call, 400, "unauthorized", "the url in the header is '%s'",
			     member(header, "url"));
	else if (!find_signer(call, header))
		return false;
	else if (!signature_is_right(call->key, header, message))
		model_refuse(call, 400, "malformed", "JWS verification error");
	else if (!model_nonce_spend(call->ca, member(header, "nonce")))
		model_refuse(call, 400, "badNonce", "JWS has an invalid anti-replay nonce: '%s'",
			     member(header, "nonce"));
	else if (call->account && call->account->status != STATUS_VALID)
		model_refuse(call, 403, "unauthorized", "account is not valid, has status \"%s\"",
			     model_status_name(call->account->status));
	else
		return true;
	return false;
}

bool model_authenticate(struct model_call *call)
{
	json_t *message = json_loads(call->request->body, JSON_REJECT_DUPLICATES, NULL);
	json_t *header = decode_object(member(message, "protected"), NULL);
	bool right = false;

	if (!header)
		model_refuse(call, 400, "malformed", "no flattened JWS");
	else
		right = check_header(call, header, message);
	if (right)
		call->payload = decode_object(member(message, "payload"), &call->payload_text);
	if (right && !call->payload && *call->payload_text) {
		model_refuse(call, 400, "malformed", "the payload is no JSON object");
		right = false;
	}
	json_decref(header);
	json_decref(message);
	return right;
}

bool model_read_inner(struct model_call *call, json_t **ret_payload, EVP_PKEY **ret_key,
		      char ret_thumbprint[THUMBPRINT_MAX])
{
	json_t *header = decode_object(member(call->payload, "protected"), NULL);
	json_t *jwk = json_object_get(header, "jwk");
	EVP_PKEY *key = read_key(jwk);
	bool right = !json_object_get(header, "nonce") &&
		     strcmp(member(header, "url"), call->request->url) == 0 &&
		     signature_is_right(key, header, call->payload);

	if (right) {
		make_thumbprint(ret_thumbprint, jwk);
		*ret_key = key;
		*ret_payload = decode_object(member(call->payload, "payload"), NULL);
	} else {
		EVP_PKEY_free(key);
	}
	json_decref(header);
	return right;
}

bool model_binding_is_right(struct model_call *call, const json_t *binding)
{
	const struct model_options *options = &call->ca->options;
	json_t *header = decode_object(member(binding, "protected"), NULL);
	json_t *jwk = decode_object(member(binding, "payload"), NULL);
	uint8_t mac[SHA256_DIGEST_LENGTH] = {0}, given[SIGNATURE_MAX];
	char thumbprint[THUMBPRINT_MAX], *text = NULL;
	unsigned int mac_size = 0;
	bool right;

	make_thumbprint(thumbprint, jwk);
	if (asprintf(&text, "%s.%s", member(binding, "protected"), member(binding, "payload")) < 0)
		text = NULL;
	if (text)
		HMAC(EVP_sha256(), options->binding_key, sizeof(options->binding_key),
		     (uint8_t *)text, strlen(text), mac, &mac_size);
	right = mac_size &&
		model_base64url_decode(given, sizeof(given), member(binding, "signature")) ==
			mac_size &&
		memcmp(mac, given, mac_size) == 0 && strcmp(member(header, "alg"), "HS256") == 0 &&
		strcmp(member(header, "kid"), options->binding_id) == 0 &&
		strcmp(member(header, "url"), call->request->url) == 0 &&
		strcmp(thumbprint, call->thumbprint) == 0;
	free(text);
	json_decref(jwk);
	json_decref(header);
	return right;
}
