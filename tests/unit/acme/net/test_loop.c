// SPDX-License-Identifier: GPL-3.0-or-later
/* Descriptors and timers of one loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "acme/net/loop.h"

#define LONG_MS 60000

struct end {
	struct loop *loop;
	struct watch watch;
	struct end *other; /* whose watch ends with this one's first event */
	int sockets[2]; /* the second is watched */
	int seen;
	uint32_t events;
};

static void on_ready(void *context, uint32_t events)
{
	struct end *end = context;
	char byte;

	end->seen++;
	end->events = events;
	if (events & EPOLLIN)
		assert_int_equal(read(end->sockets[1], &byte, 1), 1);
	if (end->other)
		loop_watch_stop(end->loop, &end->other->watch);
	loop_stop(end->loop);
}

static void on_time(void *context)
{
	loop_stop(context);
}

static void open_end(struct end *end, struct loop *loop)
{
	*end = (struct end){.loop = loop};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, end->sockets), 0);
}

static void close_end(struct end *end)
{
	loop_watch_stop(end->loop, &end->watch);
	close(end->sockets[0]);
	close(end->sockets[1]);
}

static int set_up(void **state)
{
	struct loop *loop;

	if (loop_new(&loop))
		return -1;
	*state = loop;
	return 0;
}

static int tear_down(void **state)
{
	loop_free(*state);
	return 0;
}

static void test_readable(void **state)
{
	struct timer timer = {0};
	struct end end;

	open_end(&end, *state);
	assert_int_equal(
		loop_watch_start(*state, &end.watch, end.sockets[1], EPOLLIN, on_ready, &end), 0);
	loop_timer_start(*state, &timer, LONG_MS, on_time, *state);
	assert_int_equal(write(end.sockets[0], "x", 1), 1);
	assert_int_equal(loop_run(*state), 0);
	assert_int_equal(end.seen, 1);
	assert_int_equal(end.events, EPOLLIN);
	loop_timer_stop(*state, &timer);
	close_end(&end);
}

/* What is waited for may change while it is waited for. */
static void test_changed(void **state)
{
	struct end end;

	open_end(&end, *state);
	assert_int_equal(
		loop_watch_start(*state, &end.watch, end.sockets[1], EPOLLIN, on_ready, &end), 0);
	assert_int_equal(
		loop_watch_start(*state, &end.watch, end.sockets[1], EPOLLOUT, on_ready, &end), 0);
	assert_int_equal(loop_run(*state), 0);
	assert_int_equal(end.events, EPOLLOUT);
	close_end(&end);
}

/* Both are ready at once; the first callback stops the other. */
static void test_stopped_by_another(void **state)
{
	struct timer timer = {0};
	struct end ends[2];
	int i;

	for (i = 0; i < 2; i++) {
		open_end(&ends[i], *state);
		ends[i].other = &ends[1 - i];
		assert_int_equal(loop_watch_start(*state, &ends[i].watch, ends[i].sockets[1],
						  EPOLLIN, on_ready, &ends[i]),
				 0);
		assert_int_equal(write(ends[i].sockets[0], "x", 1), 1);
	}
	assert_int_equal(loop_run(*state), 0);
	loop_timer_start(*state, &timer, 20, on_time, *state);
	assert_int_equal(loop_run(*state), 0);
	assert_int_equal(ends[0].seen + ends[1].seen, 1);
	for (i = 0; i < 2; i++)
		close_end(&ends[i]);
}

static void test_bad_descriptor(void **state)
{
	struct watch watch = {0};

	assert_true(loop_watch_start(*state, &watch, -1, EPOLLIN, on_ready, NULL) < 0);
	assert_false(watch.running);
	loop_watch_stop(*state, &watch);
}

/* A watch that is always ready keeps no timer from its turn. */
static void on_always_ready(void *context, uint32_t events)
{
	(void)events;
	++*(int *)context;
}

static void test_timer_beside_busy_watch(void **state)
{
	struct timer timer = {0};
	struct watch watch = {0};
	struct end end;
	int seen = 0;

	open_end(&end, *state);
	assert_int_equal(
		loop_watch_start(*state, &watch, end.sockets[1], EPOLLOUT, on_always_ready, &seen),
		0);
	loop_timer_start(*state, &timer, 20, on_time, *state);
	assert_int_equal(loop_run(*state), 0);
	assert_true(seen > 1);
	loop_watch_stop(*state, &watch);
	close_end(&end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_readable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_changed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stopped_by_another, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_descriptor, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_timer_beside_busy_watch, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
