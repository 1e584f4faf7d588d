/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A P-256 private key: of an ACME account or of a certificate.  The only file
 * that turns keys into PEM and back.
 */
#ifndef KEY_H
#define KEY_H

#include <stddef.h>
#include <stdint.h>

#define KEY_PEM_MAX         512
#define KEY_COORDINATE_SIZE 32
#define KEY_DIGEST_SIZE     32 /* SHA-256 */
#define KEY_SIGNATURE_SIZE  64 /* r and s, big endian: RFC 7518 section 3.4 */

struct key;
struct ecc_key;

/* Make a new key.  0, -ENOMEM, or -EIO when wolfCrypt or the random source fails. */
int key_generate(struct key **ret_key);

/* Read PKCS #8 or RFC 5915 PEM.  0, -ENOMEM, -EBADMSG when it is no sound P-256 key. */
int key_from_pem(struct key **ret_key, const char *pem, size_t size);

/* Wipes the private part. */
void key_free(struct key *key);

/* Write PKCS #8 PEM, zero-terminated; the caller wipes it.  Returns its length or -EIO. */
int key_to_pem(struct key *key, char ret_pem[KEY_PEM_MAX]);

/* The public point's coordinates, big endian.  0 or -EIO. */
int key_public_point(struct key *key, uint8_t ret_x[KEY_COORDINATE_SIZE],
		     uint8_t ret_y[KEY_COORDINATE_SIZE]);

/* ECDSA.  0 or -EIO. */
int key_sign(struct key *key, const uint8_t digest[KEY_DIGEST_SIZE],
	     uint8_t ret_signature[KEY_SIGNATURE_SIZE]);

/* For wolfCrypt functions that take a key; stays the key's. */
struct ecc_key *key_ecc(struct key *key);

#endif
