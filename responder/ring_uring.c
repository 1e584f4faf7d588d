// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The engine on io_uring (Linux 6.1), the only file that calls it.  Accepted sockets
 * are direct descriptors: a slot is the kernel's own number, and takes no descriptor of
 * the process.
 */
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "responder/ring_engine.h"
#include "common/clock.h"

#define SUBMISSIONS 1024
/* Bursts beyond it wait in the kernel; it is a multiple of what one round handles. */
#define COMPLETIONS 8192
/* Receive buffers are taken only while their bytes are looked at: few are enough. */
#define BUFFERS      1024
#define BUFFER_GROUP 0
#define BATCH        64

struct accepting {
	bool under_way;
	socklen_t size;
	struct sockaddr_storage address; /* the kernel writes the peer's here */
};

struct installing {
	int fd; /* -1: none is under way */
	int slot; /* the kernel writes it here */
	struct peer peer;
};

/* The operations on a slot that have not ended. */
struct under_way {
	uint32_t generation;
	bool receive, send;
};

struct uring {
	struct ring base;
	struct io_uring io;
	struct io_uring_buf_ring *buffer_ring;
	uint8_t *buffers;
	uint64_t wake_count;
	int err; /* the kernel refused submissions */
	struct io_uring_sqe nowhere; /* takes those */
	struct accepting accepts[RING_ACCEPTS_MAX];
	struct installing installs[RING_INSTALLS_MAX];
	struct under_way under_way[]; /* by slot */
};

static struct uring *uring_of(struct ring *base)
{
	return (struct uring *)base;
}

/* --- user_data: operation, slot and generation in 8, 24 and 32 bits ------------ */

#define SLOT_BITS 24

static uint64_t pack(enum ring_operation operation, uint32_t slot, uint32_t generation)
{
	assert(slot < 1u << SLOT_BITS);
	return (uint64_t)operation << 56 | (uint64_t)slot << 32 | generation;
}

static struct ring_event unpack(uint64_t user_data)
{
	return (struct ring_event){
		.operation = (enum ring_operation)(user_data >> 56),
		.slot = user_data >> 32 & ((1u << SLOT_BITS) - 1),
		.generation = (uint32_t)user_data,
	};
}

/* --- making ---------------------------------------------------------------------- */

/* liburing 2.3 declares functions for restricting and enabling, and does not export them. */
static int uring_register(const struct io_uring *uring, unsigned int opcode, const void *argument,
			  unsigned int count)
{
	long result = syscall(SYS_io_uring_register, uring->ring_fd, opcode, argument, count);

	return result < 0 ? -errno : 0;
}

/* After this the ring takes no other operations, whatever happens to the process. */
static int restrict_operations(struct io_uring *uring)
{
	static const uint8_t operations[] = {
		IORING_OP_ACCEPT, IORING_OP_RECV,  IORING_OP_SEND,     IORING_OP_ASYNC_CANCEL,
		IORING_OP_READ,   IORING_OP_CLOSE, IORING_OP_POLL_ADD, IORING_OP_FILES_UPDATE,
	};
	enum { OPERATIONS = sizeof(operations) };
	struct io_uring_restriction list[OPERATIONS + 1] = {0};

	for (int i = 0; i < OPERATIONS; i++) {
		list[i].opcode = IORING_RESTRICTION_SQE_OP;
		list[i].sqe_op = operations[i];
	}
	list[OPERATIONS].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	list[OPERATIONS].sqe_flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT | IOSQE_IO_HARDLINK;
	return uring_register(uring, IORING_REGISTER_RESTRICTIONS, list, OPERATIONS + 1);
}

static size_t buffer_ring_size(void)
{
	return BUFFERS * sizeof(struct io_uring_buf);
}

static void give_buffer(struct uring *ring, uint16_t id, int offset)
{
	io_uring_buf_ring_add(ring->buffer_ring, ring->buffers + (size_t)id * RING_BUFFER_SIZE,
			      RING_BUFFER_SIZE, id, io_uring_buf_ring_mask(BUFFERS), offset);
}

