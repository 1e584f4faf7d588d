/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sockets for one thread: the thread submits operations and receives events.
 * Two engines do the work, with the same behaviour: io_uring (ring_uring.c), and
 * epoll (ring_epoll.c) for hosts where io_uring is too old or forbidden.
 * A ring belongs to one thread from ring_enable() on.  Sockets are named by slots,
 * which the ring chooses; no operation calls the handler, only ring_run() does.
 */
#ifndef RESPONDER_RING_H
#define RESPONDER_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "responder/peer.h"

struct ring;

enum ring_engine { RING_AUTO, RING_IO_URING, RING_EPOLL };

enum ring_operation {
	RING_ACCEPT, /* slot: the listener's number; result: the new socket's slot, or -errno */
	RING_RECEIVE, /* result: bytes in `data`, 0 at the end, or -errno */
	RING_SEND, /* result: bytes sent, or -errno */
	RING_CANCEL, /* the pending operations of the slot are cancelled */
	RING_CLOSE, /* the slot is free again */
	RING_WAKE, /* ring_wake() was called */
	RING_READABLE, /* slot: the number given; a descriptor is readable or has ended */
	RING_INSTALL, /* result: the slot that the socket has now, or -errno: it is closed */
};

struct ring_event {
	enum ring_operation operation;
	uint32_t slot;
	uint32_t generation; /* as given when the operation was submitted */
	int result;
	const uint8_t *data; /* of RING_RECEIVE; valid until the handler returns */
	struct peer peer; /* of RING_ACCEPT and RING_INSTALL, with a socket as the result */
	bool more; /* the receive continues without a new call */
};

typedef void ring_handler(void *owner, const struct ring_event *event);

/* "io_uring" and "epoll", as an operator writes them; "auto". */
const char *ring_engine_name(enum ring_engine engine);

/*
 * What RING_AUTO means on this host: io_uring where it works, else epoll.
 * *ret_missing is NULL, or names what io_uring lacks, with -errno in *ret_err.
 */
enum ring_engine ring_choose(const char **ret_missing, int *ret_err);

/* Does this engine work here?  0, or -errno; *ret_missing names what failed. */
int ring_probe(enum ring_engine engine, const char **ret_missing);

/* The next step for an operator after an error of ring_new() or ring_probe(). */
const char *ring_advice(int err);

/*
 * The number of slots that each of `rings` rings of this engine can have within the limit of open
 * files (RLIMIT_NOFILE). With epoll the rings share that limit; each io_uring has the whole limit.
 */
uint32_t ring_slots_max(enum ring_engine engine, unsigned int rings);

/*
 * Make a ring with this many slots (less than 2^24), with `engine` io_uring or epoll.
 * Any thread may call it.  After ring_enable() an io_uring takes no operations
 * but those below.  On failure -errno, and *ret_missing names what failed.
 */
#define RING_BUFFER_SIZE 4096
int ring_new(struct ring **ret_ring, enum ring_engine engine, uint32_t slots,
	     const char **ret_missing);
void ring_free(struct ring *ring);

/* Called by the thread that will use the ring.  0 or -errno. */
int ring_enable(struct ring *ring);

/* Causes an event RING_WAKE.  Any thread may call it. */
void ring_wake(struct ring *ring);

/*
 * Accept one connection on a listening descriptor: one event.  (An accept that
 * goes on by itself could not tell who the peers are.)  No more than
 * RING_ACCEPTS_MAX may be under way in all, on RING_LISTENERS_MAX descriptors.  They
 * are blocking ones, and another process may accept from the same sockets.  Without a
 * free slot the result is -ENFILE, and the connection is closed.
 */
#define RING_ACCEPTS_MAX   64
#define RING_LISTENERS_MAX 4
void ring_accept(struct ring *ring, int listener_fd, uint32_t listener);

/* Accept no more on it: what is under way ends with -ECANCELED, or a last socket. */
void ring_stop_accept(struct ring *ring, int listener_fd);

/* Receive from a slot, until an event says `more` no longer. */
void ring_receive(struct ring *ring, uint32_t slot, uint32_t generation);

/* Send once; `bytes` must not move until the event.  One send at a time on a slot. */
void ring_send(struct ring *ring, uint32_t slot, uint32_t generation, const uint8_t *bytes,
	       size_t size);

/* One event RING_READABLE when `fd` has something to read. */
void ring_watch(struct ring *ring, int fd, uint32_t number);

/*
 * Give an ordinary socket a slot.  The descriptor is the ring's from now on, whatever
 * the result.  No more than RING_INSTALLS_MAX may be under way.
 */
#define RING_INSTALLS_MAX 64
void ring_install(struct ring *ring, int fd);

/* Cancel all pending operations of the slot, then close it. */
void ring_close(struct ring *ring, uint32_t slot, uint32_t generation);

/*
 * Submit, wait for events until `until_ns` of CLOCK_MONOTONIC (UINT64_MAX: for
 * ever), hand them to `handler`.  It may return earlier, and up to a millisecond
 * later.  0 or -errno, of which none but a broken ring is the caller's to see.
 */
int ring_run(struct ring *ring, uint64_t until_ns, ring_handler *handler, void *owner);

#endif
