// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The engine on epoll, for hosts without a usable io_uring.
 *
 * Level-triggered: epoll reports a descriptor for as long as something waits there,
 * so one look at it a round is enough.  Each round takes one buffer of each
 * connection and as many accepts as are under way, and leaves the rest for the next
 * round: epoll puts what it has reported at the end of its list, and nobody starves.
 * Edge-triggered, each descriptor would have to be emptied at once, or kept in a list
 * of our own.  The price is that epoll must not watch a descriptor for which no
 * operation is under way, or it would report it for ever: see update_interest().
 *
 * No call blocks but epoll_wait(), and a report is only a hint: whoever acts on a
 * stale one gets EAGAIN and waits on.  What an operation comes to is queued, and
 * ring_run() hands it on, so that no operation calls the handler.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "responder/ring_engine.h"
#include "common/clock.h"

#define BATCH 64
/* A round hands on so many completions; one batch makes fewer. */
#define COMPLETIONS_A_ROUND (8 * BATCH)
/* Of one slot at once: receive, send, cancel and close. */
#define COMPLETIONS_A_SLOT 4
#define NO_SLOT            UINT32_MAX

/* What a report is about: kind in the upper, number in the lower half of its data. */
enum kind { KIND_SLOT, KIND_LISTENER, KIND_WATCH, KIND_WAKE };

struct slot {
	int fd; /* -1: free */
	uint32_t next_free; /* while it is free */
	uint32_t receive_generation, send_generation;
	const uint8_t *bytes; /* of a send under way; NULL: none is */
	size_t size;
	bool receiving;
	uint32_t interest; /* what epoll watches; 0: it does not know the descriptor */
};

struct listener {
	int fd;
	uint32_t number;
	unsigned int waiting; /* accepts under way; 0: the entry is free */
	bool watched;
};

/* What an operation has come to, until ring_run() hands it on. */
struct completion {
	uint8_t operation;
	uint32_t slot, generation;
	int result;
};

struct epoll_ring {
	struct ring base;
	int epoll_fd;
	int spare_fd; /* given up for a moment when descriptors run out */
	int err; /* epoll could not watch what it must */
	struct slot *slots;
	uint32_t slot_count, first_free;
	unsigned int accepts, installs; /* under way */
	struct listener listeners[RING_LISTENERS_MAX];
	struct completion *completions; /* a ring buffer */
	uint32_t capacity, oldest, queued;
	uint8_t buffer[RING_BUFFER_SIZE];
};

static struct epoll_ring *epoll_of(struct ring *base)
{
	return (struct epoll_ring *)base;
}

static uint64_t pack(enum kind kind, uint32_t number)
{
	return (uint64_t)kind << 32 | number;
}

/* --- making ---------------------------------------------------------------------- */

static void epoll_free(struct ring *base)
{
	struct epoll_ring *ring = epoll_of(base);

	for (uint32_t i = 0; ring->slots && i < ring->slot_count; i++)
		if (ring->slots[i].fd >= 0)
			close(ring->slots[i].fd);
	if (ring->epoll_fd >= 0)
		close(ring->epoll_fd);
	if (ring->spare_fd >= 0)
		close(ring->spare_fd);
	if (ring->base.wake_fd >= 0)
		close(ring->base.wake_fd);
	free(ring->slots);
	free(ring->completions);
	free(ring);
}

static int make_slots(struct epoll_ring *ring, uint32_t count)
{
	ring->capacity = COMPLETIONS_A_SLOT * count + 2 * RING_ACCEPTS_MAX + RING_INSTALLS_MAX;
	ring->completions = calloc(ring->capacity, sizeof(*ring->completions));
	ring->slots = calloc(count, sizeof(*ring->slots));
	if (!ring->slots || !ring->completions)
		return -ENOMEM;
	ring->slot_count = count;
	for (uint32_t i = 0; i < count; i++) {
		ring->slots[i].fd = -1;
		ring->slots[i].next_free = i + 1 < count ? i + 1 : NO_SLOT;
	}
	ring->first_free = count ? 0 : NO_SLOT;
	return 0;
}

