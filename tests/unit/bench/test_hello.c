// SPDX-License-Identifier: GPL-3.0-or-later
/* The ClientHellos of sidestep-bench: how long they are, and where name and ALPN lie. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/validator/hello.h"

#define NAME      "www.example.org"
#define SEGMENT   1448 /* of Ethernet, with timestamps */
#define GO_SIZE   (1525 + sizeof(NAME) - 1) /* Go 1.26: tests/data/hello/pebble-dns.hello */
#define HELLO_MAX 4096
#define DRAWS     60

struct seen {
	size_t size, name_end, alpn_end;
};

static size_t end_of(const uint8_t *bytes, size_t size, const char *text)
{
	const uint8_t *at = memmem(bytes, size, text, strlen(text));

	assert_non_null(at);
	return (size_t)(at - bytes) + strlen(text);
}

static struct seen look(const struct hello *hello, uint64_t random)
{
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	uint8_t bytes[HELLO_MAX];
	struct seen seen;
	SSL *client;
	int size;

	assert_int_equal(hello_client(hello, NAME, random, &client), 0);
	SSL_set_bio(client, in, out);
	assert_int_equal(SSL_get_error(client, SSL_do_handshake(client)), SSL_ERROR_WANT_READ);
	size = BIO_read(out, bytes, sizeof(bytes));
	assert_in_range(size, 1, sizeof(bytes) - 1);
	/* One record of one handshake message. */
	assert_int_equal(bytes[0], 22);
	assert_int_equal((bytes[3] << 8 | bytes[4]) + 5, size);
	assert_int_equal(bytes[5], 1);
	seen.size = (size_t)size;
	seen.name_end = end_of(bytes, seen.size, NAME);
	seen.alpn_end = end_of(bytes, seen.size, "acme-tls/1");
	SSL_free(client);
	return seen;
}

static void test_go(void **state)
{
	struct hello hello;
	struct seen seen;

	(void)state;
	assert_int_equal(hello_init(&hello, HELLO_GO, HELLO_TLS_ANY), 0);
	seen = look(&hello, 0);
	assert_true(seen.alpn_end < 300);
	/* Of its own share OpenSSL decides; the filler is to the byte. */
	if (hello_has_mlkem())
		assert_in_range(seen.size, GO_SIZE - 60, GO_SIZE + 60);
	else
		assert_int_equal(seen.size, GO_SIZE);
	hello_done(&hello);
}

static void test_small(void **state)
{
	struct hello hello;
	struct seen seen;

	(void)state;
	for (enum hello_tls tls = 0; tls < HELLO_TLS; tls++) {
		assert_int_equal(hello_init(&hello, HELLO_SMALL, tls), 0);
		seen = look(&hello, 0);
		assert_in_range(seen.size, 100, 300);
		hello_done(&hello);
	}
}

/* Over many draws each place is met: all in the first segment, the ALPN behind it, both behind. */
static void test_shuffled(void **state)
{
	struct hello hello;
	struct seen seen;

	(void)state;
	for (enum hello_tls tls = 0; tls < HELLO_TLS; tls++) {
		unsigned int behind[3] = {0};

		assert_int_equal(hello_init(&hello, HELLO_SHUFFLED, tls), 0);
		for (uint64_t random = 0; random < DRAWS; random++) {
			seen = look(&hello, random);
			assert_in_range(seen.size, SEGMENT + 1, 2 * SEGMENT);
			behind[(seen.name_end > SEGMENT) + (seen.alpn_end > SEGMENT)]++;
		}
		/* certificate_authorities is TLS 1.3's. */
		assert_int_equal(behind[0], tls == HELLO_TLS_12 ? 0 : DRAWS / 3);
		assert_int_equal(behind[1], tls == HELLO_TLS_12 ? DRAWS / 2 : DRAWS / 3);
		assert_int_equal(behind[2], tls == HELLO_TLS_12 ? DRAWS / 2 : DRAWS / 3);
		hello_done(&hello);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_go),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_shuffled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
