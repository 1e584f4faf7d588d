/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Signed requests as flattened JWS (RFC 7515, RFC 8555 section 6.2), and the other values that are
 * computed from an account key.
 */
#ifndef ACME_PROTOCOL_JWS_H
#define ACME_PROTOCOL_JWS_H

#include <stdint.h>

#include "acme/crypto/digest.h"

struct key;

/*
 * Sign `payload` ("" for POST-as-GET, RFC 8555 section 6.3).  The protected header contains the
 * account's URL `key_id`, or the public key when that is NULL (newAccount).  `nonce` is NULL for
 * the inner message of keyChange.  *ret_body is a new string.  0, -ENOMEM or -EIO.
 */
int jws_sign(char **ret_body, struct key *key, const char *key_id, const char *nonce,
	     const char *url, const char *payload);

/* The public key as a JWK: a new string.  0, -ENOMEM or -EIO. */
int jws_jwk_new(char **ret_jwk, struct key *key);

/* The SHA-256 of `token`'s key authorization (RFC 8555 section 8.1).  0, -ENOMEM or -EIO. */
int jws_key_authorization_digest(uint8_t ret_digest[DIGEST_SIZE], struct key *key,
				 const char *token);

#endif