static void open_spare(struct epoll_ring *ring)
{
	ring->spare_fd = fcntl(ring->base.wake_fd, F_DUPFD_CLOEXEC, 0);
}

static int open_descriptors(struct epoll_ring *ring)
{
	struct epoll_event wake = {.events = EPOLLIN, .data.u64 = pack(KIND_WAKE, 0)};

	ring->base.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ring->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	open_spare(ring);
	if (ring->base.wake_fd < 0 || ring->epoll_fd < 0 || ring->spare_fd < 0 ||
	    epoll_ctl(ring->epoll_fd, EPOLL_CTL_ADD, ring->base.wake_fd, &wake))
		return -errno;
	return 0;
}

static int epoll_make(struct ring **ret_ring, uint32_t slots, const char **ret_missing)
{
	struct epoll_ring *ring = calloc(1, sizeof(*ring));
	int err;

	*ret_missing = "memory";
	if (!ring)
		return -ENOMEM;
	ring->base = (struct ring){.methods = &ring_epoll_methods, .wake_fd = -1};
	ring->epoll_fd = ring->spare_fd = -1;
	err = make_slots(ring, slots);
	if (!err) {
		*ret_missing = "epoll and an eventfd";
		err = open_descriptors(ring);
	}
	if (err) {
		epoll_free(&ring->base);
		return err;
	}
	*ret_ring = &ring->base;
	return 0;
}

static int epoll_enable(struct ring *base)
{
	(void)base; /* any thread may use an epoll */
	return 0;
}

/* --- completions ------------------------------------------------------------------- */

static void complete(struct epoll_ring *ring, enum ring_operation operation, uint32_t slot,
		     uint32_t generation, int result)
{
	assert(ring->queued < ring->capacity);
	ring->completions[(ring->oldest + ring->queued++) % ring->capacity] =
		(struct completion){(uint8_t)operation, slot, generation, result};
}

/* --- slots ------------------------------------------------------------------------- */

/* The slot that the socket gets now, or -ENFILE. */
static int take_slot(struct epoll_ring *ring, int fd)
{
	uint32_t number = ring->first_free;

	if (number == NO_SLOT)
		return -ENFILE;
	ring->first_free = ring->slots[number].next_free;
	ring->slots[number] = (struct slot){.fd = fd};
	return (int)number;
}

static void free_slot(struct epoll_ring *ring, uint32_t number)
{
	ring->slots[number].next_free = ring->first_free;
	ring->first_free = number;
}

/* End what waits for the socket, with this result. */
static void end_waiting(struct epoll_ring *ring, uint32_t number, int result)
{
	struct slot *slot = &ring->slots[number];

	if (slot->receiving)
		complete(ring, RING_RECEIVE, number, slot->receive_generation, result);
	if (slot->bytes)
		complete(ring, RING_SEND, number, slot->send_generation, result);
	slot->receiving = false;
	slot->bytes = NULL;
}

/*
 * Let epoll watch what is under way on the slot.  With nothing under way it must not
 * know the descriptor at all, as it reports resets and hang-ups unasked.
 */
static void update_interest(struct epoll_ring *ring, uint32_t number)
{
	struct slot *slot = &ring->slots[number];
	uint32_t wanted = (slot->receiving ? EPOLLIN : 0u) | (slot->bytes ? EPOLLOUT : 0u);
	struct epoll_event event = {.events = wanted, .data.u64 = pack(KIND_SLOT, number)};
	int operation = EPOLL_CTL_MOD;

	if (wanted == slot->interest)
		return;
	if (!slot->interest)
		operation = EPOLL_CTL_ADD;
	else if (!wanted)
		operation = EPOLL_CTL_DEL;
	if (!epoll_ctl(ring->epoll_fd, operation, slot->fd, &event))
		slot->interest = wanted;
	else /* no memory, or fs.epoll.max_user_watches is reached: this connection fails */
		end_waiting(ring, number, -errno);
}

