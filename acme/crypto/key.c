// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/crypto/key.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/rsa.h>

#include "acme/util/file.h"

#define KEY_DER_MAX 2560 /* of RSA-4096, as PKCS #8 */

struct key {
	enum key_type type;
	union {
		ecc_key ecc;
		RsaKey rsa;
	};
	WC_RNG random;
};

/* The properties of each key type. */
static const struct {
	const char *name;
	const char *algorithm; /* RFC 7518 section 3.1 */
	enum wc_HashType hash;
	int curve; /* ECC_CURVE_INVALID: RSA */
	int size; /* of a coordinate or of the modulus, in bytes */
} types[KEY_TYPES] = {
	[KEY_P256] = {"p256", "ES256", WC_HASH_TYPE_SHA256, ECC_SECP256R1, 32},
	[KEY_P384] = {"p384", "ES384", WC_HASH_TYPE_SHA384, ECC_SECP384R1, 48},
	[KEY_RSA_2048] = {"rsa2048", "RS256", WC_HASH_TYPE_SHA256, ECC_CURVE_INVALID, 256},
	[KEY_RSA_3072] = {"rsa3072", "RS256", WC_HASH_TYPE_SHA256, ECC_CURVE_INVALID, 384},
	[KEY_RSA_4096] = {"rsa4096", "RS256", WC_HASH_TYPE_SHA256, ECC_CURVE_INVALID, 512},
};

static bool is_rsa(enum key_type type)
{
	return types[type].curve == ECC_CURVE_INVALID;
}

/* --- the types' names ----------------------------------------------------------------- */

int key_type_parse(enum key_type *ret_type, const char *text)
{
	/* The spellings of certbot, lego, acme.sh, dehydrated and OpenSSL. */
	static const struct {
		const char *name;
		enum key_type type;
	} names[] = {
		{"p256", KEY_P256},       {"p-256", KEY_P256},       {"ec256", KEY_P256},
		{"ec-256", KEY_P256},     {"ecdsa", KEY_P256},       {"secp256r1", KEY_P256},
		{"prime256v1", KEY_P256}, {"p384", KEY_P384},        {"p-384", KEY_P384},
		{"ec384", KEY_P384},      {"ec-384", KEY_P384},      {"secp384r1", KEY_P384},
		{"rsa", KEY_RSA_2048},    {"rsa2048", KEY_RSA_2048}, {"rsa-2048", KEY_RSA_2048},
		{"2048", KEY_RSA_2048},   {"rsa3072", KEY_RSA_3072}, {"rsa-3072", KEY_RSA_3072},
		{"3072", KEY_RSA_3072},   {"rsa4096", KEY_RSA_4096}, {"rsa-4096", KEY_RSA_4096},
		{"4096", KEY_RSA_4096},
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcasecmp(text, names[i].name) == 0) {
			*ret_type = names[i].type;
			return 0;
		}
	}
	return -EINVAL;
}

const char *key_type_name(enum key_type type)
{
	return types[type].name;
}

bool key_type_is_slow(enum key_type type)
{
	return is_rsa(type);
}

/* --- making and freeing --------------------------------------------------------------- */

static int key_new(struct key **ret_key, enum key_type type)
{
	struct key *key = calloc(1, sizeof(*key));

	if (!key)
		return -ENOMEM;
	key->type = type;
	if (wc_InitRng(&key->random)) {
		free(key);
		return -EIO;
	}
	if (is_rsa(type) ? wc_InitRsaKey(&key->rsa, NULL) : wc_ecc_init(&key->ecc)) {
		wc_FreeRng(&key->random);
		free(key);
		return -EIO;
	}
	/* wolfCrypt needs it for blinding, in signatures and in checks. */
	if (is_rsa(type))
		wc_RsaSetRNG(&key->rsa, &key->random);
	else
		wc_ecc_set_rng(&key->ecc, &key->random);
	*ret_key = key;
	return 0;
}

void key_free(struct key *key)
{
	if (!key)
		return;
	if (is_rsa(key->type))
		wc_FreeRsaKey(&key->rsa);
	else
		wc_ecc_free(&key->ecc);
	wc_FreeRng(&key->random);
	explicit_bzero(key, sizeof(*key));
	free(key);
}

