// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/worker.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/challenge_table.h"
#include "common/log.h"
#include "common/paths.h"
#include "responder/adopter.h"
#include "responder/conn.h"
#include "responder/ring.h"
#include "responder/tls.h"

/* When descriptors or memory run out: accept again after this, or when a connection ends. */
#define ACCEPT_PAUSE_NS 100000000u
#define DEADLINE_NS     ((uint64_t)CONN_DEADLINE_MS * 1000000u)
/* A thread goes round its loop at least this often, busy or idle. */
#define ROUND_NS 250000000u
#define NO_SLOT  UINT32_MAX
/* Accepts that wait at each listener: what one round can take from it. */
#define ACCEPTS (RING_ACCEPTS_MAX / STEER_FAMILIES)

struct slot {
	struct conn conn;
	bool open;
	uint32_t generation;
	uint64_t deadline_ns;
	/* All deadlines are equally far, so that the order of arrival is the order of expiry. */
	uint32_t older, younger;
};

struct worker {
	pthread_t thread;
	bool started;
	unsigned int number;
	int failure_fd;
	int listener_fds[STEER_FAMILIES];
	unsigned int accepts[STEER_FAMILIES]; /* under way */
	int adoption_fd; /* -1: none */
	unsigned int installing;
	struct ring *ring;
	struct challenge_table *table;
	struct tls_context *tls;
	struct slot *slots;
	uint32_t slot_count;
	uint32_t oldest, youngest; /* open slots, NO_SLOT: none */
	uint64_t accept_again_ns; /* while paused; 0: not paused */
	bool retired; /* accepts no more */
	atomic_bool stopping, retiring;
	_Atomic uint32_t open_count;
	_Atomic uint64_t progress_ns;
	_Atomic uint64_t results[SERVER_RESULTS];
};

static void count(struct worker *worker, enum server_result result)
{
	atomic_fetch_add_explicit(&worker->results[result], 1, memory_order_relaxed);
}

/* --- slots ----------------------------------------------------------------------- */

static void queue_append(struct worker *worker, uint32_t number)
{
	struct slot *slot = &worker->slots[number];

	slot->older = worker->youngest;
	slot->younger = NO_SLOT;
	if (worker->youngest == NO_SLOT)
		worker->oldest = number;
	else
		worker->slots[worker->youngest].younger = number;
	worker->youngest = number;
}

static void queue_remove(struct worker *worker, uint32_t number)
{
	struct slot *slot = &worker->slots[number];

	if (slot->older == NO_SLOT)
		worker->oldest = slot->younger;
	else
		worker->slots[slot->older].younger = slot->younger;
	if (slot->younger == NO_SLOT)
		worker->youngest = slot->older;
	else
		worker->slots[slot->younger].older = slot->older;
}

/* Do what the connection has decided. */
static void act(struct worker *worker, uint32_t number, const struct conn_todo *todo)
{
	struct slot *slot = &worker->slots[number];

	if (todo->send)
		ring_send(worker->ring, number, slot->generation, todo->send, todo->send_size);
	if (!todo->close)
		return;
	count(worker, slot->conn.result);
	queue_remove(worker, number);
	conn_end(&slot->conn);
	slot->open = false;
	worker->open_count--;
	ring_close(worker->ring, number, slot->generation);
}

static void step(struct worker *worker, uint32_t number, enum conn_event event,
		 const uint8_t *bytes, size_t size)
{
	struct conn_todo todo = conn_step(&worker->slots[number].conn, event, bytes, size);

	act(worker, number, &todo);
}

/* --- events ---------------------------------------------------------------------- */

static void accept_more(struct worker *worker)
{
	if (worker->accept_again_ns || worker->retired)
		return;
	for (uint32_t family = 0; family < STEER_FAMILIES; family++) {
		if (worker->listener_fds[family] < 0)
			continue;
		for (; worker->accepts[family] < ACCEPTS; worker->accepts[family]++)
			ring_accept(worker->ring, worker->listener_fds[family], family);
	}
}

static void open_slot(struct worker *worker, uint32_t number, const struct peer *peer)
{
	struct slot *slot = &worker->slots[number];

	assert(number < worker->slot_count && !slot->open);
	slot->generation++;
	if (conn_begin(&slot->conn, worker->tls, peer)) {
		count(worker, SERVER_REFUSED);
		ring_close(worker->ring, number, slot->generation);
		return;
	}
	slot->open = true;
	worker->open_count++;
	slot->deadline_ns = ring_clock_ns() + DEADLINE_NS;
	queue_append(worker, number);
	ring_receive(worker->ring, number, slot->generation);
}