static int register_buffers(struct uring *ring)
{
	struct io_uring_buf_reg registration = {.ring_entries = BUFFERS, .bgid = BUFFER_GROUP};
	void *memory = mmap(NULL, buffer_ring_size(), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err;

	if (memory == MAP_FAILED)
		return -errno;
	ring->buffer_ring = memory;
	ring->buffers = malloc((size_t)BUFFERS * RING_BUFFER_SIZE);
	if (!ring->buffers)
		return -ENOMEM;
	registration.ring_addr = (uintptr_t)ring->buffer_ring;
	err = io_uring_register_buf_ring(&ring->io, &registration, 0);
	if (err)
		return err;
	io_uring_buf_ring_init(ring->buffer_ring);
	for (uint16_t id = 0; id < BUFFERS; id++)
		give_buffer(ring, id, id);
	io_uring_buf_ring_advance(ring->buffer_ring, BUFFERS);
	return 0;
}

static int init_uring(struct io_uring *uring)
{
	struct io_uring_params params = {
		/* SINGLE_ISSUER and DEFER_TASKRUN since 6.1: completions wait until we ask. */
		.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE |
			 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		.cq_entries = COMPLETIONS,
	};

	return io_uring_queue_init_params(SUBMISSIONS, uring, &params);
}

static void uring_free(struct ring *base)
{
	struct uring *ring = uring_of(base);

	io_uring_queue_exit(&ring->io);
	for (int i = 0; i < RING_INSTALLS_MAX; i++)
		if (ring->installs[i].fd >= 0)
			close(ring->installs[i].fd);
	if (ring->base.wake_fd >= 0)
		close(ring->base.wake_fd);
	if (ring->buffer_ring)
		munmap(ring->buffer_ring, buffer_ring_size());
	free(ring->buffers);
	free(ring);
}

static int uring_make(struct ring **ret_ring, uint32_t slots, const char **ret_missing)
{
	struct uring *ring = calloc(1, sizeof(*ring) + slots * sizeof(ring->under_way[0]));
	int err;

	*ret_missing = "memory";
	if (!ring)
		return -ENOMEM;
	ring->base.methods = &ring_uring_methods;
	for (int i = 0; i < RING_INSTALLS_MAX; i++)
		ring->installs[i].fd = -1;
	*ret_missing = "io_uring with DEFER_TASKRUN (Linux 6.1)";
	err = init_uring(&ring->io);
	if (err) {
		free(ring);
		return err;
	}
	*ret_missing = "an eventfd";
	ring->base.wake_fd = eventfd(0, EFD_CLOEXEC);
	err = ring->base.wake_fd < 0 ? -errno : 0;
	if (!err) {
		*ret_missing = "direct descriptors (Linux 5.19), or the limit of open files";
		err = io_uring_register_files_sparse(&ring->io, slots);
	}
	if (!err) {
		*ret_missing = "provided buffer rings (Linux 5.19)";
		err = register_buffers(ring);
	}
	if (!err) {
		*ret_missing = "ring restrictions (Linux 5.10)";
		err = restrict_operations(&ring->io);
	}
	if (err) {
		uring_free(&ring->base);
		return err;
	}
	*ret_ring = &ring->base;
	return 0;
}

/* --- submitting ------------------------------------------------------------------ */

/* A free submission, made free by submitting what is there when need be. */
static struct io_uring_sqe *next_sqe(struct uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->io);
	int err = 0;

	if (!sqe) {
		err = io_uring_submit(&ring->io);
		sqe = io_uring_get_sqe(&ring->io);
	}
	if (sqe)
		return sqe;
	/* The kernel took none.  This operation is lost, and ring_run() reports it. */
	ring->err = err < 0 ? err : -EBUSY;
	return &ring->nowhere;
}

static void wait_for_wake(struct uring *ring)
{
	struct io_uring_sqe *sqe = next_sqe(ring);

	io_uring_prep_read(sqe, ring->base.wake_fd, &ring->wake_count, sizeof(ring->wake_count), 0);
	sqe->user_data = pack(RING_WAKE, 0, 0);
}

