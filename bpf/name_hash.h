/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The key of the "challenges" map: SipHash-2-4 (Aumasson, Bernstein 2012) of a
 * TLS server name, in lower case and without the trailing dot.  Pure; compiles
 * for BPF and for the host.
 *
 * Hashing keeps an entry at 100 bytes instead of 512.  The key is random, so
 * nobody can make two names meet; should two meet all the same, publishing the
 * second is refused.
 */
#ifndef NAME_HASH_H
#define NAME_HASH_H

#include <linux/types.h>

#define NAME_LENGTH_MAX	 253 /* RFC 1035 section 2.3.4, without the trailing dot */
#define NAME_BUFFER_SIZE 256 /* a name, zero up to the end */

struct sip_state {
	__u64 v0, v1, v2, v3;
};

static __attribute__((always_inline)) inline __u64 sip_rotate(__u64 x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static __attribute__((always_inline)) inline void sip_round(struct sip_state *s)
{
	s->v0 += s->v1;
	s->v1 = sip_rotate(s->v1, 13) ^ s->v0;
	s->v0 = sip_rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = sip_rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = sip_rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = sip_rotate(s->v1, 17) ^ s->v2;
	s->v2 = sip_rotate(s->v2, 32);
}

static __attribute__((always_inline)) inline void sip_word(struct sip_state *s, __u64 word)
{
	s->v3 ^= word;
	sip_round(s);
	sip_round(s);
	s->v0 ^= word;
}

/*
 * `name` is canonical: lower case, `length` <= NAME_LENGTH_MAX bytes, then zero
 * up to NAME_BUFFER_SIZE; it is read as words, so it must be 8-byte aligned.
 */
static __attribute__((always_inline)) inline __u64
name_hash(const __u64 key[2], const __u64 name[NAME_BUFFER_SIZE / 8], __u32 length)
{
	struct sip_state s = {
		.v0 = key[0] ^ 0x736f6d6570736575ULL,
		.v1 = key[1] ^ 0x646f72616e646f6dULL,
		.v2 = key[0] ^ 0x6c7967656e657261ULL,
		.v3 = key[1] ^ 0x7465646279746573ULL,
	};
	__u32 i;

	for (i = 0; i < NAME_BUFFER_SIZE / 8 - 1; i++) {
		if (i >= length / 8)
			break;
		sip_word(&s, name[i]);
	}
	/* The last word: what is left (zero padded), and the length in the top byte. */
	sip_word(&s, (name[i & (NAME_BUFFER_SIZE / 8 - 1)] & 0x00ffffffffffffffULL) | (__u64)length << 56);
	s.v2 ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

#endif
