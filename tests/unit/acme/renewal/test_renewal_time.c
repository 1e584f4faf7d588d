// SPDX-License-Identifier: GPL-3.0-or-later
/* When a certificate is renewed, its window asked for, a failure tried again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "acme/renewal/consequence.h"
#include "acme/renewal/renewal_time.h"
#include "acme/store/state.h"
#include "common/random.h"

#define START INT64_C(1800000000)
#define HOUR  3600
#define DAY   86400
#define LOOPS 20000

static int64_t at(int64_t now_s, int64_t life_s, double random)
{
	const struct renewal_facts facts = {
		.now_s = now_s, .not_before_s = START, .not_after_s = START + life_s};

	return renewal_time_next(&facts, random);
}

static int64_t at_window(int64_t now_s, int64_t start_s, int64_t end_s, double random)
{
	const struct renewal_facts facts = {.now_s = now_s,
					    .not_before_s = START,
					    .not_after_s = START + 90 * DAY,
					    .has_window = true,
					    .window_start_s = start_s,
					    .window_end_s = end_s};

	return renewal_time_next(&facts, random);
}

static void test_at_two_thirds_of_its_life(void **state)
{
	(void)state;
	assert_int_equal(at(START, 90 * DAY, 0), START + 60 * DAY);
	assert_int_equal(at(START, 45 * DAY, 0), START + 30 * DAY);
	/* Spread over a twentieth of it, to the early side. */
	assert_int_equal(at(START, 90 * DAY, 0.5), START + 60 * DAY - 90 * DAY / 40);
	/* 160 hours: under ten days, at half. */
	assert_int_equal(at(START, 160 * HOUR, 0), START + 80 * HOUR);
	assert_int_equal(at(START, 160 * HOUR, 0.5), START + 76 * HOUR);
}

/* When the operator says: within the certificate's life, and a window may only be sooner. */
static void test_when_the_operator_says(void **state)
{
	struct renewal_facts facts = {
		.now_s = START, .not_before_s = START, .not_after_s = START + 90 * DAY};

	(void)state;
	facts.before_s = renewal_time_before("20d");
	assert_int_equal(renewal_time_next(&facts, 0), START + 70 * DAY);
	assert_in_range(renewal_time_next(&facts, 0.9), START + 65 * DAY, START + 67 * DAY);
	facts.before_s = renewal_time_before("12h");
	assert_int_equal(renewal_time_next(&facts, 0), START + 81 * DAY);
	facts.before_s = renewal_time_before("52w");
	assert_int_equal(renewal_time_next(&facts, 0), START + 30 * DAY);
	facts.has_window = true;
	facts.window_start_s = START + 10 * DAY;
	facts.window_end_s = START + 11 * DAY;
	assert_in_range(renewal_time_next(&facts, 0.5), START + 10 * DAY, START + 11 * DAY);
	facts.window_end_s = facts.window_start_s + 70 * DAY;
	assert_int_equal(renewal_time_next(&facts, 0.9), START + 30 * DAY);
	assert_int_equal(renewal_time_before(NULL), 0);
	assert_int_equal(renewal_time_before("30"), 0);
	assert_int_equal(renewal_time_before("0d"), 0);
	assert_int_equal(renewal_time_before("1 d"), 0);
	assert_int_equal(renewal_time_before("99999999999999999999w"), 0);
}

/* A clock that is wrong changes nothing: what is over by it is only due at once.  Row A7. */
static void test_whatever_the_clock_says(void **state)
{
	(void)state;
	assert_int_equal(at(START + 61 * DAY, 90 * DAY, 0), START + 60 * DAY);
	assert_int_equal(at(START + 3000 * DAY, 90 * DAY, 0), START + 60 * DAY);
	/* A certificate that makes no sense. */
	assert_in_range(at(START, -5, 0.3), START - 5, START);
	assert_int_equal(at_window(START + 9, START + 1, START + 5, 0.5), START + 3);
}

static void test_inside_the_window(void **state)
{
	const int64_t start_s = START + 50 * DAY, end_s = START + 52 * DAY;

	(void)state;
	assert_int_equal(at_window(START, start_s, end_s, 0), start_s);
	assert_int_equal(at_window(START, start_s, end_s, 0.5), START + 51 * DAY);
	assert_int_equal(at_window(START + 51 * DAY + 5, start_s, end_s, 0.5), START + 51 * DAY);
	/* One that ends before it begins is none. */
	assert_int_equal(at_window(START, end_s, start_s, 0), START + 60 * DAY);
	/* Whatever the CA suggests, a tenth of the life is left. */
	assert_int_equal(at_window(START, START + 89 * DAY, START + 95 * DAY, 0), START + 81 * DAY);
}

static void test_the_window_is_in_the_past(void **state)
{
	struct renewal_facts facts = {.now_s = START, .window_end_s = START - 1};

	(void)state;
	assert_false(renewal_time_is_early(&facts));
	facts.has_window = true;
	assert_true(renewal_time_is_early(&facts));
	facts.window_end_s = START + 1;
	assert_false(renewal_time_is_early(&facts));
}

