/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/key.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>

#define KEY_DER_MAX 256

struct key {
	ecc_key ecc;
	WC_RNG random;
};

static int key_new(struct key **ret_key)
{
	struct key *key = calloc(1, sizeof(*key));

	if (!key)
		return -ENOMEM;
	if (wc_InitRng(&key->random)) {
		free(key);
		return -EIO;
	}
	if (wc_ecc_init(&key->ecc)) {
		wc_FreeRng(&key->random);
		free(key);
		return -EIO;
	}
	/* For blinding, when signing and when checking. */
	wc_ecc_set_rng(&key->ecc, &key->random);
	*ret_key = key;
	return 0;
}

void key_free(struct key *key)
{
	if (!key)
		return;
	wc_ecc_free(&key->ecc);
	wc_FreeRng(&key->random);
	explicit_bzero(key, sizeof(*key));
	free(key);
}

int key_generate(struct key **ret_key)
{
	struct key *key;
	int error;

	error = key_new(&key);
	if (error)
		return error;
	if (wc_ecc_make_key_ex(&key->random, KEY_COORDINATE_SIZE, &key->ecc, ECC_SECP256R1)) {
		key_free(key);
		return -EIO;
	}
	*ret_key = key;
	return 0;
}

/* RFC 5915 allows to leave the public point out: then it is computed. */
static bool key_complete(struct key *key)
{
	if (key->ecc.type == ECC_PRIVATEKEY_ONLY && wc_ecc_make_pub(&key->ecc, NULL))
		return false;
	return key->ecc.dp && key->ecc.dp->id == ECC_SECP256R1 && wc_ecc_check_key(&key->ecc) == 0;
}

int key_from_pem(struct key **ret_key, const char *pem, size_t size)
{
	struct key *key = NULL;
	byte der[KEY_DER_MAX];
	word32 index = 0;
	int error, length;

	if (size > KEY_PEM_MAX)
		return -EBADMSG;
	length = wc_KeyPemToDer((const byte *)pem, (int)size, der, sizeof(der), NULL);
	if (length <= 0)
		return -EBADMSG;
	error = key_new(&key);
	if (error)
		goto out;
	error = -EBADMSG;
	if (wc_EccPrivateKeyDecode(der, &index, &key->ecc, (word32)length) || !key_complete(key))
		goto out;
	*ret_key = key;
	key = NULL;
	error = 0;
out:
	key_free(key);
	explicit_bzero(der, sizeof(der));
	return error;
}

int key_to_pem(struct key *key, char ret_pem[KEY_PEM_MAX])
{
	byte der[KEY_DER_MAX];
	word32 size = sizeof(der);
	int length = -EIO;

	if (wc_EccKeyToPKCS8(&key->ecc, der, &size) > 0)
		length = wc_DerToPem(der, size, (byte *)ret_pem, KEY_PEM_MAX - 1,
				     PKCS8_PRIVATEKEY_TYPE);
	explicit_bzero(der, sizeof(der));
	if (length <= 0)
		return -EIO;
	ret_pem[length] = '\0';
	return length;
}

int key_public_point(struct key *key, uint8_t ret_x[KEY_COORDINATE_SIZE],
		     uint8_t ret_y[KEY_COORDINATE_SIZE])
{
	word32 x_size = KEY_COORDINATE_SIZE, y_size = KEY_COORDINATE_SIZE;

	return wc_ecc_export_public_raw(&key->ecc, ret_x, &x_size, ret_y, &y_size) ? -EIO : 0;
}

/* A number without leading zeros, to its full width. */
static void widen(uint8_t ret_number[KEY_COORDINATE_SIZE], const byte *bytes, word32 size)
{
	memset(ret_number, 0, KEY_COORDINATE_SIZE - size);
	memcpy(ret_number + KEY_COORDINATE_SIZE - size, bytes, size);
}

int key_sign(struct key *key, const uint8_t digest[KEY_DIGEST_SIZE],
	     uint8_t ret_signature[KEY_SIGNATURE_SIZE])
{
	byte der[ECC_MAX_SIG_SIZE], r[KEY_COORDINATE_SIZE], s[KEY_COORDINATE_SIZE];
	word32 size = sizeof(der), r_size = sizeof(r), s_size = sizeof(s);

	if (wc_ecc_sign_hash(digest, KEY_DIGEST_SIZE, der, &size, &key->random, &key->ecc) ||
	    wc_ecc_sig_to_rs(der, size, r, &r_size, s, &s_size))
		return -EIO;
	widen(ret_signature, r, r_size);
	widen(ret_signature + KEY_COORDINATE_SIZE, s, s_size);
	return 0;
}

struct ecc_key *key_ecc(struct key *key)
{
	return &key->ecc;
}
