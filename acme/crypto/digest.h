/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SHA-256, and HMAC with it. */
#ifndef ACME_CRYPTO_DIGEST_H
#define ACME_CRYPTO_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_SIZE 32

/* Each returns 0 or -EIO. */
int digest_sha256(uint8_t ret_digest[DIGEST_SIZE], const void *data, size_t size);
int digest_hmac_sha256(uint8_t ret_mac[DIGEST_SIZE], const void *key, size_t key_size,
		       const char *text);

/* The digest of several texts with their closing zeros, so that "a" "bc" and "ab" "c" differ. */
int digest_sha256_texts(uint8_t ret_digest[DIGEST_SIZE], const char *const *texts, size_t count);

#endif
