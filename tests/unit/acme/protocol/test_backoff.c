// SPDX-License-Identifier: GPL-3.0-or-later
/* When to ask again, and which nonce to use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "acme/protocol/nonces.h"
#include "acme/protocol/backoff.h"

#define NS_PER_MS 1000000ULL
#define START_NS  1000000000000ULL

static void test_pauses_grow(void **state)
{
	uint64_t now_ns = START_NS;
	int64_t pause_ms, last_ms = 0;
	struct backoff poll = {0};

	(void)state;
	assert_int_equal(backoff_again_ms(&poll, 0, now_ns), BACKOFF_FIRST_MS);
	do {
		pause_ms = backoff_again_ms(&poll, 0, now_ns);
		assert_true(pause_ms > last_ms || pause_ms == BACKOFF_LONGEST_MS);
		assert_true(pause_ms <= BACKOFF_LONGEST_MS);
		last_ms = pause_ms;
	} while (pause_ms < BACKOFF_LONGEST_MS);
}

static void test_retry_after(void **state)
{
	struct backoff poll = {0};

	(void)state;
	assert_int_equal(backoff_again_ms(&poll, 3, START_NS), 3000);
	assert_int_equal(backoff_again_ms(&poll, BACKOFF_RETRY_AFTER_MAX_S, START_NS),
			 BACKOFF_RETRY_AFTER_MAX_S * 1000);
	/* Absurd ones are clamped, not obeyed and not overflowing. */
	assert_int_equal(backoff_again_ms(&poll, 86400, START_NS),
			 BACKOFF_RETRY_AFTER_MAX_S * 1000);
	assert_int_equal(backoff_again_ms(&poll, INT64_MAX, START_NS),
			 BACKOFF_RETRY_AFTER_MAX_S * 1000);
	assert_in_range(backoff_again_ms(&poll, -5, START_NS), BACKOFF_FIRST_MS,
			BACKOFF_LONGEST_MS);
	assert_in_range(backoff_again_ms(&poll, INT64_MIN, START_NS), BACKOFF_FIRST_MS,
			BACKOFF_LONGEST_MS);
}

/* Whatever the CA says, polling ends, and not much later than at the deadline. */
static void test_deadline(void **state)
{
	static const int64_t retry_after_s[] = {0, 1, 7, 60, 3600};
	uint64_t now_ns;
	struct backoff poll;
	int64_t pause_ms;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(retry_after_s) / sizeof(*retry_after_s); i++) {
		poll = (struct backoff){0};
		now_ns = START_NS;
		while ((pause_ms = backoff_again_ms(&poll, retry_after_s[i], now_ns)) >= 0)
			now_ns += (uint64_t)pause_ms * NS_PER_MS;
		assert_true(now_ns - START_NS <= BACKOFF_DEADLINE_S * 1000 * NS_PER_MS);
		assert_true(now_ns - START_NS >=
			    (BACKOFF_DEADLINE_S - BACKOFF_RETRY_AFTER_MAX_S) * 1000 * NS_PER_MS);
	}
}

static void test_failures(void **state)
{
	struct backoff poll = {0};
	int i;

	(void)state;
	for (i = 1; i < BACKOFF_FAILURES_MAX; i++)
		assert_true(backoff_after_failure_ms(&poll, 0, START_NS) > 0);
	assert_int_equal(backoff_after_failure_ms(&poll, 0, START_NS), -1);

	/* An answer in between, and the counting begins again. */
	poll = (struct backoff){0};
	for (i = 0; i < 3 * BACKOFF_FAILURES_MAX; i++) {
		assert_true(backoff_after_failure_ms(&poll, 0, START_NS) > 0);
		assert_true(backoff_again_ms(&poll, 0, START_NS) > 0);
	}
	assert_int_equal(backoff_after_failure_ms(&poll, 7, START_NS), 7000);
}

/* --- nonces ---------------------------------------------------------------------------------- */

static void test_nonces(void **state)
{
	struct nonces nonces = {0};

	(void)state;
	assert_null(nonces_take(&nonces));
	nonces_add(&nonces, "first");
	nonces_add(&nonces, "second-_9");
	assert_string_equal(nonces_take(&nonces), "second-_9");
	assert_string_equal(nonces_take(&nonces), "first");
	assert_null(nonces_take(&nonces));
}

/* RFC 8555 section 6.5.1: what is not base64url is ignored. */
static void test_bad_nonces(void **state)
{
	char text[NONCE_LENGTH_MAX + 2];
	struct nonces nonces = {0};

	(void)state;
	nonces_add(&nonces, NULL);
	nonces_add(&nonces, "");
	nonces_add(&nonces, "a b");
	nonces_add(&nonces, "a=");
	nonces_add(&nonces, "\"");
	memset(text, 'a', sizeof(text));
	text[NONCE_LENGTH_MAX + 1] = '\0';
	nonces_add(&nonces, text);
	assert_null(nonces_take(&nonces));
	text[NONCE_LENGTH_MAX] = '\0';
	nonces_add(&nonces, text);
	assert_string_equal(nonces_take(&nonces), text);
}

static void test_nonces_are_bounded(void **state)
{
	struct nonces nonces = {0};
	char text[32];
	int i;

	(void)state;
	for (i = 0; i < 10 * NONCES_MAX; i++) {
		snprintf(text, sizeof(text), "n%d", i);
		nonces_add(&nonces, text);
	}
	/* The youngest are kept. */
	for (i = 10 * NONCES_MAX - 1; i >= 9 * NONCES_MAX; i--) {
		snprintf(text, sizeof(text), "n%d", i);
		assert_string_equal(nonces_take(&nonces), text);
	}
	assert_null(nonces_take(&nonces));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pauses_grow),
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_nonces),
		cmocka_unit_test(test_bad_nonces),
		cmocka_unit_test(test_nonces_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