static int uring_enable(struct ring *base)
{
	struct uring *ring = uring_of(base);
	int err = uring_register(&ring->io, IORING_REGISTER_ENABLE_RINGS, NULL, 0);

	if (!err)
		wait_for_wake(ring);
	return err;
}

static void uring_accept(struct ring *base, int listener_fd, uint32_t listener)
{
	struct uring *ring = uring_of(base);
	struct io_uring_sqe *sqe = next_sqe(ring);
	struct accepting *accepting;
	uint32_t number = 0;

	while (number < RING_ACCEPTS_MAX && ring->accepts[number].under_way)
		number++;
	assert(number < RING_ACCEPTS_MAX);
	accepting = &ring->accepts[number];
	accepting->under_way = true;
	accepting->size = sizeof(accepting->address);
	io_uring_prep_accept(sqe, listener_fd, (struct sockaddr *)&accepting->address,
			     &accepting->size, 0);
	/* liburing 2.3 takes this value for "not a direct descriptor". */
	sqe->file_index = IORING_FILE_INDEX_ALLOC;
	sqe->user_data = pack(RING_ACCEPT, listener, number);
}

static void uring_stop_accept(struct ring *base, int listener_fd)
{
	struct uring *ring = uring_of(base);
	struct io_uring_sqe *sqe = next_sqe(ring);

	io_uring_prep_cancel_fd(sqe, listener_fd, IORING_ASYNC_CANCEL_ALL);
	sqe->user_data = pack(RING_CANCEL, 0, 0);
}

static void uring_receive(struct ring *base, uint32_t slot, uint32_t generation)
{
	struct uring *ring = uring_of(base);
	struct io_uring_sqe *sqe = next_sqe(ring);

	io_uring_prep_recv_multishot(sqe, (int)slot, NULL, 0, 0);
	sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
	sqe->buf_group = BUFFER_GROUP;
	sqe->user_data = pack(RING_RECEIVE, slot, generation);
	ring->under_way[slot].generation = generation;
	ring->under_way[slot].receive = true;
}

static void uring_send(struct ring *base, uint32_t slot, uint32_t generation, const uint8_t *bytes,
		       size_t size)
{
	struct uring *ring = uring_of(base);
	struct io_uring_sqe *sqe = next_sqe(ring);

	io_uring_prep_send(sqe, (int)slot, bytes, size, MSG_NOSIGNAL);
	sqe->flags |= IOSQE_FIXED_FILE;
	sqe->user_data = pack(RING_SEND, slot, generation);
	ring->under_way[slot].generation = generation;
	ring->under_way[slot].send = true;
}

static void uring_watch(struct ring *base, int fd, uint32_t number)
{
	struct uring *ring = uring_of(base);
	struct io_uring_sqe *sqe = next_sqe(ring);

	io_uring_prep_poll_add(sqe, fd, POLLIN);
	sqe->user_data = pack(RING_READABLE, number, 0);
}

static void uring_install(struct ring *base, int fd)
{
	struct uring *ring = uring_of(base);
	struct io_uring_sqe *sqe = next_sqe(ring);
	struct installing *installing;
	uint32_t number = 0;

	while (number < RING_INSTALLS_MAX && ring->installs[number].fd >= 0)
		number++;
	assert(number < RING_INSTALLS_MAX);
	installing = &ring->installs[number];
	installing->fd = installing->slot = fd;
	installing->peer = ring_peer_of(fd);
	io_uring_prep_files_update(sqe, &installing->slot, 1, (int)IORING_FILE_INDEX_ALLOC);
	sqe->user_data = pack(RING_INSTALL, number, 0);
}

static void uring_close(struct ring *base, uint32_t slot, uint32_t generation)
{
	struct uring *ring = uring_of(base);
	struct under_way *under_way = &ring->under_way[slot];
	struct io_uring_sqe *sqe = next_sqe(ring);

	if (under_way->receive || under_way->send) {
		/* They would keep the socket open; the link keeps the order, come what may. */
		io_uring_prep_cancel_fd(sqe, (int)slot,
					IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_FD_FIXED);
		sqe->flags |= IOSQE_IO_HARDLINK;
		sqe->user_data = pack(RING_CANCEL, slot, generation);
		sqe = next_sqe(ring);
	}
	under_way->receive = under_way->send = false;
	io_uring_prep_close_direct(sqe, slot);
	sqe->user_data = pack(RING_CLOSE, slot, generation);
}

