// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * X25519 key shares. The linker leads wolfSSL's calls of wc_curve25519_make_key() here (--wrap in the
 * Makefile). A thread shares one key among the handshakes of a second: making one takes a tenth of a
 * handshake's time. RFC 9325 section 7.4 allows that for this curve, and the connections carry nothing
 * that needs to stay secret.
 */
#include <stdint.h>
#include <time.h>

#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/curve25519.h>

#define KEY_SHARE_NS UINT64_C(1000000000)

int __real_wc_curve25519_make_key(WC_RNG *rng, int size, curve25519_key *key);
int __wrap_wc_curve25519_make_key(WC_RNG *rng, int size, curve25519_key *key);

int __wrap_wc_curve25519_make_key(WC_RNG *rng, int size, curve25519_key *key)
{
	static _Thread_local struct {
		uint64_t until_ns; /* CLOCK_MONOTONIC; 0: there is none */
		uint8_t private_key[CURVE25519_KEYSIZE], public_key[CURVE25519_KEYSIZE];
	} shared;
	struct timespec time;
	uint64_t now_ns;
	int err;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
	now_ns = (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
	if (now_ns < shared.until_ns)
		return wc_curve25519_import_private_raw_ex(
			shared.private_key, sizeof(shared.private_key), shared.public_key,
			sizeof(shared.public_key), key, EC25519_LITTLE_ENDIAN);
	err = __real_wc_curve25519_make_key(rng, size, key);
	if (!err) {
		word32 private_size = sizeof(shared.private_key);
		word32 public_size = sizeof(shared.public_key);

		err = wc_curve25519_export_key_raw_ex(key, shared.private_key, &private_size,
						      shared.public_key, &public_size,
						      EC25519_LITTLE_ENDIAN);
		shared.until_ns = err ? 0 : now_ns + KEY_SHARE_NS;
	}
	return err;
}
