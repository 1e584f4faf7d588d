// SPDX-License-Identifier: GPL-3.0-or-later
/* What captured ClientHellos tell of their clients, and that none is read beyond its end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/evidence.h"
#include "responder/hello_traits.h"
#include "tests/hello_vectors.h"

#define GO_TRAITS                                                                      \
	(EVIDENCE_GROUP_X25519MLKEM768 | EVIDENCE_GROUP_X25519 | EVIDENCE_GROUP_P256 | \
	 EVIDENCE_SHARE_X25519MLKEM768 | EVIDENCE_SHARE_X25519)

static struct hello_vectors vectors;

static int setup(void **state)
{
	(void)state;
	hello_vectors_load(&vectors);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	hello_vectors_free(&vectors);
	return 0;
}

static uint16_t traits_of(const char *name)
{
	const struct hello_vector *vector = hello_vectors_find(&vectors, name);

	return hello_traits(vector->data, vector->size);
}

static void test_real_clients(void **state)
{
	(void)state;
	/* Go 1.26, as in Pebble: a post-quantum share, and X25519 beside it. */
	assert_int_equal(traits_of("pebble-dns"), GO_TRAITS);
	assert_int_equal(traits_of("openssl-acme") &
				 (EVIDENCE_GROUP_X25519 | EVIDENCE_SHARE_X25519),
			 EVIDENCE_GROUP_X25519 | EVIDENCE_SHARE_X25519);
	/* Groups, but no key shares before TLS 1.3. */
	assert_true(traits_of("openssl-acme-tls12") & EVIDENCE_GROUP_X25519);
	assert_false(traits_of("openssl-acme-tls12") & EVIDENCE_SHARE_X25519);
}

static void test_no_hello(void **state)
{
	(void)state;
	assert_int_equal(traits_of("bad-http"), 0);
	assert_int_equal(traits_of("bad-zeros"), 0);
	assert_int_equal(traits_of("built-no-extensions"), 0);
}

/* Each in a buffer of just its size, so that a sanitizer sees a step beyond. */
static void test_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < vectors.count; i++) {
		uint16_t whole = hello_traits(vectors.list[i].data, vectors.list[i].size);

		for (size_t size = 0; size <= vectors.list[i].size; size++) {
			uint8_t *copy = malloc(size + !size);
			uint16_t traits;

			assert_non_null(copy);
			memcpy(copy, vectors.list[i].data, size);
			traits = hello_traits(copy, size);
			free(copy);
			/* Less may be seen, never something else. */
			assert_int_equal(traits & ~whole, 0);
		}
	}
}

/* Where the name is among the bytes, the classifier's parser and this one have it of one size. */
static void test_server_names(void **state)
{
	size_t named = 0;

	(void)state;
	for (size_t i = 0; i < vectors.count; i++) {
		const struct hello_vector *vector = &vectors.list[i];
		size_t size = strlen(vector->server_name);

		if (vector->verdict != CLIENT_HELLO_ACME || !size)
			continue;
		named++;
		assert_int_equal(hello_server_name_size(vector->data, vector->size), size);
		assert_int_equal(hello_server_name_size(vector->data, 20), 0);
	}
	assert_true(named > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real_clients),
		cmocka_unit_test(test_no_hello),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_server_names),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
