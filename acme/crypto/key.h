/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A private key of an ACME account (P-256) or of a certificate.  Only this file converts keys to
 * and from PEM, and signs with them.
 */
#ifndef ACME_CRYPTO_KEY_H
#define ACME_CRYPTO_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_PEM_MAX       4096 /* of RSA-4096, with room */
#define KEY_PUBLIC_MAX    544 /* of RSA-4096 */
#define KEY_SIGNATURE_MAX 512

struct RsaKey;
struct ecc_key;
struct key;

enum key_type { KEY_P256, KEY_P384, KEY_RSA_2048, KEY_RSA_3072, KEY_RSA_4096, KEY_TYPES };

/*
 * Parse the name of a key type: "p256", "p384", "rsa2048", "rsa3072", "rsa4096", or a spelling of
 * other clients ("ec256", "P-384", "secp256r1", "ecdsa", "rsa", "2048").  0 or -EINVAL.
 */
#define KEY_TYPE_NAMES "one of p256, p384, rsa2048, rsa3072, rsa4096"
int key_type_parse(enum key_type *ret_type, const char *text);
const char *key_type_name(enum key_type type);

/* Whether key_generate() takes longer than an event loop may be held up. */
bool key_type_is_slow(enum key_type type);

/*
 * Create a key; RSA-4096 takes seconds.  0, -ENOMEM, or -EIO when wolfCrypt or the random source
 * fails.
 */
int key_generate(struct key **ret_key, enum key_type type);

/*
 * Read PEM of PKCS #8, RFC 5915 or PKCS #1.  0, -ENOMEM, or -EBADMSG when it is not a valid key of
 * a supported type.
 */
int key_from_pem(struct key **ret_key, const char *pem, size_t size);

/*
 * The same of a file in the open directory `directory` (AT_FDCWD: path is whole), whose text is
 * wiped.  Also -EFBIG when it is larger than any key, or -errno of reading it.
 */
int key_read(struct key **ret_key, int directory, const char *path);

/* Wipes the private part. */
void key_free(struct key *key);

enum key_type key_type_of(const struct key *key);

/* Write PKCS #8 PEM with a closing zero.  The caller wipes it.  Returns its length or -EIO. */
int key_to_pem(struct key *key, char ret_pem[KEY_PEM_MAX]);

/*
 * Write the content of the BIT STRING of a SubjectPublicKeyInfo: the uncompressed point (SEC 1
 * section 2.3.3), or an RSAPublicKey (RFC 8017 section A.1.1).  Returns its size or -EIO.
 */
int key_public(struct key *key, uint8_t ret_public[KEY_PUBLIC_MAX]);

/*
 * The public numbers of a JWK (RFC 7518 section 6), big endian: x and y at their full width, or n
 * and e.  0 or -EIO.
 */
struct key_numbers {
	uint8_t first[KEY_SIGNATURE_MAX]; /* x or n */
	uint8_t second[KEY_SIGNATURE_MAX]; /* y or e */
	size_t first_size, second_size;
};
int key_public_numbers(struct key *key, struct key_numbers *ret_numbers);

/* The JWS name of key_sign()'s algorithm: RFC 7518 section 3.1. */
const char *key_algorithm(const struct key *key);

/*
 * Sign `data` as JWS requires: r and s at their full width (RFC 7518 section 3.4), or PKCS #1 v1.5
 * (section 3.3).  Returns the size or -EIO.
 */
int key_sign(struct key *key, const void *data, size_t size,
	     uint8_t ret_signature[KEY_SIGNATURE_MAX]);

/* The wolfCrypt key, which the key owns; NULL: it is of the other kind. */
struct ecc_key *key_ecc(struct key *key);
struct RsaKey *key_rsa(struct key *key);

#endif
