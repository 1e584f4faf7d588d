// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/protocol/nonces.h"

#include <string.h>

#include "acme/util/base64url.h"

void nonces_add(struct nonces *nonces, const char *nonce)
{
	if (!nonce || strlen(nonce) > NONCE_LENGTH_MAX || !base64url_is_valid(nonce))
		return;
	/* When full, drop the oldest. */
	if (nonces->count == NONCES_MAX) {
		memmove(nonces->values[0], nonces->values[1],
			sizeof(nonces->values) - sizeof(nonces->values[0]));
		nonces->count--;
	}
	strcpy(nonces->values[nonces->count++], nonce);
}

const char *nonces_take(struct nonces *nonces)
{
	return nonces->count ? nonces->values[--nonces->count] : NULL;
}