/* --- submitting ------------------------------------------------------------------ */

/* The listener's entry, or an unused one that becomes its. */
static struct listener *find_listener(struct epoll_ring *ring, int fd, uint32_t number)
{
	/*
	 * Listeners stay blocking: O_NONBLOCK would hold for all processes that share the socket,
	 * and a predecessor on io_uring must not see it.  accept_one() asks before it accepts.
	 * Should another process be faster in between, this ends the wait after one tick of
	 * the kernel's.
	 */
	const struct timeval shortest = {.tv_usec = 1};
	struct listener *unused = NULL;

	for (int i = 0; i < RING_LISTENERS_MAX; i++) {
		struct listener *listener = &ring->listeners[i];

		if (!listener->waiting && !listener->watched)
			unused = listener;
		else if (listener->fd == fd && listener->number == number)
			return listener;
	}
	assert(unused);
	*unused = (struct listener){.fd = fd, .number = number};
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &shortest, sizeof(shortest)))
		ring->err = -errno;
	return unused;
}

static void epoll_accept(struct ring *base, int listener_fd, uint32_t number)
{
	struct epoll_ring *ring = epoll_of(base);

	assert(ring->accepts < RING_ACCEPTS_MAX);
	ring->accepts++;
	find_listener(ring, listener_fd, number)->waiting++;
}

/* End all accepts that wait at the listener, with this result. */
static void end_accepts(struct epoll_ring *ring, struct listener *listener, int result)
{
	for (; listener->waiting; listener->waiting--)
		complete(ring, RING_ACCEPT, listener->number, 0, result);
}

/* Watch those listeners at which accepts wait; the caller may close the others. */
static void update_listener(struct epoll_ring *ring, struct listener *listener)
{
	struct epoll_event event = {.events = EPOLLIN};

	if (listener->watched == (listener->waiting > 0))
		return;
	event.data.u64 = pack(KIND_LISTENER, (uint32_t)(listener - ring->listeners));
	if (listener->watched) {
		epoll_ctl(ring->epoll_fd, EPOLL_CTL_DEL, listener->fd, NULL);
		listener->watched = false;
	} else if (!epoll_ctl(ring->epoll_fd, EPOLL_CTL_ADD, listener->fd, &event)) {
		listener->watched = true;
	} else {
		end_accepts(ring, listener, -errno);
	}
}

static void epoll_stop_accept(struct ring *base, int listener_fd)
{
	struct epoll_ring *ring = epoll_of(base);

	for (int i = 0; i < RING_LISTENERS_MAX; i++) {
		struct listener *listener = &ring->listeners[i];

		if (listener->fd != listener_fd)
			continue;
		end_accepts(ring, listener, -ECANCELED);
		update_listener(ring, listener);
	}
	complete(ring, RING_CANCEL, 0, 0, 0);
}

static void epoll_receive(struct ring *base, uint32_t slot, uint32_t generation)
{
	struct epoll_ring *ring = epoll_of(base);

	assert(ring->slots[slot].fd >= 0);
	ring->slots[slot].receiving = true;
	ring->slots[slot].receive_generation = generation;
	update_interest(ring, slot);
}

/* Send now what the socket takes; when it takes nothing, wait until it does. */
static void try_send(struct epoll_ring *ring, uint32_t number)
{
	struct slot *slot = &ring->slots[number];
	ssize_t sent = send(slot->fd, slot->bytes, slot->size, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent >= 0 || (errno != EAGAIN && errno != EINTR)) {
		complete(ring, RING_SEND, number, slot->send_generation,
			 sent < 0 ? -errno : (int)sent);
		slot->bytes = NULL;
	}
	update_interest(ring, number);
}

