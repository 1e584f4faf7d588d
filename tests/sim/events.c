// SPDX-License-Identifier: GPL-3.0-or-later
/* The clock, chance and the queue of events: replaces common/clock.c and common/random.c. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/random.h"
#include "tests/sim/internal.h"

#define START_NS  (UINT64_C(1000) * CLOCK_NS_PER_S) /* the machine has run for a while */
#define NS_PER_US UINT64_C(1000)

struct sim_event {
	uint64_t at_ns;
	uint64_t number; /* of two at once the older comes first */
	size_t place; /* in the heap */
	void (*fire)(void *context);
	void *context;
};

static struct {
	uint64_t now_ns; /* CLOCK_MONOTONIC */
	uint64_t asleep_ns; /* CLOCK_BOOTTIME has this more */
	int64_t true_start_us; /* the true time when now_ns was START_NS */
	int64_t wrong_us; /* the wall clock is ahead by this */
	uint64_t random;
	struct sim_event **heap;
	size_t count, capacity;
	uint64_t made;
} events;

/* --- chance -------------------------------------------------------------------------------------- */

/* SplitMix64. */
uint64_t sim_random(void)
{
	uint64_t x = events.random += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

uint64_t sim_random_below(uint64_t limit)
{
	return limit ? sim_random() % limit : 0;
}

double random_unit(void)
{
	return (double)(sim_random() >> 11) / (double)(UINT64_C(1) << 53);
}

int random_bytes(void *bytes, size_t size)
{
	unsigned char *out = bytes;

	for (; size; size--)
		*out++ = (unsigned char)(sim_random() >> 56);
	return 0;
}

/* --- the clock ----------------------------------------------------------------------------------- */

static int64_t true_us(void)
{
	uint64_t passed_ns = events.now_ns - START_NS + events.asleep_ns;

	return events.true_start_us + (int64_t)(passed_ns / NS_PER_US);
}

int64_t clock_now_us(void)
{
	return true_us() + events.wrong_us;
}

int64_t clock_now_s(void)
{
	return clock_now_us() / 1000000;
}

uint64_t clock_monotonic_ns(void)
{
	return events.now_ns;
}

uint64_t clock_boottime_ns(void)
{
	return events.now_ns + events.asleep_ns;
}

static void sleep_ns(uint64_t ns)
{
	uint64_t until_ns = events.now_ns + ns;

	seam(SIM_SLEEP, NULL);
	while (sim_current() && events.now_ns < until_ns)
		process_block(until_ns);
}

void clock_sleep_ms(uint32_t ms)
{
	sleep_ns(ms * NS_PER_MS);
}

void clock_sleep_us(uint32_t us)
{
	sleep_ns(us * NS_PER_US);
}

uint64_t sim_now_ms(void)
{
	/* Before the first world. */
	if (events.now_ns < START_NS)
		return 0;
	return (events.now_ns - START_NS) / NS_PER_MS;
}

int64_t sim_wall_s(void)
{
	return clock_now_s();
}

int64_t sim_true_s(void)
{
	return true_us() / 1000000;
}

void sim_clock_jump(int64_t by_s)
{
	events.wrong_us += by_s * 1000000;
	sim_log("the wall clock jumps by %lld s", (long long)by_s);
}

void sim_clock_correct(void)
{
	events.wrong_us = 0;
	sim_log("the wall clock is right");
}

void sim_suspend(uint64_t ms)
{
	events.asleep_ns += ms * NS_PER_MS;
	sim_log("the machine has slept for %llu s", (unsigned long long)(ms / SIM_SECOND));
}

uint64_t events_start_ns(void)
{
	return START_NS;
}

/* --- the queue ----------------------------------------------------------------------------------- */

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->number < b->number;
}

static void put(size_t place, struct sim_event *event)
{
	events.heap[place] = event;
	event->place = place;
}

static void sift_up(size_t place, struct sim_event *event)
{
	while (place && is_before(event, events.heap[(place - 1) / 2])) {
		put(place, events.heap[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	put(place, event);
}

static void sift_down(size_t place, struct sim_event *event)
{
	size_t child;

	while ((child = 2 * place + 1) < events.count) {
		if (child + 1 < events.count &&
		    is_before(events.heap[child + 1], events.heap[child]))
			child++;
		if (!is_before(events.heap[child], event))
			break;
		put(place, events.heap[child]);
		place = child;
	}
	put(place, event);
}

struct sim_event *event_at(uint64_t at_ns, void (*fire)(void *context), void *context)
{
	struct sim_event *event = calloc(1, sizeof(*event));

	if (events.count == events.capacity) {
		events.capacity = events.capacity ? 2 * events.capacity : 64;
		events.heap = realloc(events.heap, events.capacity * sizeof(*events.heap));
	}
	if (!event || !events.heap)
		abort();
	event->at_ns = at_ns < events.now_ns ? events.now_ns : at_ns;
	event->number = events.made++;
	event->fire = fire;
	event->context = context;
	sift_up(events.count++, event);
	return event;
}

struct sim_event *sim_after(uint64_t delay_ms, void (*fire)(void *context), void *context)
{
	return event_at(events.now_ns + delay_ms * NS_PER_MS, fire, context);
}

void sim_event_cancel(struct sim_event *event)
{
	struct sim_event *last = events.heap[--events.count];
	size_t place = event->place;

	if (last != event) {
		if (place && is_before(last, events.heap[(place - 1) / 2]))
			sift_up(place, last);
		else
			sift_down(place, last);
	}
	free(event);
}

bool events_run(uint64_t until_ns, bool (*is_true)(void *context), void *context)
{
	const struct sim_world *world = world_of();
	struct sim_event event;

	while (!is_true || !is_true(context)) {
		if (!events.count || events.heap[0]->at_ns > until_ns) {
			if (until_ns != NEVER_NS)
				events.now_ns = until_ns;
			return false;
		}
		event = *events.heap[0];
		sim_event_cancel(events.heap[0]);
		events.now_ns = event.at_ns;
		event.fire(event.context);
		if (world->looked)
			world->looked(world->context);
	}
	return true;
}

void sim_run_for(uint64_t ms)
{
	events_run(events.now_ns + ms * NS_PER_MS, NULL, NULL);
}

bool sim_run_until(bool (*is_true)(void *context), void *context, uint64_t max_ms)
{
	return events_run(events.now_ns + max_ms * NS_PER_MS, is_true, context);
}

void events_begin(uint64_t seed, int64_t wall_s)
{
	memset(&events, 0, sizeof(events));
	events.random = seed;
	events.now_ns = START_NS;
	events.true_start_us = wall_s * 1000000;
}

void events_end(void)
{
	while (events.count)
		free(events.heap[--events.count]);
	free(events.heap);
	events.heap = NULL;
	events.capacity = 0;
}
