/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One thread that answers: a ring, a listener of each family, and the
 * connections that it has open.  server.c creates one for
 * each processor, and calls all functions here from its own thread.
 */
#ifndef RESPONDER_WORKER_H
#define RESPONDER_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "responder/server.h"

struct limits;
struct worker;

/* A ring has this many slots more, so that the worker, not the ring, refuses connections. */
#define WORKER_SPARE_SLOTS 64

/*
 * Make the worker with this number, on this engine (not RING_AUTO), for up to
 * `connections` at once, as far as `limits`, which must outlive it, lets them in.
 * An error is logged with its next step; returns -errno.  `failure_fd`, an eventfd,
 * becomes readable should the thread end by itself.
 */
int worker_new(struct worker **ret_worker, const struct server_options *options,
	       enum ring_engine engine, unsigned int number, uint32_t connections,
	       struct limits *limits, int failure_fd);

/* Start the thread, on a processor of its own where there are enough.  0 or -errno, logged. */
int worker_start(struct worker *worker);

/* When it went round its loop last, by clock_monotonic_ns(); 0: not once yet. */
uint64_t worker_progress_ns(const struct worker *worker);

/* Accept no more connections, and go on with those that are open. */
void worker_retire(struct worker *worker);

/* Is no connection open? */
bool worker_is_idle(const struct worker *worker);

/* Add how its connections have ended so far. */
void worker_add_results(const struct worker *worker, uint64_t counts[CONN_STATS]);

/* Tell it to stop; worker_free() waits until it has. */
void worker_stop(struct worker *worker);

/* Stop the thread, close its connections, free.  NULL is fine. */
void worker_free(struct worker *worker);

#endif
