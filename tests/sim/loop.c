// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Replaces acme/net/loop.c: timers on the simulated clock, signals that a scenario sends.  What comes
 * from outside (answers, ends of hooks) comes by timers, too: their users start them.
 */
#include "acme/net/loop.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "common/clock.h"
#include "tests/sim/internal.h"

#define BIT(signal) (UINT64_C(1) << (signal))

struct loop {
	TAILQ_HEAD(timer_list, timer) timers; /* by due_ns */
	struct sim_process *process;
	void (*hung_up)(void *context);
	void *context;
	bool stopped;
};

int loop_new(struct loop **ret_loop)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return -ENOMEM;
	TAILQ_INIT(&loop->timers);
	loop->process = sim_current();
	process_catch(loop->process, BIT(SIGINT) | BIT(SIGTERM));
	*ret_loop = loop;
	return 0;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	assert(TAILQ_EMPTY(&loop->timers));
	process_catch(loop->process, 0);
	free(loop);
}

void loop_timer_start(struct loop *loop, struct timer *timer, uint64_t delay_ms,
		      void (*fire)(void *context), void *context)
{
	struct timer *before;

	loop_timer_stop(loop, timer);
	timer->due_ns = clock_monotonic_ns() + delay_ms * NS_PER_MS;
	timer->fire = fire;
	timer->context = context;
	timer->running = true;
	before = TAILQ_LAST(&loop->timers, timer_list);
	while (before && before->due_ns > timer->due_ns)
		before = TAILQ_PREV(before, timer_list, link);
	if (before)
		TAILQ_INSERT_AFTER(&loop->timers, before, timer, link);
	else
		TAILQ_INSERT_HEAD(&loop->timers, timer, link);
	process_wake(loop->process);
}

void loop_timer_stop(struct loop *loop, struct timer *timer)
{
	if (!timer->running)
		return;
	TAILQ_REMOVE(&loop->timers, timer, link);
	timer->running = false;
}

/* Descriptors and libcurl's transfers belong to files that the simulation replaces. */

int loop_transfer_start(struct loop *loop, struct transfer *transfer)
{
	(void)loop;
	(void)transfer;
	sim_fail("a transfer of libcurl in the simulation");
}

void loop_transfer_stop(struct loop *loop, struct transfer *transfer)
{
	(void)loop;
	(void)transfer;
}

int loop_watch_start(struct loop *loop, struct watch *watch, int fd, uint32_t events,
		     void (*ready)(void *context, uint32_t events), void *context)
{
	(void)loop;
	(void)watch;
	(void)events;
	(void)ready;
	(void)context;
	sim_fail("the descriptor %d is watched in the simulation", fd);
}

void loop_watch_stop(struct loop *loop, struct watch *watch)
{
	(void)loop;
	(void)watch;
}

int loop_on_hangup(struct loop *loop, void (*hung_up)(void *context), void *context)
{
	loop->hung_up = hung_up;
	loop->context = context;
	process_catch(loop->process, BIT(SIGINT) | BIT(SIGTERM) | BIT(SIGHUP));
	return 0;
}

static void fire_timers(struct loop *loop)
{
	uint64_t now_ns = clock_monotonic_ns();
	struct timer *timer;

	while (!loop->stopped) {
		timer = TAILQ_FIRST(&loop->timers);
		if (!timer || timer->due_ns > now_ns)
			return;
		loop_timer_stop(loop, timer);
		timer->fire(timer->context);
	}
}

int loop_run(struct loop *loop)
{
	const struct timer *next;
	int signal;

	loop->stopped = false;
	for (;;) {
		fire_timers(loop);
		if (loop->stopped)
			return 0;
		signal = process_take_signal(loop->process);
		if (signal == SIGHUP)
			loop->hung_up(loop->context);
		else if (signal)
			return -EINTR;
		next = TAILQ_FIRST(&loop->timers);
		if (!signal && (!next || next->due_ns > clock_monotonic_ns()))
			process_block(next ? next->due_ns : NEVER_NS);
	}
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}
