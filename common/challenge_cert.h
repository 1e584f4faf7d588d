/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The self-signed certificate of RFC 8737 section 3, in a form that the strictest known validator
 * accepts: exactly two extensions (subjectAltName with one name, critical acmeIdentifier), subject
 * == issuer, and a valid signature of its own.
 *
 * All challenge certificates share one P-256 key and differ only in struct challenge_cert. The
 * table stores only that struct, and the responder assembles the DER from it on demand. The
 * publisher signs, the responder assembles; both use this file.
 */
#ifndef CHALLENGE_CERT_H
#define CHALLENGE_CERT_H

#include <stddef.h>
#include <stdint.h>

#include "common/identifier.h"

#define CHALLENGE_DIGEST_SIZE      32 /* SHA-256 of the key authorization, RFC 8737 section 3 */
#define CHALLENGE_SIGNATURE_SIZE   64 /* r and s of ECDSA P-256, 32 bytes each, big endian */
#define CHALLENGE_CERT_DER_MAX     768 /* the longest name needs less */
#define CHALLENGE_KEY_PRIVATE_SIZE 32 /* big endian */
#define CHALLENGE_KEY_PUBLIC_SIZE  65 /* uncompressed point, SEC 1 section 2.3.3 */
#define CHALLENGE_KEY_DER_MAX      160 /* RFC 5915 */
#define CHALLENGE_CERT_VALID_DAYS  7

/* The key of one table's challenge certificates.  It protects no domain. */
struct challenge_key {
	uint8_t private_scalar[CHALLENGE_KEY_PRIVATE_SIZE];
	uint8_t public_point[CHALLENGE_KEY_PUBLIC_SIZE];
};

struct challenge_cert {
	struct identifier identifier;
	uint8_t digest[CHALLENGE_DIGEST_SIZE];
	uint32_t issued_at; /* Unix seconds; valid from one hour before to 7 days after */
	uint8_t signature[CHALLENGE_SIGNATURE_SIZE];
};

/* Make a new key.  0, or -EIO when the random source or wolfCrypt fails. */
int challenge_key_generate(struct challenge_key *ret_key);

/* The key as an RFC 5915 ECPrivateKey in DER.  Returns its size. */
int challenge_key_der(const struct challenge_key *key, uint8_t ret_der[CHALLENGE_KEY_DER_MAX]);

/*
 * A parsed key that signs many certificates without a new setup. The caller owns it. Only one
 * thread may use it at a time.
 */
struct challenge_signer;

/* 0, -ENOMEM, or -EIO when wolfCrypt refuses the key. */
int challenge_signer_new(struct challenge_signer **ret_signer, const struct challenge_key *key);
void challenge_signer_free(struct challenge_signer *signer);

/* Fill cert->signature; the caller fills the other fields.  0 or -EIO. */
int challenge_cert_sign(struct challenge_signer *signer, struct challenge_cert *cert);

/*
 * Assemble the DER certificate. The same input gives the same bytes. Returns the size; cannot fail
 * if identifier_parse() filled the identifier of `cert`.
 */
size_t challenge_cert_der(const struct challenge_key *key, const struct challenge_cert *cert,
			  uint8_t ret_der[CHALLENGE_CERT_DER_MAX]);

#endif
