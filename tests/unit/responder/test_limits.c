// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "responder/limits.h"
#include "responder/peer.h"

#define PER_SOURCE 8

static const uint64_t seed[2] = {3, 5};
static struct limits *limits;

static int setup(void **state)
{
	(void)state;
	return limits_new(&limits, 1024, PER_SOURCE, seed);
}

static int teardown(void **state)
{
	(void)state;
	limits_free(limits);
	return 0;
}

static struct peer v4(uint8_t third, uint8_t last)
{
	return (struct peer){STEER_V4, {192, 0, third, last}};
}

static struct peer v6(uint8_t subnet, uint8_t last)
{
	return (struct peer){STEER_V6,
			     {0x20, 1, 0xd, 0xb8, 0, 0, 0, subnet, 0, 0, 0, 0, 0, 0, 0, last}};
}

/* How many more of these can come, until one is refused. */
static unsigned int let_in(const struct peer *peer)
{
	unsigned int count = 0;

	while (count < 1000 && limits_enter(limits, peer))
		count++;
	return count;
}

static void test_counts_an_address(void **state)
{
	struct peer peer = v4(2, 1), other = v4(2, 2);

	(void)state;
	assert_int_equal(let_in(&peer), PER_SOURCE);
	assert_int_equal(let_in(&other), PER_SOURCE);
	/* Each that leaves makes a place, and the place is its source's. */
	limits_leave(limits, &peer);
	assert_int_equal(let_in(&other), 0);
	assert_int_equal(let_in(&peer), 1);
}

static void test_counts_neighbours_together(void **state)
{
	struct peer peers[] = {v4(2, 1), v4(2, 2), v4(2, 3)}, far = v4(3, 1);

	(void)state;
	assert_int_equal(let_in(&peers[0]) + let_in(&peers[1]) + let_in(&peers[2]),
			 LIMITS_WIDE_FACTOR * PER_SOURCE);
	assert_int_equal(let_in(&far), PER_SOURCE);
}

static void test_counts_a_subnet_of_ipv6(void **state)
{
	struct peer one = v6(1, 1), same = v6(1, 2), next = v6(2, 1), third = v6(3, 1);

	(void)state;
	assert_int_equal(let_in(&one), PER_SOURCE);
	assert_int_equal(let_in(&same), 0);
	assert_int_equal(let_in(&next), PER_SOURCE);
	assert_int_equal(let_in(&third), 0); /* the /48 has all it may have */
}

/* As many sources as there may be connections: none suffers from the others. */
static void test_keeps_many_sources_apart(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < 1024; i++) {
			struct peer peer = {STEER_V4, {10, (uint8_t)(i >> 8), (uint8_t)i, 1}};

			assert_true(limits_enter(limits, &peer));
		}
		for (unsigned int i = 0; i < 1024; i++) {
			struct peer peer = {STEER_V4, {10, (uint8_t)(i >> 8), (uint8_t)i, 1}};

			limits_leave(limits, &peer);
		}
	}
}

static void test_drops_more_the_fuller_it_is(void **state)
{
	(void)state;
	assert_false(limits_drop(0, 1000, 0));
	assert_false(limits_drop(750, 1000, 0));
	/* Halfway from three quarters on: every second. */
	assert_true(limits_drop(875, 1000, 0x7fffffffu));
	assert_false(limits_drop(875, 1000, 0x80000000u));
	assert_true(limits_drop(999, 1000, 0xfe000000u));
	assert_true(limits_drop(1000, 1000, UINT32_MAX));
	assert_true(limits_drop(1, 1, UINT32_MAX));
	assert_false(limits_drop(0, 1, 0));
}

static void test_hurries_the_slow(void **state)
{
	(void)state;
	assert_int_equal(limits_deadline_ms(0, 1000, 10000), 10000);
	assert_int_equal(limits_deadline_ms(500, 1000, 10000), 10000);
	assert_int_equal(limits_deadline_ms(750, 1000, 10000), 6000);
	assert_int_equal(limits_deadline_ms(1000, 1000, 10000), 2000);
	assert_int_equal(limits_deadline_ms(1, 1, 10000), 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_counts_an_address, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counts_neighbours_together, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counts_a_subnet_of_ipv6, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keeps_many_sources_apart, setup, teardown),
		cmocka_unit_test(test_drops_more_the_fuller_it_is),
		cmocka_unit_test(test_hurries_the_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
