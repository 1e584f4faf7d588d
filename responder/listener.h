/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The listening sockets: for each thread one of each address family, those of a
 * family sharing one port.  Owned by main.c; the server accepts on them, and
 * the BPF programs steer to them.
 */
#ifndef LISTENER_H
#define LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/steer_abi.h"

struct listeners {
	int (*fds)[STEER_FAMILIES]; /* [thread]; -1 for a family that is not there */
	unsigned int threads;
};

/*
 * Open them: on all addresses at `port` when `standalone`, else on the loopback
 * addresses at ports of the kernel's choice.  One family may be missing, which
 * is logged as a notice.  0 or -errno, logged with the next step.
 */
int listeners_open(struct listeners *ret_listeners, unsigned int threads, bool standalone,
		   uint16_t port);
void listeners_close(struct listeners *listeners);

#endif
