// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "responder/tls_memory.h"

#define LARGEST 100000 /* far beyond what is kept */

static void fill(uint8_t *block, size_t size)
{
	for (size_t i = 0; i < size; i++)
		block[i] = (uint8_t)(i * 7);
}

static void assert_filled(const uint8_t *block, size_t size)
{
	for (size_t i = 0; i < size; i++)
		assert_int_equal(block[i], (uint8_t)(i * 7));
}

static void test_every_size_has_room(void **state)
{
	(void)state;
	for (size_t size = 0; size < 10000; size += 13) {
		uint8_t *one = tls_memory_alloc(size), *other = tls_memory_alloc(size);

		assert_non_null(one);
		assert_non_null(other);
		assert_int_equal((uintptr_t)one % 16, 0);
		fill(one, size);
		memset(other, 0xff, size);
		assert_filled(one, size);
		tls_memory_free(other);
		tls_memory_free(one);
	}
	tls_memory_free(NULL);
	assert_null(tls_memory_alloc(SIZE_MAX));
	tls_memory_release();
}

static void test_a_block_grows_with_its_bytes(void **state)
{
	uint8_t *block = NULL;
	size_t filled = 0;

	(void)state;
	for (size_t size = 1; size < LARGEST; size = size * 3 / 2 + 1) {
		block = tls_memory_realloc(block, size);
		assert_non_null(block);
		assert_filled(block, filled);
		fill(block, size);
		filled = size;
	}
	assert_null(tls_memory_realloc(block, SIZE_MAX));
	assert_filled(block, filled);
	block = tls_memory_realloc(block, 10);
	assert_filled(block, 10);
	tls_memory_free(block);
	tls_memory_release();
}

static void *free_there(void *block)
{
	tls_memory_free(block);
	tls_memory_release();
	return NULL;
}

static void test_another_thread_may_free(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, free_there, tls_memory_alloc(100)), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

#ifndef __SANITIZE_ADDRESS__
/* With the sanitizer all goes back at once, so that it sees each use after the end. */
static void test_the_last_one_freed_comes_first(void **state)
{
	void *one = tls_memory_alloc(1000), *other = tls_memory_alloc(1000);

	(void)state;
	tls_memory_free(other);
	tls_memory_free(one);
	assert_ptr_equal(tls_memory_alloc(990), one);
	assert_ptr_equal(tls_memory_alloc(1000), other);
	tls_memory_free(one);
	tls_memory_free(other);
	tls_memory_release();
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_size_has_room),
		cmocka_unit_test(test_a_block_grows_with_its_bytes),
		cmocka_unit_test(test_another_thread_may_free),
#ifndef __SANITIZE_ADDRESS__
		cmocka_unit_test(test_the_last_one_freed_comes_first),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
