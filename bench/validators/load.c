// SPDX-License-Identifier: GPL-3.0-or-later
#include "bench/validators/load.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/validator/hello.h"
#include "common/validator/route.h"
#include "bench/validators/schedule.h"
#include "bench/validators/settings.h"
#include "common/validator/subject.h"
#include "bench/validators/tally.h"
#include "common/validator/validator.h"

#define NEVER     UINT64_MAX
#define STARTS    16 /* in a row, before those that are open get their turn */
#define EVENTS    64
#define LOOK_NS   (CLOCK_NS_PER_S / 10) /* how soon load_stop() is seen */
#define EVENT_END (EPOLLRDHUP | EPOLLHUP | EPOLLERR)

/* A validation on its way. */
struct flight {
	TAILQ_ENTRY(flight) link;
	struct tally_times times;
	struct validator validator;
};
TAILQ_HEAD(flights, flight);

struct worker {
	struct load *load;
	pthread_t thread;
	unsigned int number;
	int epoll;
	struct hello hellos[HELLO_SHAPES];
	struct schedule schedule; /* of an open loop */
	uint64_t next_ns; /* of a closed loop: no start before, for --max-rate */
	uint64_t next; /* the next of this worker's own starts, counted from 0 */
	uint64_t random;
	unsigned int open_max; /* its share */
	struct flights open; /* as they started, so the first has the first deadline */
	struct flights unused;
	bool over; /* starts no more */
	int error;
	uint64_t ended_ns; /* since the start */
	struct tally tally;
	/* For watchers; written by this thread alone. */
	_Atomic uint64_t started, validated, failed;
	atomic_bool ended;
};

struct load {
	const struct settings *settings;
	uint64_t start_ns; /* CLOCK_MONOTONIC */
	atomic_bool stopped;
	unsigned int running; /* threads to be joined */
	struct worker workers[]; /* settings->threads */
};

static uint64_t since_start_ns(const struct load *load)
{
	return clock_monotonic_ns() - load->start_ns;
}

/* The part of `whole` that is this worker's. */
static unsigned int share_of(const struct worker *worker, unsigned int whole)
{
	unsigned int threads = worker->load->settings->threads;

	return whole / threads + (worker->number < whole % threads);
}

