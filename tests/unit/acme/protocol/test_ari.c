// SPDX-License-Identifier: GPL-3.0-or-later
/* Renewal information (RFC 9773) as CAs send it, and as they should not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "acme/protocol/ari.h"

#define NOON 1764158400 /* 2025-11-26T12:00:00Z */

static void test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t unix_s;
	} good[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2025-11-26T12:00:00Z", NOON},
		{"2025-11-26T12:00:00.123456789Z", NOON},
		{"2025-11-26T14:00:00+02:00", NOON},
		{"2025-11-26T08:30:00-03:30", NOON},
		{"2025-11-26T12:00:00z", NOON},
	};
	static const char *const bad[] = {
		"",
		"2025-11-26",
		"2025-11-26 12:00:00Z",
		"2025-11-26T12:00:00",
		"2025-11-26T12:00Z",
		"2025-13-26T12:00:00Z",
		"2025-11-26T12:00:00.Z",
		"2025-11-26T12:00:00ZZ",
		"2025-11-26T12:00:00+2:00",
		"2025-11-26T12:00:00+24:00",
		"2025-11-26T12:00:00+02:00x",
		"99999-11-26T12:00:00Z",
		"tomorrow",
	};
	int64_t unix_s;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_true(ari_read_time(&unix_s, good[i].text));
		assert_int_equal(unix_s, good[i].unix_s);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (ari_read_time(&unix_s, bad[i]))
			fail_msg("'%s' was taken for a time", bad[i]);
	}
}

static bool read_body(struct ari_answer *ret_answer, const char *body, char url[2048])
{
	return ari_read(ret_answer, body, strlen(body), url);
}

static void test_answers(void **state)
{
	struct ari_answer answer;
	char url[2048];

	(void)state;
	assert_true(read_body(&answer,
			      "{\"suggestedWindow\": {\"start\": \"2025-11-26T12:00:00Z\","
			      " \"end\": \"2025-11-27T12:00:00Z\"},"
			      " \"explanationURL\": \"https://ca.example/why\", \"new\": [1]}",
			      url));
	assert_int_equal(answer.start_s, NOON);
	assert_int_equal(answer.end_s, NOON + 86400);
	assert_string_equal(answer.explanation_url, "https://ca.example/why");
	/* An explanation that cannot be shown safely is none. */
	assert_true(read_body(&answer,
			      "{\"suggestedWindow\": {\"start\": \"2025-11-26T12:00:00Z\","
			      " \"end\": \"2025-11-27T12:00:00Z\"},"
			      " \"explanationURL\": \"javascript:alert(1)\"}",
			      url));
	assert_null(answer.explanation_url);
}

static void test_no_answers(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"suggestedWindow\": 7}",
		"{\"suggestedWindow\": {\"start\": \"2025-11-26T12:00:00Z\"}}",
		"{\"suggestedWindow\": {\"start\": 1, \"end\": 2}}",
		/* It ends before it begins: RFC 9773 section 4.2. */
		"{\"suggestedWindow\": {\"start\": \"2025-11-26T12:00:00Z\","
		" \"end\": \"2025-11-26T12:00:00Z\"}}",
		"{\"suggestedWindow\": {\"start\": \"2025-11-26T12:00:00Z\", \"end\": \"",
	};
	struct ari_answer answer;
	char url[2048];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(read_body(&answer, bad[i], url));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_no_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
