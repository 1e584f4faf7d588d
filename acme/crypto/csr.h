/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Certificate signing requests: PKCS #10 (RFC 2986), as RFC 8555 section 7.4 requires. */
#ifndef ACME_CRYPTO_CSR_H
#define ACME_CRYPTO_CSR_H

#include <stddef.h>
#include <stdint.h>

struct identifier;
struct key;

/* The most names in one certificate: no CA allows more. */
#define CSR_NAMES_MAX 100

/*
 * Make a request for all of the names, with an empty subject, signed by `key`.  *ret_der is a new
 * buffer.  0, -E2BIG when the names together exceed wolfSSL's limit (16 KiB), -ENOMEM or -EIO.
 */
int csr_make(uint8_t **ret_der, size_t *ret_size, struct key *key,
	     const struct identifier *identifiers, size_t count);

#endif
