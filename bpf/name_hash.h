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
#ifndef BPF_NAME_HASH_H
#define BPF_NAME_HASH_H

#include <linux/types.h>

#define NAME_LENGTH_MAX  253 /* RFC 1035 section 2.3.4, without the trailing dot */
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
 * ASCII letters to lower case, eight bytes at a time and without branches: for
 * each byte, bit 7 of the difference of two sums says whether it is in A..Z.
 */
static __attribute__((always_inline)) inline void name_to_lower(__u64 name[NAME_BUFFER_SIZE / 8])
{
	const __u64 every_byte = 0x0101010101010101ULL;
	__u64 word, low, is_upper;
	int i;

	for (i = 0; i < NAME_BUFFER_SIZE / 8; i++) {
		word = name[i];
		low = word & every_byte * 0x7f;
		is_upper = (low + every_byte * (0x80 - 'A')) ^ (low + every_byte * (0x7f - 'Z'));
		is_upper &= ~word & every_byte * 0x80;
		name[i] = word | is_upper >> 2;
	}
}

/*
 * `name` is canonical: lower case, at most NAME_LENGTH_MAX bytes, then zero up
 * to the end.  The whole buffer is the message, so that the work has no branch.
 */
static __attribute__((always_inline)) inline __u64 name_hash(const __u64 key[2],
							     const __u64 name[NAME_BUFFER_SIZE / 8])
{
	struct sip_state s = {
		.v0 = key[0] ^ 0x736f6d6570736575ULL,
		.v1 = key[1] ^ 0x646f72616e646f6dULL,
		.v2 = key[0] ^ 0x6c7967656e657261ULL,
		.v3 = key[1] ^ 0x7465646279746573ULL,
	};
	int i;

	for (i = 0; i < NAME_BUFFER_SIZE / 8; i++)
		sip_word(&s, name[i]);
	sip_word(&s, (__u64)(NAME_BUFFER_SIZE & 0xff) << 56); /* the padding of a whole message */
	s.v2 ^= 0xff;
	for (i = 0; i < 4; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

#endif
