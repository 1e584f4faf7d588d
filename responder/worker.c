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
#include <sys/random.h>
#include <unistd.h>

#include "common/challenge_table.h"
#include "common/clock.h"
#include "common/evidence.h"
#include "common/log.h"
#include "common/paths.h"
#include "responder/tcp_repair.h"
#include "responder/conn.h"
#include "responder/limits.h"
#include "responder/ring.h"
#include "responder/tls.h"
#include "responder/tls_memory.h"
#include "responder/evidence_record.h"

/* When descriptors or memory run out: accept again after this, or when a connection ends. */
#define ACCEPT_PAUSE_NS 100000000u
#define NS_PER_MS       UINT64_C(1000000)
/* A thread goes round its loop at least this often, busy or idle. */
#define ROUND_NS 250000000u
#define NO_SLOT  UINT32_MAX
/* Accepts that wait at each listener: what one round can take from it. */
#define ACCEPTS (RING_ACCEPTS_MAX / STEER_FAMILIES)

/* A slot is in the first as long as it is open, and in one of the others or none. */
enum queue { QUEUE_OPEN, QUEUE_WAITING, QUEUE_DONE, QUEUE_NONE, QUEUES = QUEUE_NONE };

/* By slots' numbers; NO_SLOT: none. */
struct queue_ends {
	uint32_t oldest, youngest;
};

struct slot {
	struct conn conn;
	bool open;
	bool is_told; /* what came of its handshake */
	enum evidence_via via;
	uint32_t generation;
	uint64_t opened_ns;
	enum queue queue; /* beside QUEUE_OPEN */
	struct {
		uint32_t older, younger;
	} links[QUEUES];
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
	enum ring_engine engine;
	struct ring *ring;
	struct challenge_table *table;
	struct evidence *evidence;
	enum evidence_via accept_via; /* of what comes by the listeners */
	struct tls_context *tls;
	struct slot *slots;
	uint32_t slot_count;
	struct queue_ends queues[QUEUES]; /* each in the order of arrival there */
	uint32_t most; /* connections */
	uint32_t evictable; /* those that wait for a hello, or have had their answer */
	struct limits *limits;
	uint64_t random;
	uint64_t accept_again_ns; /* while paused; 0: not paused */
	bool retired; /* accepts no more */
	atomic_bool stopping, retiring;
	_Atomic uint32_t open_count;
	_Atomic uint64_t progress_ns;
	_Atomic uint64_t results[CONN_STATS];
};

static void count(struct worker *worker, enum conn_stat result)
{
	atomic_fetch_add_explicit(&worker->results[result], 1, memory_order_relaxed);
}

/* --- slots ----------------------------------------------------------------------- */

static void queue_append(struct worker *worker, enum queue queue, uint32_t number)
{
	struct queue_ends *ends = &worker->queues[queue];
	struct slot *slots = worker->slots;

	slots[number].links[queue].older = ends->youngest;
	slots[number].links[queue].younger = NO_SLOT;
	if (ends->youngest == NO_SLOT)
		ends->oldest = number;
	else
		slots[ends->youngest].links[queue].younger = number;
	ends->youngest = number;
}

static void queue_remove(struct worker *worker, enum queue queue, uint32_t number)
{
	struct queue_ends *ends = &worker->queues[queue];
	struct slot *slots = worker->slots;
	uint32_t older = slots[number].links[queue].older;
	uint32_t younger = slots[number].links[queue].younger;

	if (older == NO_SLOT)
		ends->oldest = younger;
	else
		slots[older].links[queue].younger = younger;
	if (younger == NO_SLOT)
		ends->youngest = older;
	else
		slots[younger].links[queue].older = older;
}

/* Keep the slot in the queue that fits what its connection is at. */
static void requeue(struct worker *worker, uint32_t number, enum queue queue)
{
	struct slot *slot = &worker->slots[number];

	if (queue == slot->queue)
		return;
	if (slot->queue != QUEUE_NONE)
		queue_remove(worker, slot->queue, number);
	if (queue != QUEUE_NONE)
		queue_append(worker, queue, number);
	worker->evictable += (queue != QUEUE_NONE) - (slot->queue != QUEUE_NONE);
	slot->queue = queue;
}

static enum queue fitting_queue(const struct conn *conn)
{
	if (conn_is_waiting(conn))
		return QUEUE_WAITING;
	return conn_is_done(conn) ? QUEUE_DONE : QUEUE_NONE;
}

static uint32_t busy(const struct worker *worker)
{
	return worker->open_count - worker->evictable;
}