/* Whatever comes: not into the last tenth. */
static void test_any_window_and_life(void **state)
{
	struct renewal_facts facts = {.not_before_s = START};
	int64_t at_s, life_s, start_s;
	int i;

	(void)state;
	srand48(1);
	for (i = 0; i < LOOPS; i++) {
		life_s = lrand48() % (400 * DAY);
		start_s = START + lrand48() % (500 * DAY) - 50 * DAY;
		facts.not_after_s = START + life_s;
		facts.now_s = START + lrand48() % (500 * DAY) - 50 * DAY;
		facts.has_window = i % 2;
		facts.window_start_s = start_s;
		facts.window_end_s = start_s + lrand48() % (10 * DAY);
		at_s = renewal_time_next(&facts, drand48());
		assert_true(at_s <= facts.not_after_s - life_s / 10);
		if (facts.has_window && facts.window_end_s > start_s)
			assert_true(at_s < facts.window_end_s);
	}
}

static void test_when_to_ask_again(void **state)
{
	struct renewal_facts facts = {
		.now_s = START, .not_before_s = START, .not_after_s = START + 90 * DAY};
	int64_t wait_s;
	int i;

	(void)state;
	assert_int_equal(renewal_time_check(&facts, 0, 0), START + RENEWAL_CHECK_DEFAULT_S);
	assert_int_equal(renewal_time_check(&facts, 3 * HOUR, 0), START + 3 * HOUR);
	assert_int_equal(renewal_time_check(&facts, 1, 0), START + 60);
	assert_int_equal(renewal_time_check(&facts, INT64_MAX, 0), START + DAY);
	/* The CA leaves it to us: a short life is looked at more often. */
	facts.not_after_s = START + 20 * HOUR;
	assert_int_equal(renewal_time_check(&facts, 0, 0), START + HOUR);
	assert_int_equal(renewal_time_check(&facts, 6 * HOUR, 0), START + 6 * HOUR);
	srand48(2);
	for (i = 0; i < LOOPS; i++) {
		facts.not_after_s = START + lrand48() % (100 * DAY);
		wait_s = renewal_time_check(&facts, lrand48() % (3 * DAY), drand48()) - START;
		assert_in_range(wait_s, RENEWAL_CHECK_MIN_S, RENEWAL_CHECK_MAX_S);
	}
}

static void test_after_failures(void **state)
{
	const int64_t waits_s[] = {60, 600, 6000, DAY, DAY, DAY};
	int64_t not_after_s, wait_s;
	unsigned int i;

	(void)state;
	for (i = 0; i < 6; i++) {
		assert_int_equal(renewal_time_retry(START, i + 1, 0, 0, 0), START + waits_s[i]);
		/* Up to a fifth longer. */
		assert_int_equal(renewal_time_retry(START, i + 1, 0, 0, 0.5),
				 START + waits_s[i] + waits_s[i] / 10);
	}
	assert_int_equal(renewal_time_retry(START, UINT32_MAX, 0, 0, 0), START + DAY);
	/* What the CA asks for comes first, when it is later. */
	assert_int_equal(renewal_time_retry(START, 1, START + 7777, 0, 0.5), START + 7777);
	assert_int_equal(renewal_time_retry(START, 2, START + 7, 0, 0), START + 600);
	/* The nearer the end, the sooner, but hourly at most. */
	assert_int_equal(renewal_time_retry(START, 9, 0, START + 2 * DAY, 0), START + DAY / 2);
	assert_int_equal(renewal_time_retry(START, 9, 0, START + 2 * HOUR, 0), START + HOUR);
	assert_int_equal(renewal_time_retry(START, 1, 0, START + 100, 0), START + 60);
	/* Expired: no hurry any more. */
	assert_int_equal(renewal_time_retry(START, 9, 0, START - 5, 0), START + DAY);
	srand48(3);
	for (i = 0; i < LOOPS; i++) {
		not_after_s = START + lrand48() % (100 * DAY) - 10 * DAY;
		wait_s = renewal_time_retry(START, 1 + (unsigned int)(lrand48() % 10), 0,
					    not_after_s, drand48()) -
			 START;
		assert_in_range(wait_s, 60, DAY + DAY / 5);
	}
}

static void test_drawing(void **state)
{
	double sum = 0, draw;
	int i;

	(void)state;
	for (i = 0; i < LOOPS; i++) {
		draw = random_unit();
		assert_true(draw >= 0 && draw < 1);
		sum += draw;
	}
	assert_true(sum > 0.45 * LOOPS && sum < 0.55 * LOOPS);
}

/* The CA behind the present one, which is found as a whole: one URL may begin with another. */
static void test_the_next_ca(void **state)
{
	static char *cas[] = {"https://ca.example/acme-b", "https://ca.example/acme",
			      "https://ca.example/"};
	struct state_lineage lineage = {.spec.cas = {.items = cas, .count = 3}};
	size_t i;
	char *next;

	(void)state;
	for (i = 0; i < 3; i++) {
		lineage.ca = cas[i];
		next = consequence_next_ca(&lineage);
		assert_string_equal(next, cas[(i + 1) % 3]);
		free(next);
	}
	lineage.ca = "https://ca.example/acme-";
	next = consequence_next_ca(&lineage);
	assert_string_equal(next, cas[0]);
	free(next);
	lineage.spec.cas.count = 1;
	assert_null(consequence_next_ca(&lineage));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_two_thirds_of_its_life),
		cmocka_unit_test(test_when_the_operator_says),
		cmocka_unit_test(test_whatever_the_clock_says),
		cmocka_unit_test(test_inside_the_window),
		cmocka_unit_test(test_the_window_is_in_the_past),
		cmocka_unit_test(test_any_window_and_life),
		cmocka_unit_test(test_when_to_ask_again),
		cmocka_unit_test(test_after_failures),
		cmocka_unit_test(test_drawing),
		cmocka_unit_test(test_the_next_ca),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