/* --- completing ------------------------------------------------------------------ */

static void finish_accept(struct uring *ring, struct ring_event *event)
{
	struct accepting *accepting = &ring->accepts[event->generation];

	accepting->under_way = false;
	if (event->result >= 0)
		event->peer = peer_from_address(&accepting->address);
	event->generation = 0;
}

/* The kernel has written the slot. */
static void finish_install(struct uring *ring, struct ring_event *event)
{
	struct installing *installing = &ring->installs[event->slot];

	close(installing->fd);
	installing->fd = -1;
	if (event->result >= 0)
		event->result = installing->slot;
	event->peer = installing->peer;
}

/* An operation on a slot has ended, if it is not a late word of the slot's former connection. */
static void finish_operation(struct uring *ring, const struct ring_event *event)
{
	struct under_way *under_way = &ring->under_way[event->slot];

	if (under_way->generation != event->generation)
		return;
	if (event->operation == RING_SEND)
		under_way->send = false;
	else if (!event->more)
		under_way->receive = false;
}

static void handle(struct uring *ring, const struct io_uring_cqe *cqe, ring_handler *handler,
		   void *owner)
{
	struct ring_event event = unpack(cqe->user_data);
	uint16_t buffer = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

	event.result = cqe->res;
	event.more = cqe->flags & IORING_CQE_F_MORE;
	if (event.operation == RING_ACCEPT)
		finish_accept(ring, &event);
	else if (event.operation == RING_INSTALL)
		finish_install(ring, &event);
	else if (event.operation == RING_SEND || event.operation == RING_RECEIVE)
		finish_operation(ring, &event);
	if (cqe->flags & IORING_CQE_F_BUFFER)
		event.data = ring->buffers + (size_t)buffer * RING_BUFFER_SIZE;
	handler(owner, &event);
	if (cqe->flags & IORING_CQE_F_BUFFER) {
		give_buffer(ring, buffer, 0);
		io_uring_buf_ring_advance(ring->buffer_ring, 1);
	}
	if (event.operation == RING_WAKE)
		wait_for_wake(ring);
}

static int uring_run(struct ring *base, uint64_t until_ns, ring_handler *handler, void *owner)
{
	struct uring *ring = uring_of(base);
	struct io_uring_cqe *cqes[BATCH];
	struct __kernel_timespec timeout, *wait = NULL;
	struct io_uring_cqe *first;
	unsigned int count;
	uint64_t now;
	int err;

	if (until_ns != UINT64_MAX) {
		now = clock_monotonic_ns();
		now = until_ns > now ? until_ns - now : 0;
		timeout = (struct __kernel_timespec){.tv_sec = (long long)(now / 1000000000u),
						     .tv_nsec = (long long)(now % 1000000000u)};
		wait = &timeout;
	}
	err = io_uring_submit_and_wait_timeout(&ring->io, &first, 1, wait, NULL);
	/* EBUSY: completions overflowed; taking them, as the loop below does, makes room. */
	if (err < 0 && err != -ETIME && err != -EINTR && err != -EAGAIN && err != -EBUSY)
		return err;
	while ((count = io_uring_peek_batch_cqe(&ring->io, cqes, BATCH))) {
		for (unsigned int i = 0; i < count; i++)
			handle(ring, cqes[i], handler, owner);
		io_uring_cq_advance(&ring->io, count);
	}
	return ring->err;
}

const struct ring_methods ring_uring_methods = {
	.make = uring_make,
	.free = uring_free,
	.enable = uring_enable,
	.accept = uring_accept,
	.stop_accept = uring_stop_accept,
	.receive = uring_receive,
	.send = uring_send,
	.watch = uring_watch,
	.install = uring_install,
	.close = uring_close,
	.run = uring_run,
};
