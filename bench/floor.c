// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The crypto floor: what wolfCrypt's primitives alone take for the server's side of one
 * TLS 1.3 handshake with X25519 and an ECDSA P-256 certificate (RFC 8446).  Prints a line
 * each: name and microseconds of processor time, the sum last.  Run by handshakes.py.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/curve25519.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/hmac.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/sha256.h>
#include <wolfssl/wolfcrypt/wc_port.h>

#define ROUNDS 2000
/* Section 4.4.1: ClientHello to Finished, of which a hash is taken at four points. */
#define TRANSCRIPT_SIZE  1200
#define TRANSCRIPT_TAKEN 4
/* Section 7.1: extracts, derived secrets, traffic keys and IVs, finished keys. */
#define KEY_SCHEDULE_HMACS 22
/* EncryptedExtensions to Finished, and the client's Finished; a key for each direction. */
#define RECORDS_SIZE 900
#define RECORDS      5

struct floor {
	WC_RNG rng;
	curve25519_key ephemeral, peer;
	ecc_key certificate_key;
};

static void require(int result)
{
	if (!result)
		return;
	fprintf(stderr, "floor: wolfCrypt failed: %d\n", result);
	exit(1);
}

static int make_ephemeral(struct floor *floor)
{
	return wc_curve25519_make_key(&floor->rng, CURVE25519_KEYSIZE, &floor->ephemeral);
}

static int agree(struct floor *floor)
{
	uint8_t secret[CURVE25519_KEYSIZE];
	word32 size = sizeof(secret);

	return wc_curve25519_shared_secret_ex(&floor->ephemeral, &floor->peer, secret, &size,
					      EC25519_LITTLE_ENDIAN);
}

static int sign(struct floor *floor)
{
	uint8_t digest[WC_SHA256_DIGEST_SIZE] = {1}, signature[ECC_MAX_SIG_SIZE];
	word32 size = sizeof(signature);

	return wc_ecc_sign_hash(digest, sizeof(digest), signature, &size, &floor->rng,
				&floor->certificate_key);
}

static int hash_transcript(struct floor *floor)
{
	static const uint8_t transcript[TRANSCRIPT_SIZE];
	uint8_t digest[WC_SHA256_DIGEST_SIZE];
	wc_Sha256 sha;
	int err = wc_InitSha256(&sha);

	(void)floor;
	for (int i = 0; !err && i < TRANSCRIPT_TAKEN; i++) {
		err = wc_Sha256Update(&sha, transcript, TRANSCRIPT_SIZE / TRANSCRIPT_TAKEN);
		if (!err)
			err = wc_Sha256GetHash(&sha, digest);
	}
	wc_Sha256Free(&sha);
	return err;
}

static int schedule_keys(struct floor *floor)
{
	static const uint8_t label[56] = {1};
	uint8_t secret[WC_SHA256_DIGEST_SIZE] = {1};
	Hmac hmac;
	int err = wc_HmacInit(&hmac, NULL, INVALID_DEVID);

	(void)floor;
	for (int i = 0; !err && i < KEY_SCHEDULE_HMACS; i++) {
		err = wc_HmacSetKey(&hmac, WC_SHA256, secret, sizeof(secret));
		if (!err)
			err = wc_HmacUpdate(&hmac, label, sizeof(label));
		if (!err)
			err = wc_HmacFinal(&hmac, secret);
	}
	wc_HmacFree(&hmac);
	return err;
}

static int protect_records(struct floor *floor)
{
	uint8_t key[16] = {1}, iv[12] = {0}, tag[16], record[RECORDS_SIZE / RECORDS] = {0};
	Aes aes;
	int err = wc_AesInit(&aes, NULL, INVALID_DEVID);

	(void)floor;
	for (int i = 0; !err && i < RECORDS; i++) {
		err = i < 2 ? wc_AesGcmSetKey(&aes, key, sizeof(key)) : 0;
		if (!err)
			err = wc_AesGcmEncrypt(&aes, record, record, sizeof(record), iv, sizeof(iv),
					       tag, sizeof(tag), NULL, 0);
	}
	wc_AesFree(&aes);
	return err;
}

static double cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static double measure(const char *name, int (*work)(struct floor *floor), struct floor *floor)
{
	double began_us = cpu_us(), took_us;

	for (int i = 0; i < ROUNDS; i++)
		require(work(floor));
	took_us = (cpu_us() - began_us) / ROUNDS;
	printf("%s %.2f\n", name, took_us);
	return took_us;
}

int main(void)
{
	struct floor floor;
	double sum_us;

	require(wolfCrypt_Init());
	require(wc_InitRng(&floor.rng));
	require(wc_curve25519_init(&floor.ephemeral));
	require(wc_curve25519_init(&floor.peer));
	require(wc_ecc_init(&floor.certificate_key));
	require(wc_curve25519_make_key(&floor.rng, CURVE25519_KEYSIZE, &floor.peer));
	require(wc_ecc_make_key(&floor.rng, 32, &floor.certificate_key));
	sum_us = measure("x25519_make_key", make_ephemeral, &floor);
	sum_us += measure("x25519_agree", agree, &floor);
	sum_us += measure("ecdsa_p256_sign", sign, &floor);
	sum_us += measure("transcript_sha256", hash_transcript, &floor);
	sum_us += measure("key_schedule_hmac", schedule_keys, &floor);
	sum_us += measure("records_aes_gcm", protect_records, &floor);
	printf("sum %.2f\n", sum_us);
	return 0;
}