int key_generate(struct key **ret_key, enum key_type type)
{
	struct key *key;
	int err;

	err = key_new(&key, type);
	if (err)
		return err;
	if (is_rsa(type)
		    ? wc_MakeRsaKey(&key->rsa, types[type].size * 8, WC_RSA_EXPONENT, &key->random)
		    : wc_ecc_make_key_ex(&key->random, types[type].size, &key->ecc,
					 types[type].curve)) {
		key_free(key);
		return -EIO;
	}
	*ret_key = key;
	return 0;
}

enum key_type key_type_of(const struct key *key)
{
	return key->type;
}

/* --- reading and writing PEM ----------------------------------------------------------- */

static int sign_rsa(struct key *key, const byte *digest, word32 digest_size,
		    uint8_t ret_signature[KEY_SIGNATURE_MAX])
{
	byte info[MAX_DER_DIGEST_SZ];
	word32 size;
	int length;

	size = wc_EncodeSignature(info, digest, digest_size, SHA256h);
	length = wc_RsaSSL_Sign(info, size, ret_signature, KEY_SIGNATURE_MAX, &key->rsa,
				&key->random);
	return length > 0 ? length : -EIO;
}

/* Whether the public part verifies a signature by the private part: then they belong together. */
static bool is_sound_rsa(struct key *key)
{
	byte digest[WC_SHA256_DIGEST_SIZE] = {0}, signature[KEY_SIGNATURE_MAX];
	byte expected[MAX_DER_DIGEST_SZ], found[KEY_SIGNATURE_MAX];
	int size, found_size;
	word32 expected_size;

	size = sign_rsa(key, digest, sizeof(digest), signature);
	if (size < 0)
		return false;
	expected_size = wc_EncodeSignature(expected, digest, sizeof(digest), SHA256h);
	found_size = wc_RsaSSL_Verify(signature, (word32)size, found, sizeof(found), &key->rsa);
	return found_size == (int)expected_size && memcmp(found, expected, expected_size) == 0;
}

/* RFC 5915 allows a key without its public point: compute the point. */
static bool decode_ecc(struct key *key, const byte *der, word32 size)
{
	word32 index = 0;

	if (wc_EccPrivateKeyDecode(der, &index, &key->ecc, size))
		return false;
	if (key->ecc.type == ECC_PRIVATEKEY_ONLY && wc_ecc_make_pub(&key->ecc, NULL))
		return false;
	if (!key->ecc.dp || wc_ecc_check_key(&key->ecc))
		return false;
	for (key->type = KEY_P256; key->type <= KEY_P384; key->type++)
		if (key->ecc.dp->id == types[key->type].curve)
			return true;
	key->type = KEY_P256;
	return false;
}

static bool decode_rsa(struct key *key, const byte *der, word32 size)
{
	word32 index = 0;

	if (wc_RsaPrivateKeyDecode(der, &index, &key->rsa, size))
		return false;
	for (key->type = KEY_RSA_2048; key->type <= KEY_RSA_4096; key->type++)
		if (wc_RsaEncryptSize(&key->rsa) == types[key->type].size)
			return is_sound_rsa(key);
	key->type = KEY_RSA_2048;
	return false;
}

int key_from_pem(struct key **ret_key, const char *pem, size_t size)
{
	struct key *key = NULL;
	byte der[KEY_DER_MAX];
	int err, length;

	if (size > KEY_PEM_MAX)
		return -EBADMSG;
	length = wc_KeyPemToDer((const byte *)pem, (int)size, der, sizeof(der), NULL);
	if (length <= 0)
		return -EBADMSG;
	err = key_new(&key, KEY_P256);
	if (!err && !decode_ecc(key, der, (word32)length)) {
		key_free(key);
		key = NULL;
		err = key_new(&key, KEY_RSA_2048);
		if (!err && !decode_rsa(key, der, (word32)length))
			err = -EBADMSG;
	}
	explicit_bzero(der, sizeof(der));
	if (err)
		key_free(key);
	else
		*ret_key = key;
	return err;
}

int key_read(struct key **ret_key, int directory, const char *path)
{
	size_t size;
	char *pem;
	int err;

	err = file_read(directory, path, KEY_PEM_MAX, &pem, &size);
	if (err)
		return err;
	err = key_from_pem(ret_key, pem, size);
	explicit_bzero(pem, size);
	free(pem);
	return err;
}

