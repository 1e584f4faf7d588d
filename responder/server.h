/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The answering threads (worker.h) as one object. */
#ifndef RESPONDER_SERVER_H
#define RESPONDER_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bpf/steer_abi.h"
#include "common/conn_stats.h"
#include "responder/ring.h"

struct paths;
struct server;

struct server_options {
	const struct paths *paths;
	bool standalone; /* the listeners are the port's own: nothing is steered */
	unsigned int threads;
	enum ring_engine engine;
	/* At once: in all, of which each thread has its share, and of one source (limits.h). */
	uint32_t connections, connections_per_source;
	/* [thread][family], -1 for a family that is not there; the caller keeps and closes them */
	const int (*listener_fds)[STEER_FAMILIES];
	/* Where each thread receives adopted sockets (tcp_repair.h), or NULL; the caller's, too. */
	const int *adoption_fds;
};

/*
 * Print whether io_uring works here, what it lacks, and which engine the server would use, in lines
 * like those of steer_check(). 0, or -ENOTSUP when `engine` does not work.
 */
int server_check(enum ring_engine engine, FILE *out);

/*
 * Create everything that needs privileges or memory: the rings, the memory of the connections, the
 * table, the TLS contexts. Errors are logged with their next step; returns -errno.
 */
int server_new(const struct server_options *options, struct server **ret_server);

/* Start the threads; after this the server answers.  0 or -errno, logged. */
int server_start(struct server *server);

/* The engine of its threads: io_uring or epoll. */
enum ring_engine server_engine(const struct server *server);

/* Readable when a thread has ended because of an error, which it has logged. */
int server_failure_fd(const struct server *server);

/*
 * The time since the last round of the slowest thread's loop. A working thread makes at least four
 * rounds a second, so after a second without one it hangs.
 */
uint64_t server_silence_ns(const struct server *server);

/* Accept no more connections, and go on with those that are open. */
void server_retire(struct server *server);

/* Is no connection open? */
bool server_is_idle(const struct server *server);

/* The sum over all threads since the start. */
void server_conn_stats(const struct server *server, uint64_t ret_counts[CONN_STATS]);

/* Stop the threads, close all connections, free.  NULL is fine. */
void server_free(struct server *server);

#endif