static void epoll_send(struct ring *base, uint32_t slot, uint32_t generation, const uint8_t *bytes,
		       size_t size)
{
	struct epoll_ring *ring = epoll_of(base);

	assert(ring->slots[slot].fd >= 0 && !ring->slots[slot].bytes);
	ring->slots[slot].bytes = bytes;
	ring->slots[slot].size = size;
	ring->slots[slot].send_generation = generation;
	try_send(ring, slot);
}

static void epoll_watch(struct ring *base, int fd, uint32_t number)
{
	struct epoll_ring *ring = epoll_of(base);
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT,
				    .data.u64 = pack(KIND_WATCH, number)};

	/* After its one report epoll keeps a descriptor, in silence. */
	if (!epoll_ctl(ring->epoll_fd, EPOLL_CTL_ADD, fd, &event) ||
	    (errno == EEXIST && !epoll_ctl(ring->epoll_fd, EPOLL_CTL_MOD, fd, &event)))
		return;
	ring->err = -errno;
}

static void epoll_install(struct ring *base, int fd)
{
	struct epoll_ring *ring = epoll_of(base);
	int slot = take_slot(ring, fd);

	assert(ring->installs < RING_INSTALLS_MAX);
	ring->installs++;
	if (slot < 0)
		close(fd);
	complete(ring, RING_INSTALL, 0, 0, slot);
}

static void epoll_close(struct ring *base, uint32_t number, uint32_t generation)
{
	struct epoll_ring *ring = epoll_of(base);
	struct slot *slot = &ring->slots[number];

	assert(slot->fd >= 0);
	end_waiting(ring, number, -ECANCELED);
	/* Not left to close(): who installed the socket may still hold another descriptor of it. */
	update_interest(ring, number);
	close(slot->fd);
	slot->fd = -1;
	complete(ring, RING_CANCEL, number, generation, 0);
	complete(ring, RING_CLOSE, number, generation, 0);
}

/* --- reports of epoll ---------------------------------------------------------------- */

/*
 * No descriptor is left: close the connection, as io_uring does.  In the backlog it would
 * be reported for ever, and its client would wait for nothing.
 */
