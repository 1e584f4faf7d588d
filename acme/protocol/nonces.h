/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The unused nonces of a CA: RFC 8555 section 6.5. */
#ifndef ACME_PROTOCOL_NONCES_H
#define ACME_PROTOCOL_NONCES_H

#include <stddef.h>

#define NONCE_LENGTH_MAX 256
#define NONCES_MAX       128 /* as many orders as are under way at once, and some more */

/* All zero: empty. */
struct nonces {
	char values[NONCES_MAX][NONCE_LENGTH_MAX + 1];
	size_t count;
};

/* Keep a nonce, unless it is NULL or malformed (section 6.5.1).  When full, drop the oldest. */
void nonces_add(struct nonces *nonces, const char *nonce);

/* Take the newest, as old nonces expire.  NULL: there is none.  Valid until the next call. */
const char *nonces_take(struct nonces *nonces);

#endif