/* Write PKCS #8 into `der`.  Returns its size, or 0 or less on an error. */
static int encode_rsa(struct key *key, byte der[KEY_DER_MAX])
{
	byte plain[KEY_DER_MAX];
	word32 size = KEY_DER_MAX;
	int length;

	length = wc_RsaKeyToDer(&key->rsa, plain, sizeof(plain));
	if (length > 0)
		length = wc_CreatePKCS8Key(der, &size, plain, (word32)length, RSAk, NULL, 0);
	explicit_bzero(plain, sizeof(plain));
	return length;
}

int key_to_pem(struct key *key, char ret_pem[KEY_PEM_MAX])
{
	byte der[KEY_DER_MAX];
	word32 size = sizeof(der);
	int length;

	length = is_rsa(key->type) ? encode_rsa(key, der) : wc_EccKeyToPKCS8(&key->ecc, der, &size);
	if (length > 0)
		length = wc_DerToPem(der, (word32)length, (byte *)ret_pem, KEY_PEM_MAX - 1,
				     PKCS8_PRIVATEKEY_TYPE);
	explicit_bzero(der, sizeof(der));
	if (length <= 0)
		return -EIO;
	ret_pem[length] = '\0';
	return length;
}

/* --- the public part -------------------------------------------------------------------- */

int key_public(struct key *key, uint8_t ret_public[KEY_PUBLIC_MAX])
{
	word32 size = KEY_PUBLIC_MAX;
	int length;

	if (!is_rsa(key->type))
		return wc_ecc_export_x963(&key->ecc, ret_public, &size) ? -EIO : (int)size;
	length = wc_RsaKeyToPublicDer_ex(&key->rsa, ret_public, KEY_PUBLIC_MAX, 0);
	return length > 0 ? length : -EIO;
}

int key_public_numbers(struct key *key, struct key_numbers *ret_numbers)
{
	word32 first_size = sizeof(ret_numbers->first), second_size = sizeof(ret_numbers->second);

	if (is_rsa(key->type) ? wc_RsaFlattenPublicKey(&key->rsa, ret_numbers->second, &second_size,
						       ret_numbers->first, &first_size)
			      : wc_ecc_export_public_raw(&key->ecc, ret_numbers->first, &first_size,
							 ret_numbers->second, &second_size))
		return -EIO;
	ret_numbers->first_size = first_size;
	ret_numbers->second_size = second_size;
	return 0;
}

/* --- signing ---------------------------------------------------------------------------- */

const char *key_algorithm(const struct key *key)
{
	return types[key->type].algorithm;
}

/* Pad a number to its full width with leading zeros. */
static void widen_number(uint8_t *ret_number, size_t width, const byte *bytes, word32 size)
{
	memset(ret_number, 0, width - size);
	memcpy(ret_number + width - size, bytes, size);
}

static int sign_ecc(struct key *key, const byte *digest, word32 digest_size,
		    uint8_t ret_signature[KEY_SIGNATURE_MAX])
{
	byte der[ECC_MAX_SIG_SIZE], r[MAX_ECC_BYTES], s[MAX_ECC_BYTES];
	word32 size = sizeof(der), r_size = sizeof(r), s_size = sizeof(s);
	size_t width = (size_t)types[key->type].size;

	if (wc_ecc_sign_hash(digest, digest_size, der, &size, &key->random, &key->ecc) ||
	    wc_ecc_sig_to_rs(der, size, r, &r_size, s, &s_size) || r_size > width || s_size > width)
		return -EIO;
	widen_number(ret_signature, width, r, r_size);
	widen_number(ret_signature + width, width, s, s_size);
	return (int)(2 * width);
}

int key_sign(struct key *key, const void *data, size_t size,
	     uint8_t ret_signature[KEY_SIGNATURE_MAX])
{
	enum wc_HashType hash = types[key->type].hash;
	byte digest[WC_MAX_DIGEST_SIZE];
	int digest_size = wc_HashGetDigestSize(hash);

	if (digest_size <= 0 || wc_Hash(hash, data, (word32)size, digest, (word32)digest_size))
		return -EIO;
	return is_rsa(key->type) ? sign_rsa(key, digest, (word32)digest_size, ret_signature)
				 : sign_ecc(key, digest, (word32)digest_size, ret_signature);
}

struct ecc_key *key_ecc(struct key *key)
{
	return is_rsa(key->type) ? NULL : &key->ecc;
}

struct RsaKey *key_rsa(struct key *key)
{
	return is_rsa(key->type) ? &key->rsa : NULL;
}
