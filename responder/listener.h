/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The listening sockets: for each thread one of each address family, those of a
 * family sharing one port.  Owned by main.c; the server accepts on them, and
 * the BPF programs steer to them.
 */
#ifndef LISTENER_H
#define LISTENER_H

#include <stdint.h>

#include "bpf/steer_abi.h"

/* A number beyond this is a mistake. */
#define THREADS_MAX 1024

struct listeners {
	int (*fds)[STEER_FAMILIES]; /* [thread]; -1 for a family that is not there */
	unsigned int threads;
};

/*
 * Open them: on all addresses at `port`, or, with port 0, on the loopback
 * addresses at ports of the kernel's choice, to be steered to.  One family may be
 * missing, which is logged as a notice.  0 or -errno, logged with the next step:
 * -EADDRINUSE also when a server that holds the port is willing to share it.
 */
int listeners_open(struct listeners *ret_listeners, unsigned int threads, uint16_t port);

/* None open yet, for who receives them.  0 or -ENOMEM. */
int listeners_init(struct listeners *ret_listeners, unsigned int threads);

/* Stop listening, at once and for every process that has the sockets. */
void listeners_close(struct listeners *listeners);

/* Close our descriptors; another process goes on listening. */
void listeners_leave(struct listeners *listeners);

#endif