/* Do what the connection has decided. */
static void act(struct worker *worker, uint32_t number, const struct conn_todo *todo)
{
	struct slot *slot = &worker->slots[number];

	if (todo->send)
		ring_send(worker->ring, number, slot->generation, todo->send, todo->send_size);
	if (!todo->close) {
		requeue(worker, number, fitting_queue(&slot->conn));
		return;
	}
	count(worker, slot->conn.result);
	requeue(worker, number, QUEUE_NONE);
	queue_remove(worker, QUEUE_OPEN, number);
	limits_leave(worker->limits, &slot->conn.peer);
	conn_end(&slot->conn);
	slot->open = false;
	worker->open_count--;
	ring_close(worker->ring, number, slot->generation);
}

static void step(struct worker *worker, uint32_t number, enum conn_event event,
		 const uint8_t *bytes, size_t size)
{
	struct slot *slot = &worker->slots[number];
	struct conn_todo todo = conn_step(&slot->conn, event, bytes, size);

	if (!slot->is_told && slot->conn.state != CONN_HANDSHAKE) {
		slot->is_told = true;
		evidence_record_tell(worker->evidence, &slot->conn, slot->via, slot->opened_ns,
				     clock_monotonic_ns());
	}
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

static uint32_t next_random(struct worker *worker)
{
	/* xorshift64* (Vigna 2014): good enough to be fair, and nothing secret depends on it. */
	worker->random ^= worker->random >> 12;
	worker->random ^= worker->random << 25;
	worker->random ^= worker->random >> 27;
	return (uint32_t)(worker->random * UINT64_C(0x2545f4914f6cdd1d) >> 32);
}

/* The oldest evictable connection: first one with its answer, then one without a ClientHello. */
static bool make_room(struct worker *worker)
{
	uint32_t number = worker->queues[QUEUE_DONE].oldest;

	if (number == NO_SLOT)
		number = worker->queues[QUEUE_WAITING].oldest;
	if (number == NO_SLOT)
		return false;
	step(worker, number, CONN_CROWDED_OUT, NULL, 0);
	return true;
}

/* Decide on a new connection: CONN_STATS to let it in, or the reason for refusing. */
static enum conn_stat admit(struct worker *worker, const struct peer *peer)
{
	if (limits_drop(busy(worker), worker->most, next_random(worker)))
		return CONN_STAT_OVERLOAD;
	if (!limits_enter(worker->limits, peer))
		return CONN_STAT_SOURCE_LIMIT;
	if (worker->open_count < worker->most || make_room(worker))
		return CONN_STATS;
	limits_leave(worker->limits, peer);
	return CONN_STAT_OVERLOAD;
}

static void open_slot(struct worker *worker, uint32_t number, const struct peer *peer,
		      enum evidence_via via)
{
	struct slot *slot = &worker->slots[number];
	enum conn_stat refusal = admit(worker, peer);

	assert(number < worker->slot_count && !slot->open);
	slot->generation++;
	if (refusal == CONN_STATS && conn_begin(&slot->conn, worker->tls, peer)) {
		limits_leave(worker->limits, peer);
		refusal = CONN_STAT_REFUSED;
	}
	if (refusal != CONN_STATS) {
		count(worker, refusal);
		ring_close(worker->ring, number, slot->generation);
		return;
	}
	slot->open = true;
	slot->is_told = false;
	slot->via = via;
	worker->open_count++;
	slot->opened_ns = clock_monotonic_ns();
	slot->queue = QUEUE_NONE;
	queue_append(worker, QUEUE_OPEN, number);
	requeue(worker, number, QUEUE_WAITING);
	ring_receive(worker->ring, number, slot->generation);
}

static void on_accept(struct worker *worker, const struct ring_event *event)
{
	worker->accepts[event->slot]--;
	if (event->result >= 0) {
		open_slot(worker, (uint32_t)event->result, &event->peer, worker->accept_via);
	} else if (event->result != -ECANCELED) {
		/*
		 * No slot, no memory, or another reason of the kernel's, which may last: that
		 * connection is closed, the next wait for their turn.
		 */
		count(worker, CONN_STAT_REFUSED);
		worker->accept_again_ns = clock_monotonic_ns() + ACCEPT_PAUSE_NS;
	}
	accept_more(worker);
}

/* Receive adopted connections from the monitor, and read again if there may be more. */
static void receive_adopted(struct worker *worker)
{
	while (worker->installing < RING_INSTALLS_MAX) {
		int fd = tcp_repair_receive(worker->adoption_fd);

		if (fd == -EAGAIN) {
			ring_watch(worker->ring, worker->adoption_fd, 0);
			return;
		}
		if (fd == -EMFILE) {
			count(worker, CONN_STAT_REFUSED);
			continue;
		}
		if (fd < 0)
			return; /* the monitor's end, which the main thread sees, too, and tells */
		ring_install(worker->ring, fd);
		worker->installing++;
	}
}

static void on_install(struct worker *worker, const struct ring_event *event)
{
	bool was_full = worker->installing-- == RING_INSTALLS_MAX;

	if (event->result >= 0)
		open_slot(worker, (uint32_t)event->result, &event->peer, EVIDENCE_ADOPTED);
	else
		count(worker, CONN_STAT_REFUSED);
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

/* When the oldest connection is overdue; UINT64_MAX without one. */
static uint64_t first_deadline_ns(const struct worker *worker)
{
	uint32_t oldest = worker->queues[QUEUE_OPEN].oldest;

	if (oldest == NO_SLOT)
		return UINT64_MAX;
	return worker->slots[oldest].opened_ns +
	       NS_PER_MS * limits_deadline_ms(busy(worker), worker->most, CONN_DEADLINE_MS);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* End what is overdue; returns when to look again. */
static uint64_t expire(struct worker *worker)
{
	uint64_t now = clock_monotonic_ns(), next = now + ROUND_NS;

	atomic_store_explicit(&worker->progress_ns, now, memory_order_relaxed);
	while (first_deadline_ns(worker) <= now)
		step(worker, worker->queues[QUEUE_OPEN].oldest, CONN_EXPIRED, NULL, 0);
	if (worker->accept_again_ns && worker->accept_again_ns <= now) {
		worker->accept_again_ns = 0;
		accept_more(worker);
	}
	next = earlier(next, first_deadline_ns(worker));
	return worker->accept_again_ns ? earlier(next, worker->accept_again_ns) : next;
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
		log_error("answering thread %u: %s failed: %s", worker->number,
			  ring_engine_name(worker->engine), strerror(-err));
		if (write(worker->failure_fd, &one, sizeof(one)) < 0)
			abort(); /* an eventfd takes a 1 always; without it nobody would notice */
	}
	tls_memory_release();
	return NULL;
}

/* --- making and unmaking ------------------------------------------------------------ */

/* Duplicate: the caller may close its descriptors while the threads still run. */
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
	if (getrandom(&worker->random, sizeof(worker->random), 0) != sizeof(worker->random))
		return -errno;
	worker->random |= 1; /* 0 would stay 0 */
	err = keep_adoption_fd(worker, options->adoption_fds);
	if (err)
		return err;
	err = challenge_table_open(&worker->table, options->paths, CHALLENGE_TABLE_READ);
	if (err) {
		log_error("cannot open the challenge table %s: %s", options->paths->table,
			  strerror(-err));
		return err;
	}
	err = evidence_open(&worker->evidence, options->paths->evidence, true);
	if (err) {
		log_error("cannot open the evidence %s: %s", options->paths->evidence,
			  strerror(-err));
		return err;
	}
	err = tls_context_new(worker->table, &worker->tls);
	if (err) {
		log_error("cannot set up TLS: %s; remove %s and start again", strerror(-err),
			  options->paths->table);
		return err;
	}
	err = ring_new(&worker->ring, worker->engine, worker->slot_count, &missing);
	if (err)
		log_error("cannot use %s: %s: %s; %s", ring_engine_name(worker->engine), missing,
			  strerror(-err), ring_advice(err));
	return err;
}

int worker_new(struct worker **ret_worker, const struct server_options *options,
	       enum ring_engine engine, unsigned int number, uint32_t connections,
	       struct limits *limits, int failure_fd)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int err;

	if (!worker) {
		log_error("no memory for thread %u", number);
		return -ENOMEM;
	}
	worker->engine = engine;
	worker->number = number;
	worker->failure_fd = failure_fd;
	worker->adoption_fd = -1;
	for (int queue = 0; queue < QUEUES; queue++)
		worker->queues[queue] = (struct queue_ends){NO_SLOT, NO_SLOT};
	worker->limits = limits;
	worker->accept_via = options->standalone ? EVIDENCE_STANDALONE : EVIDENCE_STEERED;
	worker->most = connections;
	worker->slot_count =
		connections + (connections < WORKER_SPARE_SLOTS ? connections : WORKER_SPARE_SLOTS);
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
	for (uint32_t number = worker->queues[QUEUE_OPEN].oldest; number != NO_SLOT;
	     number = worker->slots[number].links[QUEUE_OPEN].younger)
		conn_end(&worker->slots[number].conn);
	if (worker->adoption_fd >= 0)
		close(worker->adoption_fd);
	tls_context_free(worker->tls);
	evidence_free(worker->evidence);
	challenge_table_free(worker->table);
	free(worker->slots);
	free(worker);
}

/* --- public functions -------------------------------------------------------------- */

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

uint64_t worker_progress_ns(const struct worker *worker)
{
	return atomic_load_explicit(&worker->progress_ns, memory_order_relaxed);
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

void worker_add_results(const struct worker *worker, uint64_t counts[CONN_STATS])
{
	for (int result = 0; result < CONN_STATS; result++)
		counts[result] +=
			atomic_load_explicit(&worker->results[result], memory_order_relaxed);
}
