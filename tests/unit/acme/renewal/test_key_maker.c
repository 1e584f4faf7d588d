// SPDX-License-Identifier: GPL-3.0-or-later
/* Keys that take long are made beside the event loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "acme/net/loop.h"
#include "acme/renewal/key_maker.h"

#define KEYS    3
#define TICK_MS 1

struct world {
	struct loop *loop;
	struct key_maker *maker;
	struct key_wish *wishes[KEYS];
	struct timer ticker;
	uint32_t ticks; /* of the loop since the last key */
	uint32_t made, expected;
};

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	assert_int_equal(loop_new(&world->loop), 0);
	assert_int_equal(key_maker_new(&world->maker, world->loop), 0);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	loop_timer_stop(world->loop, &world->ticker);
	key_maker_free(world->maker);
	loop_free(world->loop);
	free(world);
	return 0;
}

static void on_tick(void *context)
{
	struct world *world = context;

	world->ticks++;
	loop_timer_start(world->loop, &world->ticker, TICK_MS, on_tick, world);
}

static void on_key(void *context, int err, struct key *key)
{
	struct world *world = context;

	assert_int_equal(err, 0);
	assert_int_equal(key_type_of(key), KEY_RSA_4096);
	key_free(key);
	/* It takes a tenth of a second at least. */
	assert_true(world->ticks > 5);
	world->ticks = 0;
	if (++world->made == world->expected)
		loop_stop(world->loop);
}

static void wish_all(struct world *world)
{
	size_t i;

	for (i = 0; i < KEYS; i++) {
		world->wishes[i] = key_maker_wish(world->maker, KEY_RSA_4096, on_key, world);
		assert_non_null(world->wishes[i]);
	}
}

/* Row A26.  The loop goes on while keys are made, and each wish gets one. */
static void test_loop_goes_on(void **state)
{
	struct world *world = *state;

	wish_all(world);
	world->expected = KEYS;
	on_tick(world);
	assert_int_equal(loop_run(world->loop), 0);
	/* The thread has ended: another wish starts one. */
	wish_all(world);
	world->expected += 1;
	assert_int_equal(loop_run(world->loop), 0);
	key_maker_cancel(world->wishes[1]);
	key_maker_cancel(world->wishes[2]);
}

/* A wish that waits, or whose key is being made, is cancelled at once. */
static void test_cancel(void **state)
{
	struct world *world = *state;

	wish_all(world);
	world->expected = 1;
	on_tick(world);
	key_maker_cancel(world->wishes[0]);
	key_maker_cancel(world->wishes[1]);
	assert_int_equal(loop_run(world->loop), 0);
	assert_int_equal(world->made, 1);
}

/* The owner goes while the thread is at work. */
static void test_free_at_once(void **state)
{
	struct world *world = *state;
	size_t i;

	wish_all(world);
	for (i = 0; i < KEYS; i++)
		key_maker_cancel(world->wishes[i]);
}

#define maker_test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		maker_test(test_loop_goes_on),
		maker_test(test_cancel),
		maker_test(test_free_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