static void on_accept(struct worker *worker, const struct ring_event *event)
{
	worker->accepts[event->slot]--;
	if (event->result >= 0) {
		open_slot(worker, (uint32_t)event->result, &event->peer);
	} else if (event->result != -ECANCELED) {
		/*
		 * No slot, no memory, or another reason of the kernel's, which may last: that
		 * connection is closed, the next wait for their turn.
		 */
		count(worker, SERVER_REFUSED);
		worker->accept_again_ns = ring_clock_ns() + ACCEPT_PAUSE_NS;
	}
	accept_more(worker);
}

/* Take what the keeper has adopted, and look again when there may be more. */
static void receive_adopted(struct worker *worker)
{
	while (worker->installing < RING_INSTALLS_MAX) {
		int fd = adopter_receive(worker->adoption_fd);

		if (fd == -EAGAIN) {
			ring_watch(worker->ring, worker->adoption_fd, 0);
			return;
		}
		if (fd == -EMFILE) {
			count(worker, SERVER_REFUSED);
			continue;
		}
		if (fd < 0)
			return; /* the keeper's end, which the main thread sees, too, and tells */
		ring_install(worker->ring, fd);
		worker->installing++;
	}
}

static void on_install(struct worker *worker, const struct ring_event *event)
{
	bool was_full = worker->installing-- == RING_INSTALLS_MAX;

	if (event->result >= 0)
		open_slot(worker, (uint32_t)event->result, &event->peer);
	else
		count(worker, SERVER_REFUSED);
	if (was_full)
		receive_adopted(worker);
}

static void on_receive(struct worker *worker, const struct ring_event *event)
{
	struct slot *slot = &worker->slots[event->slot];

	if (event->result > 0)
		step(worker, event->slot, CONN_RECEIVED, event->data, (size_t)event->result);
	else if (!event->result)
		step(worker, event->slot, CONN_EOF, NULL, 0);
	else if (event->result != -ENOBUFS) /* buffers are back as soon as this round is over */
		step(worker, event->slot, CONN_BROKEN, NULL, 0);
	if (slot->open && !event->more)
		ring_receive(worker->ring, event->slot, slot->generation);
}

static void on_event(void *owner, const struct ring_event *event)
{
	struct worker *worker = owner;
	struct slot *slot = &worker->slots[event->slot];

	switch (event->operation) {
	case RING_ACCEPT:
		on_accept(worker, event);
		break;
	case RING_RECEIVE:
		/* A late word of a connection that the slot has forgotten. */
		if (slot->open && slot->generation == event->generation)
			on_receive(worker, event);
		break;
	case RING_SEND:
		if (!slot->open || slot->generation != event->generation)
			break;
		if (event->result >= 0)
			step(worker, event->slot, CONN_SENT, NULL, (size_t)event->result);
		else
			step(worker, event->slot, CONN_BROKEN, NULL, 0);
		break;
	case RING_CLOSE:
		worker->accept_again_ns = 0;
		accept_more(worker);
		break;
	case RING_READABLE:
		receive_adopted(worker);
		break;
	case RING_INSTALL:
		on_install(worker, event);
		break;
	case RING_CANCEL:
	case RING_WAKE:
		break;
	}
}

/* --- a thread's life --------------------------------------------------------------- */

static void retire(struct worker *worker)
{
	worker->retired = true;
	for (uint32_t family = 0; family < STEER_FAMILIES; family++)
		if (worker->accepts[family])
			ring_stop_accept(worker->ring, worker->listener_fds[family]);
}

/* End what is overdue; returns when to look again. */
static uint64_t expire(struct worker *worker)
{
	uint64_t now = ring_clock_ns(), next = now + ROUND_NS;

	atomic_store_explicit(&worker->progress_ns, now, memory_order_relaxed);
	while (worker->oldest != NO_SLOT && worker->slots[worker->oldest].deadline_ns <= now)
		step(worker, worker->oldest, CONN_EXPIRED, NULL, 0);
	if (worker->accept_again_ns && worker->accept_again_ns <= now) {
		worker->accept_again_ns = 0;
		accept_more(worker);
	}
	if (worker->oldest != NO_SLOT && worker->slots[worker->oldest].deadline_ns < next)
		next = worker->slots[worker->oldest].deadline_ns;
	if (worker->accept_again_ns && worker->accept_again_ns < next)
		next = worker->accept_again_ns;
	return next;
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	uint64_t one = 1;
	int err;

	err = ring_enable(worker->ring);
	accept_more(worker);
	if (worker->adoption_fd >= 0)
		ring_watch(worker->ring, worker->adoption_fd, 0);
	while (!err && !atomic_load(&worker->stopping)) {
		if (!worker->retired && atomic_load(&worker->retiring))
			retire(worker);
		err = ring_run(worker->ring, expire(worker), on_event, worker);
	}
	if (err) {
		log_error("answering thread %u: io_uring failed: %s", worker->number,
			  strerror(-err));
		if (write(worker->failure_fd, &one, sizeof(one)) < 0)
			abort(); /* an eventfd takes a 1 always; without it nobody would notice */
	}
	return NULL;
}

