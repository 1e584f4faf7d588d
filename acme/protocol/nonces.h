/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The nonces that a CA has given and that are not used yet: RFC 8555 section 6.5. */
#ifndef ACME_PROTOCOL_NONCES_H
#define ACME_PROTOCOL_NONCES_H

#include <stddef.h>

#define NONCE_LENGTH_MAX 256
#define NONCES_MAX       16 /* as many as requests are usually under way at once */

/* All zero: empty. */
struct nonces {
	char values[NONCES_MAX][NONCE_LENGTH_MAX + 1];
	size_t count;
};

/* Keep one; NULL, what is no nonce (section 6.5.1), and one too many are left out. */
void nonces_add(struct nonces *nonces, const char *nonce);

/* Take the youngest: old ones expire.  NULL when there is none; valid until the next call. */
const char *nonces_take(struct nonces *nonces);

#endif
