// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "bench/validators/histogram.h"
#include "bench/validators/schedule.h"

static struct histogram histogram, other;

static int clear(void **state)
{
	(void)state;
	memset(&histogram, 0, sizeof(histogram));
	memset(&other, 0, sizeof(other));
	return 0;
}

static void test_empty(void **state)
{
	(void)state;
	assert_int_equal(histogram_percentile_ns(&histogram, 50), 0);
	assert_int_equal(histogram_mean_ns(&histogram), 0);
}

static void test_small_values_are_exact(void **state)
{
	(void)state;
	for (uint64_t value = 1; value <= 100; value++)
		histogram_record(&histogram, value);
	assert_int_equal(histogram.count, 100);
	assert_int_equal(histogram.min_ns, 1);
	assert_int_equal(histogram.max_ns, 100);
	assert_int_equal(histogram_percentile_ns(&histogram, 0), 1);
	assert_int_equal(histogram_percentile_ns(&histogram, 50), 50);
	assert_int_equal(histogram_percentile_ns(&histogram, 99), 99);
	assert_int_equal(histogram_percentile_ns(&histogram, 99.9), 100);
	assert_int_equal(histogram_percentile_ns(&histogram, 100), 100);
	assert_int_equal(histogram_mean_ns(&histogram), 50);
}

/* Of one value and of a far larger one, the first must come back with 0.2 % at most added. */
static void test_any_value_to_its_precision(void **state)
{
	uint64_t values[] = {511, 512, 513, 1023, 1024, 1025, 123456789, 999999999999, 1};

	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		uint64_t told;

		clear(state);
		histogram_record(&histogram, values[i]);
		histogram_record(&histogram, (UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1);
		told = histogram_percentile_ns(&histogram, 50);
		assert_true(told >= values[i]);
		assert_true(told - values[i] <= values[i] / 500);
	}
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void test_against_sorting(void **state)
{
	static uint64_t values[10000];
	static const double percents[] = {1, 25, 50, 90, 99, 99.9, 99.99};
	uint64_t random = 42;

	(void)state;
	for (size_t i = 0; i < 10000; i++) {
		values[i] = schedule_random(&random) >> (24 + i % 30);
		histogram_record(&histogram, values[i]);
	}
	qsort(values, 10000, sizeof(*values), compare);
	for (size_t i = 0; i < sizeof(percents) / sizeof(*percents); i++) {
		uint64_t right = values[(size_t)(percents[i] * 100) - 1];
		uint64_t told = histogram_percentile_ns(&histogram, percents[i]);

		assert_true(told >= right && told - right <= right / 500);
	}
}

static void test_too_long_counts_as_longest(void **state)
{
	(void)state;
	histogram_record(&histogram, UINT64_MAX);
	assert_int_equal(histogram.max_ns, (UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1);
	assert_int_equal(histogram_percentile_ns(&histogram, 50), histogram.max_ns);
}

static void test_add(void **state)
{
	(void)state;
	histogram_add(&histogram, &other);
	assert_int_equal(histogram.count, 0);
	histogram_record(&other, 10);
	histogram_record(&other, 30);
	histogram_add(&histogram, &other);
	histogram_record(&histogram, 20);
	histogram_add(&histogram, &other);
	assert_int_equal(histogram.count, 5);
	assert_int_equal(histogram.min_ns, 10);
	assert_int_equal(histogram.max_ns, 30);
	assert_int_equal(histogram_mean_ns(&histogram), 20);
	assert_int_equal(histogram_percentile_ns(&histogram, 50), 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_empty, clear),
		cmocka_unit_test_setup(test_small_values_are_exact, clear),
		cmocka_unit_test_setup(test_any_value_to_its_precision, clear),
		cmocka_unit_test_setup(test_against_sorting, clear),
		cmocka_unit_test_setup(test_too_long_counts_as_longest, clear),
		cmocka_unit_test_setup(test_add, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