/* --- making and unmaking ------------------------------------------------------------ */

/* Our own: the caller may close its descriptors while the threads still run. */
static int keep_adoption_fd(struct worker *worker, const int *adoption_fds)
{
	int err;

	if (!adoption_fds)
		return 0;
	worker->adoption_fd = fcntl(adoption_fds[worker->number], F_DUPFD_CLOEXEC, 0);
	if (worker->adoption_fd >= 0)
		return 0;
	err = -errno;
	log_error("no descriptor for thread %u: %s", worker->number, strerror(errno));
	return err;
}

static int open_all(struct worker *worker, const struct server_options *options)
{
	const char *missing;
	int err;

	worker->slots = calloc(worker->slot_count, sizeof(*worker->slots));
	if (!worker->slots) {
		log_error("no memory for %u connections", worker->slot_count);
		return -ENOMEM;
	}
	err = keep_adoption_fd(worker, options->adoption_fds);
	if (err)
		return err;
	err = challenge_table_open(&worker->table, options->paths, CHALLENGE_TABLE_READ);
	if (err) {
		log_error("cannot open the challenge table %s: %s", options->paths->table,
			  strerror(-err));
		return err;
	}
	err = tls_context_new(worker->table, &worker->tls);
	if (err) {
		log_error("cannot set up TLS: %s; remove %s and start again", strerror(-err),
			  options->paths->table);
		return err;
	}
	err = ring_new(&worker->ring, worker->slot_count, &missing);
	if (err)
		log_error("cannot make an io_uring: %s: %s; 'sidestep-responder --check' tells "
			  "what is missing",
			  missing, strerror(-err));
	return err;
}

int worker_new(struct worker **ret_worker, const struct server_options *options,
	       unsigned int number, uint32_t connections, int failure_fd)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int err;

	if (!worker) {
		log_error("no memory for thread %u", number);
		return -ENOMEM;
	}
	worker->number = number;
	worker->failure_fd = failure_fd;
	worker->adoption_fd = -1;
	worker->oldest = worker->youngest = NO_SLOT;
	worker->slot_count = connections;
	memcpy(worker->listener_fds, options->listener_fds[number], sizeof(worker->listener_fds));
	err = open_all(worker, options);
	if (err) {
		worker_free(worker);
		return err;
	}
	*ret_worker = worker;
	return 0;
}

void worker_stop(struct worker *worker)
{
	atomic_store(&worker->stopping, true);
	if (worker->started)
		ring_wake(worker->ring);
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	worker_stop(worker);
	if (worker->started)
		pthread_join(worker->thread, NULL);
	ring_free(worker->ring);
	for (uint32_t number = worker->oldest; number != NO_SLOT;
	     number = worker->slots[number].younger)
		conn_end(&worker->slots[number].conn);
	if (worker->adoption_fd >= 0)
		close(worker->adoption_fd);
	tls_context_free(worker->tls);
	challenge_table_free(worker->table);
	free(worker->slots);
	free(worker);
}

/* --- what others ask of it ---------------------------------------------------------- */

/* The thread's own CPU, of those that the process may use. */
static void pin_to_cpu(pthread_t thread, unsigned int number)
{
	cpu_set_t allowed, own;
	unsigned int nth = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return;
	number %= (unsigned int)CPU_COUNT(&allowed);
	CPU_ZERO(&own);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && nth++ == number)
			CPU_SET(cpu, &own);
	pthread_setaffinity_np(thread, sizeof(own), &own); /* without it only speed is lost */
}

int worker_start(struct worker *worker)
{
	int err = pthread_create(&worker->thread, NULL, work, worker);

	if (err) {
		log_error("cannot start thread %u: %s", worker->number, strerror(err));
		return -err;
	}
	worker->started = true;
	pin_to_cpu(worker->thread, worker->number);
	return 0;
}

bool worker_makes_progress(const struct worker *worker, uint64_t since_ns)
{
	return atomic_load_explicit(&worker->progress_ns, memory_order_relaxed) >= since_ns;
}

void worker_retire(struct worker *worker)
{
	atomic_store(&worker->retiring, true);
	ring_wake(worker->ring);
}

bool worker_is_idle(const struct worker *worker)
{
	return !worker->open_count;
}

void worker_add_results(const struct worker *worker, uint64_t counts[SERVER_RESULTS])
{
	for (int result = 0; result < SERVER_RESULTS; result++)
		counts[result] +=
			atomic_load_explicit(&worker->results[result], memory_order_relaxed);
}
