/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests signed as flattened JWS by any of our keys (RFC 7515, RFC 8555 section 6.2),
 * and what else is computed from the account key.
 */
#ifndef ACME_PROTOCOL_JWS_H
#define ACME_PROTOCOL_JWS_H

#include <stdint.h>

#include "acme/crypto/digest.h"

struct key;

/*
 * Sign `payload` ("" for POST-as-GET, RFC 8555 section 6.3).  The protected
 * header names the account by its URL `key_id`, or, when that is NULL, carries
 * the public key (newAccount).  `nonce` is NULL for a signature within another
 * (keyChange).  *ret_body is a new string.  0, -ENOMEM or -EIO.
 */
int jws_sign(char **ret_body, struct key *key, const char *key_id, const char *nonce,
	     const char *url, const char *payload);

/* The public key as a JWK: a new string.  0, -ENOMEM or -EIO. */
int jws_jwk_new(char **ret_jwk, struct key *key);

/* SHA-256 of the key authorization of `token`: RFC 8555 section 8.1.  0, -ENOMEM or -EIO. */
int jws_key_authorization_digest(uint8_t ret_digest[DIGEST_SIZE], struct key *key,
				 const char *token);

#endif
