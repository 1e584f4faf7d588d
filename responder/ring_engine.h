/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What ring.c and the two engines share: a ring's common part, and an engine as a
 * table of functions with the contracts of ring.h.  Only these three files include it.
 */
#ifndef RESPONDER_RING_ENGINE_H
#define RESPONDER_RING_ENGINE_H

#include "responder/ring.h"

struct ring_methods {
	int (*make)(struct ring **ret_ring, uint32_t slots, const char **ret_missing);
	void (*free)(struct ring *ring);
	int (*enable)(struct ring *ring);
	void (*accept)(struct ring *ring, int listener_fd, uint32_t listener);
	void (*stop_accept)(struct ring *ring, int listener_fd);
	void (*receive)(struct ring *ring, uint32_t slot, uint32_t generation);
	void (*send)(struct ring *ring, uint32_t slot, uint32_t generation, const uint8_t *bytes,
		     size_t size);
	void (*watch)(struct ring *ring, int fd, uint32_t number);
	void (*install)(struct ring *ring, int fd);
	void (*close)(struct ring *ring, uint32_t slot, uint32_t generation);
	int (*run)(struct ring *ring, uint64_t until_ns, ring_handler *handler, void *owner);
};

extern const struct ring_methods ring_uring_methods, ring_epoll_methods;

/* The first member of each engine's own structure. */
struct ring {
	const struct ring_methods *methods;
	int wake_fd; /* an eventfd: its count is how often the ring was woken */
};

/* The address of the peer; 0.0.0.0 after it has reset the connection. */
struct peer ring_peer_of(int fd);

#endif
