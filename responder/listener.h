/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The listening sockets: one of each address family for each thread; all sockets of a family share
 * one port. responder.c owns them. The server accepts on them, and the BPF programs steer to them.
 */
#ifndef RESPONDER_LISTENER_H
#define RESPONDER_LISTENER_H

#include <stdint.h>

#include "bpf/steer_abi.h"

/* A number beyond this is a mistake. */
#define THREADS_MAX 1024

struct listeners {
	int (*fds)[STEER_FAMILIES]; /* [thread]; -1 for a family that is not there */
	unsigned int threads;
};

/*
 * Open the sockets: on all addresses at `port`, or, with port 0, on the loopback addresses at ports
 * that the kernel chooses, as targets for steering. One family may be missing, which is logged as a
 * notice. 0 or -errno, logged with the next step: -EADDRINUSE also when the server that holds the
 * port allows sharing it.
 */
int listeners_open(struct listeners *ret_listeners, unsigned int threads, uint16_t port);

/* Prepare an empty set, to receive sockets into.  0 or -ENOMEM. */
int listeners_init(struct listeners *ret_listeners, unsigned int threads);

/* Stop listening at once, in every process that has the sockets. */
void listeners_close(struct listeners *listeners);

/* Close the descriptors; other processes that have the sockets keep listening. */
void listeners_leave(struct listeners *listeners);

#endif
