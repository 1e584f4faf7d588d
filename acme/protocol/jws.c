// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/protocol/jws.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/crypto/digest.h"
#include "acme/crypto/key.h"
#include "acme/util/base64url.h"

/*
 * Write a public key as a JWK with its members in the order of RFC 7638 section 3.2, so that the
 * thumbprint can use the same bytes.
 */
int jws_jwk_new(char **ret_jwk, struct key *key)
{
	char first[BASE64URL_LENGTH(KEY_SIGNATURE_MAX) + 1];
	char second[BASE64URL_LENGTH(KEY_SIGNATURE_MAX) + 1];
	struct key_numbers numbers;
	char *jwk;
	int length;

	if (key_public_numbers(key, &numbers))
		return -EIO;
	base64url_encode(first, numbers.first, numbers.first_size);
	base64url_encode(second, numbers.second, numbers.second_size);
	if (key_ecc(key))
		length = asprintf(&jwk, "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}",
				  key_type_of(key) == KEY_P256 ? "P-256" : "P-384", first, second);
	else
		length = asprintf(&jwk, "{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"}", second,
				  first);
	if (length < 0)
		return -ENOMEM;
	*ret_jwk = jwk;
	return 0;
}

/* The protected header, encoded.  0, -ENOMEM or -EIO. */
static int header_new(char **ret_header, struct key *key, const char *key_id, const char *nonce,
		      const char *url)
{
	char *text, *jwk = NULL, *encoded = NULL;
	json_t *header;
	int err;

	err = key_id ? 0 : jws_jwk_new(&jwk, key);
	if (err)
		return err;

	header = json_pack("{s:s, s:s*, s:s}", "alg", key_algorithm(key), "nonce", nonce, "url",
			   url);
	if (json_object_set_new(header, key_id ? "kid" : "jwk",
				key_id ? json_string(key_id) : json_loads(jwk, 0, NULL)) == 0) {
		text = json_dumps(header, JSON_COMPACT);
		if (text)
			encoded = base64url_new(text, strlen(text));
		free(text);
	}
	json_decref(header);
	free(jwk);
	*ret_header = encoded;
	return encoded ? 0 : -ENOMEM;
}

int jws_sign(char **ret_body, struct key *key, const char *key_id, const char *nonce,
	     const char *url, const char *payload)
{
	char *header = NULL, *encoded = NULL, *signed_text = NULL, *body = NULL;
	char signature_text[BASE64URL_LENGTH(KEY_SIGNATURE_MAX) + 1];
	uint8_t signature[KEY_SIGNATURE_MAX];
	int err, size;

	err = header_new(&header, key, key_id, nonce, url);
	if (err)
		return err;
	err = -ENOMEM;
	encoded = base64url_new(payload, strlen(payload));
	if (!encoded)
		goto out;
	if (asprintf(&signed_text, "%s.%s", header, encoded) < 0) {
		signed_text = NULL;
		goto out;
	}
	size = key_sign(key, signed_text, strlen(signed_text), signature);
	if (size < 0) {
		err = size;
		goto out;
	}
	base64url_encode(signature_text, signature, (size_t)size);
	if (asprintf(&body, "{\"protected\":\"%s\",\"payload\":\"%s\",\"signature\":\"%s\"}",
		     header, encoded, signature_text) < 0)
		goto out;
	*ret_body = body;
	err = 0;
out:
	free(header);
	free(encoded);
	free(signed_text);
	return err;
}

int jws_key_authorization_digest(uint8_t ret_digest[DIGEST_SIZE], struct key *key,
				 const char *token)
{
	char thumbprint_text[BASE64URL_LENGTH(DIGEST_SIZE) + 1];
	uint8_t thumbprint[DIGEST_SIZE];
	char *key_authorization, *jwk;
	int err;

	err = jws_jwk_new(&jwk, key);
	if (err)
		return err;
	err = digest_sha256(thumbprint, jwk, strlen(jwk));
	free(jwk);
	if (err)
		return err;
	base64url_encode(thumbprint_text, thumbprint, sizeof(thumbprint));
	if (asprintf(&key_authorization, "%s.%s", token, thumbprint_text) < 0)
		return -ENOMEM;
	err = digest_sha256(ret_digest, key_authorization, strlen(key_authorization));
	free(key_authorization);
	return err;
}
