/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/jws.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wolfssl/wolfcrypt/hash.h>

#include "acme/base64url.h"
#include "acme/key.h"

#define COORDINATE_LENGTH BASE64URL_LENGTH(KEY_COORDINATE_SIZE)

/*
 * A public key as a JWK with its members in the order of RFC 7638 section 3.2,
 * so that the same bytes serve for the thumbprint.
 */
#define JWK_SIZE (sizeof("{'crv':'P-256','kty':'EC','x':'','y':''}") + 2 * COORDINATE_LENGTH)

static int jwk_write(char ret_jwk[JWK_SIZE], struct key *key)
{
	uint8_t x[KEY_COORDINATE_SIZE], y[KEY_COORDINATE_SIZE];
	char x_text[COORDINATE_LENGTH + 1], y_text[COORDINATE_LENGTH + 1];

	if (key_public_point(key, x, y))
		return -EIO;
	base64url_encode(x_text, x, sizeof(x));
	base64url_encode(y_text, y, sizeof(y));
	snprintf(ret_jwk, JWK_SIZE, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}",
		 x_text, y_text);
	return 0;
}

int jws_jwk_new(char **ret_jwk, struct key *key)
{
	char jwk[JWK_SIZE];
	int error = jwk_write(jwk, key);

	if (error)
		return error;
	*ret_jwk = strdup(jwk);
	return *ret_jwk ? 0 : -ENOMEM;
}

/* The protected header, encoded; NULL when out of memory. */
static char *header_new(const char *jwk, const char *key_id, const char *nonce, const char *url)
{
	char *text, *encoded = NULL;
	json_t *header;

	header = json_pack("{s:s, s:s, s:s}", "alg", "ES256", "nonce", nonce, "url", url);
	if (json_object_set_new(header, key_id ? "kid" : "jwk",
				key_id ? json_string(key_id) : json_loads(jwk, 0, NULL)) == 0) {
		text = json_dumps(header, JSON_COMPACT);
		if (text)
			encoded = base64url_new(text, strlen(text));
		free(text);
	}
	json_decref(header);
	return encoded;
}

int jws_digest(uint8_t ret_digest[JWS_DIGEST_SIZE], const char *text)
{
	return wc_Sha256Hash((const byte *)text, (word32)strlen(text), ret_digest) ? -EIO : 0;
}

int jws_sign(char **ret_body, struct key *key, const char *key_id, const char *nonce,
	     const char *url, const char *payload)
{
	char *header = NULL, *encoded = NULL, *signed_text = NULL, *body = NULL;
	char jwk[JWK_SIZE], signature_text[BASE64URL_LENGTH(KEY_SIGNATURE_SIZE) + 1];
	uint8_t digest[JWS_DIGEST_SIZE], signature[KEY_SIGNATURE_SIZE];
	int error;

	error = jwk_write(jwk, key);
	if (error)
		return error;
	error = -ENOMEM;
	header = header_new(jwk, key_id, nonce, url);
	encoded = base64url_new(payload, strlen(payload));
	if (!header || !encoded)
		goto out;
	if (asprintf(&signed_text, "%s.%s", header, encoded) < 0) {
		signed_text = NULL;
		goto out;
	}
	error = jws_digest(digest, signed_text);
	if (!error)
		error = key_sign(key, digest, signature);
	if (error)
		goto out;
	base64url_encode(signature_text, signature, sizeof(signature));
	if (asprintf(&body, "{\"protected\":\"%s\",\"payload\":\"%s\",\"signature\":\"%s\"}",
		     header, encoded, signature_text) < 0) {
		error = -ENOMEM;
		goto out;
	}
	*ret_body = body;
out:
	free(header);
	free(encoded);
	free(signed_text);
	return error;
}

int jws_key_authorization_digest(uint8_t ret_digest[JWS_DIGEST_SIZE], struct key *key,
				 const char *token)
{
	char jwk[JWK_SIZE], thumbprint_text[BASE64URL_LENGTH(JWS_DIGEST_SIZE) + 1];
	uint8_t thumbprint[JWS_DIGEST_SIZE];
	char *key_authorization;
	int error;

	error = jwk_write(jwk, key);
	if (!error)
		error = jws_digest(thumbprint, jwk);
	if (error)
		return error;
	base64url_encode(thumbprint_text, thumbprint, sizeof(thumbprint));
	if (asprintf(&key_authorization, "%s.%s", token, thumbprint_text) < 0)
		return -ENOMEM;
	error = jws_digest(ret_digest, key_authorization);
	free(key_authorization);
	return error;
}
