// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/name_hash.h"
#include "tests/unit/fixture.h"

/* The key of the vectors in the SipHash paper, appendix A: 00 01 .. 0f. */
static const __u64 paper_key[2] = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};

/* The rounds, over messages of whole words, against vectors of the reference implementation. */
static void test_published_vectors(void **state)
{
	static const struct {
		unsigned int words;
		__u64 hash;
	} vectors[] = {
		{0, 0x726fdb47dd0e0e31ULL}, {1, 0x93f5f5799a932462ULL}, {2, 0x3f2acc7f57c29bdbULL}};
	__u64 message[2], last;
	struct sip_state s;
	unsigned int i, j;

	(void)state;
	for (i = 0; i < sizeof(message); i++)
		((uint8_t *)message)[i] = (uint8_t)i;
	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		s = (struct sip_state){
			paper_key[0] ^ 0x736f6d6570736575ULL, paper_key[1] ^ 0x646f72616e646f6dULL,
			paper_key[0] ^ 0x6c7967656e657261ULL, paper_key[1] ^ 0x7465646279746573ULL};
		for (j = 0; j < vectors[i].words; j++)
			sip_word(&s, message[j]);
		last = (__u64)(8 * vectors[i].words) << 56;
		sip_word(&s, last);
		s.v2 ^= 0xff;
		for (j = 0; j < 4; j++)
			sip_round(&s);
		assert_int_equal(s.v0 ^ s.v1 ^ s.v2 ^ s.v3, vectors[i].hash);
	}
}

/* The whole function, against OpenSSL's SipHash-2-4 of the same 256 bytes. */
static void test_against_openssl(void **state)
{
	static const unsigned int lengths[] = {1, 7, 8, 9, 63, 64, 200, 252, 253};
	char path[] = "/tmp/sidestep-XXXXXX";
	__u64 name[NAME_BUFFER_SIZE / 8];
	uint8_t expected[8];
	unsigned int i, j;
	char *output;
	int status;

	(void)state;
	close(mkstemp(path));
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		memset(name, 0, sizeof(name));
		for (j = 0; j < lengths[i]; j++)
			((char *)name)[j] =
				"abcdefghijklmnopqrstuvwxyz0123456789-."[(j * 7 + i) % 38];
		fixture_write_file(path, name, sizeof(name));
		output = fixture_run(&status,
				     "openssl mac -macopt size:8 -macopt hexkey:000102030405060708"
				     "090a0b0c0d0e0f -in %s SIPHASH 2>&1",
				     path);
		assert_int_equal(status, 0);
		for (j = 0; j < sizeof(expected); j++)
			assert_int_equal(sscanf(output + 2 * j, "%2hhx", &expected[j]), 1);
		free(output);
		/* OpenSSL prints the number's bytes from the lowest. */
		for (j = 0; j < sizeof(expected); j++)
			assert_int_equal(name_hash(paper_key, name) >> 8 * j & 0xff, expected[j]);
	}
	unlink(path);
}

/* What matters of a keyed hash: each bit of name and key counts. */
static void test_every_bit_counts(void **state)
{
	__u64 name[NAME_BUFFER_SIZE / 8] = {0}, key[2] = {paper_key[0], paper_key[1]}, hash;
	unsigned int bit;

	(void)state;
	hash = name_hash(key, name);
	for (bit = 0; bit < 8 * sizeof(name); bit++) {
		name[bit / 64] ^= 1ULL << bit % 64;
		assert_int_not_equal(name_hash(key, name), hash);
		name[bit / 64] ^= 1ULL << bit % 64;
	}
	for (bit = 0; bit < 8 * sizeof(key); bit++) {
		key[bit / 64] ^= 1ULL << bit % 64;
		assert_int_not_equal(name_hash(key, name), hash);
		key[bit / 64] ^= 1ULL << bit % 64;
	}
}

static void test_lower_case(void **state)
{
	__u64 name[NAME_BUFFER_SIZE / 8];
	uint8_t *bytes = (uint8_t *)name;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(name); i++)
		bytes[i] = (uint8_t)i;
	name_to_lower(name);
	for (i = 0; i < sizeof(name); i++)
		assert_int_equal(bytes[i], i >= 'A' && i <= 'Z' ? i + ('a' - 'A') : i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published_vectors),
		cmocka_unit_test(test_against_openssl),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_lower_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
