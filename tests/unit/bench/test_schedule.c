// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "bench/validators/schedule.h"

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS 1000000

/* How many are due before `end_ns`. */
static unsigned int count_until(struct schedule *schedule, uint64_t end_ns)
{
	unsigned int count;

	for (count = 0; schedule_due_ns(schedule) < end_ns; count++)
		schedule_advance(schedule);
	return count;
}

static void test_fixed_rate(void **state)
{
	struct schedule schedule;

	(void)state;
	schedule_init(&schedule, 1000, 0, false, 0, 1, 1);
	for (uint64_t i = 0; i < 5000; i++, schedule_advance(&schedule))
		assert_in_range(schedule_due_ns(&schedule), i ? i * NS_PER_MS - 1 : 0,
				i * NS_PER_MS + 1);
}

/* Together the shares of three threads are the one plan. */
static void test_shares_take_turns(void **state)
{
	struct schedule shares[3];

	(void)state;
	for (unsigned int i = 0; i < 3; i++)
		schedule_init(&shares[i], 1000, 0, false, i, 3, 1);
	for (uint64_t i = 0; i < 3000; i++) {
		uint64_t due_ns = schedule_due_ns(&shares[i % 3]);

		assert_in_range(due_ns, i ? i * NS_PER_MS - 2 : 0, i * NS_PER_MS + 2);
		schedule_advance(&shares[i % 3]);
	}
}

static void test_ramp_up(void **state)
{
	struct schedule schedule;

	(void)state;
	schedule_init(&schedule, 1000, 10, false, 0, 1, 1);
	/* The area below the line, second by second: 50, 150, ... 950, then the whole rate. */
	for (unsigned int second = 0; second < 15; second++) {
		unsigned int right = second < 10 ? 50 + 100 * second : 1000;

		assert_in_range(count_until(&schedule, (second + 1) * NS_PER_S), right - 1,
				right + 1);
	}
}

static void test_poisson(void **state)
{
	struct schedule schedule;
	uint64_t last_ns = 0, due_ns;
	unsigned int count = 0, close = 0;

	(void)state;
	schedule_init(&schedule, 1000, 0, true, 0, 1, 7);
	for (; (due_ns = schedule_due_ns(&schedule)) < 100 * NS_PER_S; count++) {
		assert_true(due_ns >= last_ns);
		close += due_ns - last_ns < NS_PER_MS;
		last_ns = due_ns;
		schedule_advance(&schedule);
	}
	/* 100,000 expected with a deviation of 316; 1 - 1/e of the distances are below the mean. */
	assert_in_range(count, 98000, 102000);
	assert_in_range(close, count * 61 / 100, count * 65 / 100);
}

static void test_poisson_shares_differ(void **state)
{
	struct schedule a, b;

	(void)state;
	schedule_init(&a, 1000, 0, true, 0, 2, 7);
	schedule_init(&b, 1000, 0, true, 1, 2, 7);
	assert_int_not_equal(schedule_due_ns(&a), schedule_due_ns(&b));
	assert_in_range(count_until(&a, 20 * NS_PER_S) + count_until(&b, 20 * NS_PER_S), 19000,
			21000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixed_rate),
		cmocka_unit_test(test_shares_take_turns),
		cmocka_unit_test(test_ramp_up),
		cmocka_unit_test(test_poisson),
		cmocka_unit_test(test_poisson_shares_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
