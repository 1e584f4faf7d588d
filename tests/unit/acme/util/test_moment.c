// SPDX-License-Identifier: GPL-3.0-or-later
/* Moments that were kept are not believed to lie further ahead than their kind allows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "acme/util/moment.h"

#define NOW INT64_C(1800000000)

static void test_bounds(void **state)
{
	(void)state;
	assert_int_equal(moment_bound(MOMENT_HOLD, 0, NOW), 0);
	assert_int_equal(moment_bound(MOMENT_HOLD, NOW + 5, NOW), NOW + 5);
	assert_int_equal(moment_bound(MOMENT_HOLD, NOW + 86400, NOW), NOW + 86400);
	assert_int_equal(moment_bound(MOMENT_HOLD, NOW + 86401, NOW), NOW);
	assert_int_equal(moment_bound(MOMENT_HOLD, INT64_MAX, NOW), NOW);
	assert_int_equal(moment_bound(MOMENT_ATTEMPT, INT64_MAX, NOW), NOW);
	assert_int_equal(moment_bound(MOMENT_ISSUED, NOW + 1, NOW), NOW);
	assert_int_equal(moment_bound(MOMENT_ISSUED, NOW - 1, NOW), NOW - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_bounds)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