static void raise_count(_Atomic uint64_t *count)
{
	atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

static unsigned int open_count(const struct worker *worker)
{
	return (unsigned int)(worker->started - worker->validated - worker->failed);
}

/* --- one validation --------------------------------------------------------------------------- */

static struct flight *take_unused(struct worker *worker)
{
	struct flight *flight = TAILQ_FIRST(&worker->unused);

	if (flight)
		TAILQ_REMOVE(&worker->unused, flight, link);
	else
		flight = malloc(sizeof(*flight));
	return flight;
}

static void end_flight(struct worker *worker, struct flight *flight, enum outcome outcome)
{
	int version = flight->validator.version;

	flight->times.done_ns = outcome == OUTCOME_OK
					? flight->validator.done_ns - worker->load->start_ns
					: since_start_ns(worker->load);
	validator_end(&flight->validator, worker->load->settings->close == SETTINGS_CLOSE_RESET);
	tally_end(&worker->tally, outcome, version, &flight->times);
	raise_count(outcome == OUTCOME_OK ? &worker->validated : &worker->failed);
	TAILQ_REMOVE(&worker->open, flight, link);
	TAILQ_INSERT_HEAD(&worker->unused, flight, link);
}

/*
 * Start number `turn` of the run: perspective after perspective asks for a name before
 * the next name's turn comes, as a CA's do.
 */
static int start_flight(struct worker *worker, uint64_t turn, uint64_t due_ns)
{
	const struct settings *settings = worker->load->settings;
	const struct route *route = &settings->routes[turn % settings->route_count];
	size_t subject = turn / settings->route_count % subjects_count(settings->subjects);
	uint64_t random = schedule_random(&worker->random);
	struct flight *flight = take_unused(worker);
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
	enum outcome outcome;
	enum validator_step step;

	if (!flight)
		return -ENOMEM;
	flight->times =
		(struct tally_times){.due_ns = due_ns, .begun_ns = since_start_ns(worker->load)};
	TAILQ_INSERT_TAIL(&worker->open, flight, link);
	raise_count(&worker->started);
	tally_start(&worker->tally, &flight->times);
	subjects_get(settings->subjects, subject, &flight->validator.subject);
	step = validator_begin(&flight->validator, route,
			       &worker->hellos[random % settings->shape_count], random >> 32,
			       &outcome);
	event.data.ptr = flight;
	if (step == VALIDATOR_GOES_ON &&
	    epoll_ctl(worker->epoll, EPOLL_CTL_ADD, flight->validator.fd, &event)) {
		step = VALIDATOR_ENDED;
		outcome = OUTCOME_LOCAL;
	}
	if (step == VALIDATOR_ENDED)
		end_flight(worker, flight, outcome);
	return 0;
}

static void end_overdue(struct worker *worker, uint64_t now_ns)
{
	uint64_t timeout_ns = worker->load->settings->timeout_ns;
	struct flight *flight;

	while ((flight = TAILQ_FIRST(&worker->open)) &&
	       flight->times.begun_ns + timeout_ns <= now_ns)
		end_flight(worker, flight, validator_timeout(&flight->validator));
}

/* --- when -------------------------------------------------------------------------------------- */

/* When the next one may start; NEVER: not before another one ends. */
static uint64_t next_start_ns(const struct worker *worker)
{
	const struct settings *settings = worker->load->settings;
	unsigned int open = open_count(worker), at_a_time;
	double ramped_ns;

	if (settings->rate)
		return open < worker->open_max ? schedule_due_ns(&worker->schedule) : NEVER;
	at_a_time = share_of(worker, settings->concurrency);
	if (open >= at_a_time)
		return NEVER;
	ramped_ns = settings->ramp_s * open / at_a_time * (double)CLOCK_NS_PER_S;
	return ramped_ns > (double)worker->next_ns ? (uint64_t)ramped_ns : worker->next_ns;
}

/* Note that one has started: an open loop goes by its plan, a closed one by what was. */
static void advance(struct worker *worker, uint64_t now_ns)
{
	const struct settings *settings = worker->load->settings;
	uint64_t distance_ns =
		(uint64_t)((double)CLOCK_NS_PER_S * settings->threads / settings->max_rate);

	worker->next++;
	if (settings->rate)
		schedule_advance(&worker->schedule);
	else /* waking up late is made good for once */
		worker->next_ns = (worker->next_ns + distance_ns > now_ns ? worker->next_ns
									  : now_ns - distance_ns) +
				  distance_ns;
}

static int start_due(struct worker *worker)
{
	const struct settings *settings = worker->load->settings;
	uint64_t turn, due_ns, now_ns;
	int err;

	for (unsigned int i = 0; i < STARTS && !worker->over; i++) {
		turn = worker->next * settings->threads + worker->number;
		due_ns = next_start_ns(worker);
		now_ns = since_start_ns(worker->load);
		if (atomic_load_explicit(&worker->load->stopped, memory_order_relaxed) ||
		    turn >= settings->count ||
		    (due_ns != NEVER && due_ns >= settings->duration_ns) ||
		    (!settings->rate && now_ns >= settings->duration_ns))
			worker->over = true;
		if (worker->over || due_ns > now_ns)
			break;
		/* A closed loop has no plan to be late for. */
		err = start_flight(worker, turn, settings->rate ? due_ns : now_ns);
		if (err)
			return err;
		advance(worker, now_ns);
	}
	return 0;
}

/* As epoll_wait(2), with a wait in nanoseconds. */
static int wait_for_events(int epoll, struct epoll_event events[EVENTS],
			   const struct timespec *wait)
{
	struct pollfd polled = {.fd = epoll, .events = POLLIN};
	int count = epoll_pwait2(epoll, events, EVENTS, wait, NULL);

	if (count >= 0 || errno != ENOSYS)
		return count;
	/* Before Linux 5.11. */
	count = ppoll(&polled, 1, wait, NULL);
	return count > 0 ? epoll_wait(epoll, events, EVENTS, 0) : count;
}

/* Wait for events, the next start or the next deadline, and let connections proceed. */
static int wait_and_proceed(struct worker *worker)
{
	uint64_t now_ns = since_start_ns(worker->load), until_ns = now_ns + LOOK_NS, other_ns;
	struct flight *flight = TAILQ_FIRST(&worker->open);
	struct epoll_event events[EVENTS];
	enum outcome outcome;
	struct timespec wait;
	int count;

	other_ns = worker->over ? NEVER : next_start_ns(worker);
	until_ns = other_ns < until_ns ? other_ns : until_ns;
	other_ns = flight ? flight->times.begun_ns + worker->load->settings->timeout_ns : NEVER;
	until_ns = other_ns < until_ns ? other_ns : until_ns;
	until_ns = until_ns > now_ns ? until_ns - now_ns : 0;
	wait.tv_sec = (time_t)(until_ns / CLOCK_NS_PER_S);
	wait.tv_nsec = (long)(until_ns % CLOCK_NS_PER_S);
	count = wait_for_events(worker->epoll, events, &wait);
	if (count < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < count; i++) {
		flight = events[i].data.ptr;
		if (validator_proceed(&flight->validator, events[i].events & (EPOLLIN | EVENT_END),
				      &outcome) == VALIDATOR_ENDED)
			end_flight(worker, flight, outcome);
	}
	return 0;
}

/* --- threads ----------------------------------------------------------------------------------- */

static void *run_worker(void *argument)
{
	struct worker *worker = argument;
	int err = 0;

	while (!err) {
		err = start_due(worker);
		if (err || (worker->over && TAILQ_EMPTY(&worker->open)))
			break;
		err = wait_and_proceed(worker);
		end_overdue(worker, since_start_ns(worker->load));
	}
	worker->error = err;
	worker->ended_ns = since_start_ns(worker->load);
	atomic_store(&worker->ended, true);
	return NULL;
}

static int init_worker(struct worker *worker, struct load *load, unsigned int number)
{
	const struct settings *settings = load->settings;
	uint64_t seed;
	int err = 0;

	worker->load = load;
	worker->number = number;
	TAILQ_INIT(&worker->open);
	TAILQ_INIT(&worker->unused);
	worker->open_max = share_of(worker, settings->max_open);
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return -EIO;
	worker->random = seed | 1;
	if (settings->rate)
		schedule_init(&worker->schedule, settings->rate, settings->ramp_s,
			      settings->poisson, number, settings->threads, seed);
	for (size_t i = 0; !err && i < settings->shape_count; i++)
		err = hello_init(&worker->hellos[i], settings->shapes[i], settings->tls);
	if (err)
		return err;
	worker->epoll = epoll_create1(EPOLL_CLOEXEC);
	return worker->epoll < 0 ? -errno : 0;
}

static void done_worker(struct worker *worker)
{
	struct flight *flight;

	while ((flight = TAILQ_FIRST(&worker->open))) {
		TAILQ_REMOVE(&worker->open, flight, link);
		validator_end(&flight->validator, false);
		free(flight);
	}
	while ((flight = TAILQ_FIRST(&worker->unused))) {
		TAILQ_REMOVE(&worker->unused, flight, link);
		free(flight);
	}
	for (size_t i = 0; i < HELLO_SHAPES; i++)
		hello_done(&worker->hellos[i]);
	if (worker->epoll >= 0)
		close(worker->epoll);
	tally_done(&worker->tally);
}

int load_start(struct load **ret_load, const struct settings *settings)
{
	struct load *load = calloc(1, sizeof(*load) + settings->threads * sizeof(*load->workers));
	unsigned int i;
	int err = 0;

	if (!load)
		return -ENOMEM;
	load->settings = settings;
	for (i = 0; i < settings->threads; i++) {
		load->workers[i].epoll = -1;
		TAILQ_INIT(&load->workers[i].open);
		TAILQ_INIT(&load->workers[i].unused);
	}
	for (i = 0; !err && i < settings->threads; i++)
		err = init_worker(&load->workers[i], load, i);
	load->start_ns = clock_monotonic_ns();
	for (i = 0; !err && i < settings->threads; i++) {
		err = -pthread_create(&load->workers[i].thread, NULL, run_worker,
				      &load->workers[i]);
		load->running += !err;
	}
	if (err) {
		load_free(load);
		return err;
	}
	*ret_load = load;
	return 0;
}

struct load_progress load_progress(const struct load *load)
{
	struct load_progress progress = {.elapsed_ns = clock_monotonic_ns() - load->start_ns,
					 .over = true};

	for (unsigned int i = 0; i < load->settings->threads; i++) {
		const struct worker *worker = &load->workers[i];

		/* In this order, so that none seems to have ended before it began. */
		progress.validated += atomic_load(&worker->validated);
		progress.failed += atomic_load(&worker->failed);
		progress.started += atomic_load(&worker->started);
		progress.over &= atomic_load(&worker->ended);
	}
	progress.open = progress.started - progress.validated - progress.failed;
	return progress;
}

void load_stop(struct load *load)
{
	atomic_store(&load->stopped, true);
}

static int join_workers(struct load *load)
{
	int err = 0;

	for (unsigned int i = 0; i < load->running; i++) {
		pthread_join(load->workers[i].thread, NULL);
		if (!err)
			err = load->workers[i].error;
	}
	load->running = 0;
	return err;
}

int load_finish(struct load *load, struct tally *tally, uint64_t *ret_elapsed_ns)
{
	int err = join_workers(load);

	*ret_elapsed_ns = 0;
	for (unsigned int i = 0; i < load->settings->threads; i++) {
		tally_add(tally, &load->workers[i].tally);
		if (load->workers[i].ended_ns > *ret_elapsed_ns)
			*ret_elapsed_ns = load->workers[i].ended_ns;
	}
	return err;
}

void load_free(struct load *load)
{
	if (!load)
		return;
	load_stop(load);
	join_workers(load);
	for (unsigned int i = 0; i < load->settings->threads; i++)
		done_worker(&load->workers[i]);
	free(load);
}
