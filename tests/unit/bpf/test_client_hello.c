// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The ClientHello walk on the host: every vector, every beginning of every
 * vector, and every vector with one byte changed to every other.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/hello_vectors.h"

static struct hello_vectors vectors;

/* On the heap and no larger than promised, so that ASan sees a byte too far. */
static uint8_t *buffer;

/* Walk over the first `size` bytes of data; behind them the buffer holds `filler`. */
static enum client_hello_verdict parse(const uint8_t *data, size_t size, int filler,
				       struct client_hello *ret_hello)
{
	size_t seen = size < CLIENT_HELLO_WINDOW ? size : CLIENT_HELLO_WINDOW;

	memcpy(buffer, data, seen);
	memset(buffer + seen, filler, CLIENT_HELLO_BUFFER_SIZE - seen);
	return client_hello_parse(buffer, (__u32)size, ret_hello);
}

/* Does `hello` tell of a server name that lies among the first `size` bytes? */
static bool name_is_inside(const struct client_hello *hello, size_t size)
{
	return hello->server_name_offset <= size &&
	       hello->server_name_length <= size - hello->server_name_offset;
}

static void check_verdict(const struct hello_vector *vector, size_t size,
			  enum client_hello_verdict verdict, enum client_hello_verdict expected)
{
	if (verdict != expected)
		fail_msg("%s, first %zu of %zu bytes: %s instead of %s", vector->name, size,
			 vector->size, hello_verdict_name(verdict), hello_verdict_name(expected));
}

static void test_every_vector(void **state)
{
	(void)state;
	for (size_t i = 0; i < vectors.count; i++) {
		const struct hello_vector *vector = &vectors.list[i];
		struct client_hello hello;
		bool name_is_right;

		check_verdict(vector, vector->size, parse(vector->data, vector->size, 0, &hello),
			      vector->verdict);
		name_is_right = hello.server_name_length == strlen(vector->server_name) &&
				name_is_inside(&hello, vector->size) &&
				!memcmp(buffer + hello.server_name_offset, vector->server_name,
					hello.server_name_length);
		/* Whoever decides before the name need not have seen it. */
		if (!name_is_right &&
		    (vector->verdict == CLIENT_HELLO_ACME || hello.server_name_length))
			fail_msg("%s: the server name is not %s", vector->name,
				 vector->server_name);
	}
}

/*
 * However much of it has come, a hello is never taken for what it is not: it
 * is undecided up to some byte, and from there on what it is as a whole.
 */
static void test_every_beginning(void **state)
{
	(void)state;
	for (size_t i = 0; i < vectors.count; i++) {
		const struct hello_vector *vector = &vectors.list[i];
		bool is_decided = false;

		for (size_t size = 0; size <= vector->size; size++) {
			struct client_hello hello;
			enum client_hello_verdict verdict = parse(vector->data, size, 0, &hello);

			is_decided |= verdict != CLIENT_HELLO_TRUNCATED;
			check_verdict(vector, size, verdict,
				      is_decided ? vector->verdict : CLIENT_HELLO_TRUNCATED);
			assert_true(name_is_inside(&hello, size));
		}
	}
}

/* The classifier's buffer still holds the bytes of earlier segments. */
static void test_what_lies_behind_is_not_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < vectors.count; i++) {
		const struct hello_vector *vector = &vectors.list[i];

		for (size_t size = 0; size <= vector->size; size++) {
			struct client_hello one, other;

			assert_int_equal(parse(vector->data, size, 0, &one),
					 parse(vector->data, size, 0xff, &other));
			assert_memory_equal(&one, &other, sizeof(one));
		}
	}
}

/* What an ACME verdict claims, looked up in the bytes without walking there. */
static bool acme_is_justified(const uint8_t *data, size_t size, const struct client_hello *hello)
{
	static const uint8_t alpn[] = "\0\x10\0\x0d\0\x0b\x0a"
				      "acme-tls/1";
	const uint8_t *name = data + hello->server_name_offset;
	size_t length = hello->server_name_length;

	return length && name_is_inside(hello, size) && hello->server_name_offset >= 9 &&
	       !name[-9] && !name[-8] && name[-3] == 0 && name[-2] == length >> 8 &&
	       name[-1] == (length & 0xff) && memmem(data, size, alpn, sizeof(alpn) - 1);
}

static void check_bent(const struct hello_vector *vector, uint8_t *data, size_t at)
{
	struct client_hello hello;
	enum client_hello_verdict verdict = parse(data, vector->size, 0, &hello);
	size_t seen = vector->size < CLIENT_HELLO_WINDOW ? vector->size : CLIENT_HELLO_WINDOW;

	if (!name_is_inside(&hello, vector->size))
		fail_msg("%s, byte %zu as 0x%02x: a server name outside of the bytes", vector->name,
			 at, data[at]);
	if (verdict == CLIENT_HELLO_ACME && !acme_is_justified(buffer, seen, &hello))
		fail_msg("%s, byte %zu as 0x%02x: acme without reason", vector->name, at, data[at]);
}

static void test_every_byte_bent_every_way(void **state)
{
	(void)state;
	for (size_t i = 0; i < vectors.count; i++) {
		const struct hello_vector *vector = &vectors.list[i];
		uint8_t *data = malloc(vector->size);

		assert_non_null(data);
		memcpy(data, vector->data, vector->size);
		for (size_t at = 0; at < vector->size; at++) {
			for (int bits = 1; bits <= 0xff; bits++) {
				data[at] = vector->data[at] ^ (uint8_t)bits;
				check_bent(vector, data, at);
			}
			data[at] = vector->data[at];
		}
		free(data);
	}
}

/* The set must go on having what the other tests are worth something for. */
static void test_the_set(void **state)
{
	size_t of_verdict[CLIENT_HELLO_MALFORMED + 1] = {0};

	(void)state;
	for (size_t i = 0; i < vectors.count; i++)
		of_verdict[vectors.list[i].verdict]++;
	for (size_t i = 0; i < sizeof(of_verdict) / sizeof(of_verdict[0]); i++)
		assert_true(of_verdict[i] >= 5);
	/* Of a size that no segment holds, and decided by its first 1,400 bytes. */
	assert_true(hello_vectors_find(&vectors, "pebble-dns")->size > 1460);
	assert_true(hello_vectors_find(&vectors, "pebble-dns-first-segment")->size <= 1400);
}

static int set_up(void **state)
{
	(void)state;
	hello_vectors_load(&vectors);
	buffer = malloc(CLIENT_HELLO_BUFFER_SIZE);
	return buffer ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	free(buffer);
	hello_vectors_free(&vectors);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_set),
		cmocka_unit_test(test_every_vector),
		cmocka_unit_test(test_every_beginning),
		cmocka_unit_test(test_what_lies_behind_is_not_read),
		cmocka_unit_test(test_every_byte_bent_every_way),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
