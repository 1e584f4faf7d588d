// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/ring.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "responder/ring_engine.h"

#define SLOTS_OF_A_PROBE 16
/* Descriptors that the process needs beside connections: listeners, maps, files, channels. */
#define OTHER_DESCRIPTORS 128

/* --- engines --------------------------------------------------------------------- */

static const struct {
	const char *name;
	const struct ring_methods *methods;
} engines[] = {
	[RING_AUTO] = {"auto", NULL},
	[RING_IO_URING] = {"io_uring", &ring_uring_methods},
	[RING_EPOLL] = {"epoll", &ring_epoll_methods},
};

const char *ring_engine_name(enum ring_engine engine)
{
	return engines[engine].name;
}

static void ignore_event(void *owner, const struct ring_event *event)
{
	(void)owner;
	(void)event;
}

int ring_probe(enum ring_engine engine, const char **ret_missing)
{
	struct ring *ring;
	int err = ring_new(&ring, engine, SLOTS_OF_A_PROBE, ret_missing);

	if (err)
		return err;
	/* A filter may allow to make a ring, and forbid to use it. */
	*ret_missing = "permission to wait for events";
	err = ring_enable(ring);
	if (!err)
		err = ring_run(ring, 0, ignore_event, NULL);
	ring_free(ring);
	return err;
}

enum ring_engine ring_choose(const char **ret_missing, int *ret_err)
{
	*ret_err = ring_probe(RING_IO_URING, ret_missing);
	if (*ret_err)
		return RING_EPOLL;
	*ret_missing = NULL;
	return RING_IO_URING;
}

const char *ring_advice(int err)
{
	switch (err) {
	case -EPERM:
		return "'sysctl kernel.io_uring_disabled' may forbid it: 1 allows it to root, 2 to "
		       "nobody";
	case -ENOSYS:
		return "the kernel has none, or a seccomp filter hides it";
	default:
		return "'sidestep-responder --check' says what is missing";
	}
}

uint32_t ring_slots_max(enum ring_engine engine, unsigned int rings)
{
	struct rlimit limit;
	rlim_t files;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > UINT32_MAX)
		return UINT32_MAX;
	files = limit.rlim_cur;
	if (engine != RING_EPOLL)
		return (uint32_t)files;
	files -= files > 2 * OTHER_DESCRIPTORS ? OTHER_DESCRIPTORS : files / 2;
	return (uint32_t)(files / rings);
}

/* --- a ring ------------------------------------------------------------------------ */

int ring_new(struct ring **ret_ring, enum ring_engine engine, uint32_t slots,
	     const char **ret_missing)
{
	return engines[engine].methods->make(ret_ring, slots, ret_missing);
}

void ring_free(struct ring *ring)
{
	if (ring)
		ring->methods->free(ring);
}

int ring_enable(struct ring *ring)
{
	return ring->methods->enable(ring);
}

void ring_wake(struct ring *ring)
{
	uint64_t one = 1;

	/* The counter cannot overflow, so that an eventfd write of 1 always succeeds. */
	if (write(ring->wake_fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

void ring_accept(struct ring *ring, int listener_fd, uint32_t listener)
{
	ring->methods->accept(ring, listener_fd, listener);
}

void ring_stop_accept(struct ring *ring, int listener_fd)
{
	ring->methods->stop_accept(ring, listener_fd);
}

void ring_receive(struct ring *ring, uint32_t slot, uint32_t generation)
{
	ring->methods->receive(ring, slot, generation);
}

void ring_send(struct ring *ring, uint32_t slot, uint32_t generation, const uint8_t *bytes,
	       size_t size)
{
	ring->methods->send(ring, slot, generation, bytes, size);
}

void ring_watch(struct ring *ring, int fd, uint32_t number)
{
	ring->methods->watch(ring, fd, number);
}

void ring_install(struct ring *ring, int fd)
{
	ring->methods->install(ring, fd);
}

void ring_close(struct ring *ring, uint32_t slot, uint32_t generation)
{
	ring->methods->close(ring, slot, generation);
}

int ring_run(struct ring *ring, uint64_t until_ns, ring_handler *handler, void *owner)
{
	return ring->methods->run(ring, until_ns, handler, owner);
}

/* --- what the engines share ---------------------------------------------------------- */

struct peer ring_peer_of(int fd)
{
	struct sockaddr_storage address = {0};
	socklen_t size = sizeof(address);

	if (getpeername(fd, (struct sockaddr *)&address, &size))
		address.ss_family = AF_UNSPEC;
	return peer_from_address(&address);
}
