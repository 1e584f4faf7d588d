// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/crypto/digest.h"

#include <errno.h>
#include <string.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/hmac.h>

_Static_assert(DIGEST_SIZE == WC_SHA256_DIGEST_SIZE, "SHA-256 has 32 bytes");

int digest_sha256(uint8_t ret_digest[DIGEST_SIZE], const void *data, size_t size)
{
	return wc_Sha256Hash(data, (word32)size, ret_digest) ? -EIO : 0;
}

int digest_sha256_texts(uint8_t ret_digest[DIGEST_SIZE], const char *const *texts, size_t count)
{
	wc_Sha256 sha;
	int result = 0;
	size_t i;

	if (wc_InitSha256(&sha))
		return -EIO;
	for (i = 0; !result && i < count; i++)
		result =
			wc_Sha256Update(&sha, (const byte *)texts[i], (word32)strlen(texts[i]) + 1);
	if (!result)
		result = wc_Sha256Final(&sha, ret_digest);
	wc_Sha256Free(&sha);
	return result ? -EIO : 0;
}

int digest_hmac_sha256(uint8_t ret_mac[DIGEST_SIZE], const void *key, size_t key_size,
		       const char *text)
{
	Hmac hmac;
	int result;

	if (wc_HmacInit(&hmac, NULL, INVALID_DEVID))
		return -EIO;
	result = wc_HmacSetKey(&hmac, WC_SHA256, key, (word32)key_size);
	if (!result)
		result = wc_HmacUpdate(&hmac, (const byte *)text, (word32)strlen(text));
	if (!result)
		result = wc_HmacFinal(&hmac, ret_mac);
	wc_HmacFree(&hmac);
	return result ? -EIO : 0;
}