static void refuse_one(struct epoll_ring *ring, int listener_fd)
{
	int fd;

	if (ring->spare_fd >= 0)
		close(ring->spare_fd);
	fd = accept4(listener_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	open_spare(ring);
}

/* Take one connection.  False when none waits. */
static bool accept_one(struct epoll_ring *ring, struct listener *listener, ring_handler *handler,
		       void *owner)
{
	struct ring_event event = {.operation = RING_ACCEPT, .slot = listener->number};
	struct pollfd polled = {.fd = listener->fd, .events = POLLIN};
	struct sockaddr_storage address = {0};
	socklen_t size = sizeof(address);
	int fd;

	if (poll(&polled, 1, 0) <= 0)
		return false;
	fd = accept4(listener->fd, (struct sockaddr *)&address, &size, SOCK_CLOEXEC);
	if (fd < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	event.result = fd < 0 ? -errno : take_slot(ring, fd);
	if (event.result >= 0)
		event.peer = peer_from_address(&address);
	else if (fd >= 0)
		close(fd);
	else if (event.result == -EMFILE || event.result == -ENFILE)
		refuse_one(ring, listener->fd);
	listener->waiting--;
	ring->accepts--;
	handler(owner, &event);
	return true;
}

/* No more than now wait: those that the handler asks for meanwhile are the next round's. */
static void on_listener(struct epoll_ring *ring, struct listener *listener, ring_handler *handler,
			void *owner)
{
	for (unsigned int left = listener->waiting; left && listener->waiting; left--)
		if (!accept_one(ring, listener, handler, owner))
			return;
}

static void on_slot(struct epoll_ring *ring, uint32_t number, ring_handler *handler, void *owner)
{
	struct slot *slot = &ring->slots[number];
	struct ring_event event = {.operation = RING_RECEIVE, .slot = number};
	ssize_t size;

	if (slot->receiving) {
		size = recv(slot->fd, ring->buffer, sizeof(ring->buffer), MSG_DONTWAIT);
		if (size >= 0 || (errno != EAGAIN && errno != EINTR)) {
			event.generation = slot->receive_generation;
			event.result = size < 0 ? -errno : (int)size;
			event.data = size > 0 ? ring->buffer : NULL;
			event.more = slot->receiving = size > 0;
			handler(owner, &event);
		}
	}
	/* The handler may have closed it. */
	if (slot->fd >= 0 && slot->bytes)
		try_send(ring, number);
	else if (slot->fd >= 0)
		update_interest(ring, number);
}

static void on_wake(struct epoll_ring *ring, ring_handler *handler, void *owner)
{
	const struct ring_event event = {.operation = RING_WAKE};
	uint64_t count;

	/* Read before the handler looks at what it was woken for: a later wake is reported again. */
	if (read(ring->base.wake_fd, &count, sizeof(count)) == sizeof(count))
		handler(owner, &event);
}

static void on_report(struct epoll_ring *ring, uint64_t about, ring_handler *handler, void *owner)
{
	const uint32_t number = (uint32_t)about;
	const struct ring_event readable = {.operation = RING_READABLE, .slot = number};

	switch ((enum kind)(about >> 32)) {
	case KIND_SLOT:
		on_slot(ring, number, handler, owner);
		break;
	case KIND_LISTENER:
		on_listener(ring, &ring->listeners[number], handler, owner);
		break;
	case KIND_WATCH:
		handler(owner, &readable);
		break;
	case KIND_WAKE:
		on_wake(ring, handler, owner);
		break;
	}
}

/* --- a round ------------------------------------------------------------------------ */

/* Hand on the oldest completion. */
static void hand_on(struct epoll_ring *ring, ring_handler *handler, void *owner)
{
	const struct completion completion = ring->completions[ring->oldest];
	struct ring_event event = {
		.operation = (enum ring_operation)completion.operation,
		.slot = completion.slot,
		.generation = completion.generation,
		.result = completion.result,
	};

	ring->oldest = (ring->oldest + 1) % ring->capacity;
	ring->queued--;
	if (event.operation == RING_CLOSE)
		free_slot(ring, event.slot);
	else if (event.operation == RING_ACCEPT)
		ring->accepts--;
	else if (event.operation == RING_INSTALL)
		ring->installs--;
	if (event.operation == RING_INSTALL && event.result >= 0)
		event.peer = ring_peer_of(ring->slots[event.result].fd);
	handler(owner, &event);
}

/* For epoll_wait(), rounded up. */
static int milliseconds_until(uint64_t until_ns)
{
	uint64_t now_ns = clock_monotonic_ns(), left_ms;

	if (until_ns == UINT64_MAX)
		return -1;
	if (until_ns <= now_ns)
		return 0;
	left_ms = (until_ns - now_ns - 1) / 1000000 + 1;
	return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

static int epoll_run(struct ring *base, uint64_t until_ns, ring_handler *handler, void *owner)
{
	struct epoll_ring *ring = epoll_of(base);
	struct epoll_event reports[BATCH];
	int count;

	for (int i = 0; i < RING_LISTENERS_MAX; i++)
		update_listener(ring, &ring->listeners[i]);
	count = epoll_wait(ring->epoll_fd, reports, BATCH,
			   ring->queued ? 0 : milliseconds_until(until_ns));
	if (count < 0 && errno != EINTR)
		return -errno;
	for (int i = 0; i < count; i++)
		on_report(ring, reports[i].data.u64, handler, owner);
	for (int i = 0; ring->queued && i < COMPLETIONS_A_ROUND; i++)
		hand_on(ring, handler, owner);
	return ring->err;
}

const struct ring_methods ring_epoll_methods = {
	.make = epoll_make,
	.free = epoll_free,
	.enable = epoll_enable,
	.accept = epoll_accept,
	.stop_accept = epoll_stop_accept,
	.receive = epoll_receive,
	.send = epoll_send,
	.watch = epoll_watch,
	.install = epoll_install,
	.close = epoll_close,
	.run = epoll_run,
};
