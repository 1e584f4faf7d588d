/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The monitor: a small process with the privileges to attach to interfaces that
 * come, and to detach when the responder ends, so that the responder itself
 * needs none.  It also adopts connections (tcp_repair.h).
 * It looks at nothing that comes from the network.
 *
 * When the responder dies without a word, the monitor sees to it that all passes
 * to production, and leaves what is attached to the next responder.
 */
#ifndef MONITOR_H
#define MONITOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "responder/tcp_repair.h"

struct interfaces;
struct steer_options;

struct monitor_options {
	const struct steer_options *steer;
	uint64_t *heartbeat; /* mapped, shared */
	bool waits; /* for monitor_take_over(): another monitor is still at work */
	/* What adopting needs: maps, and a channel a thread. */
	struct tcp_repair_maps tcp_repair_maps;
	const int *adoption_fds;
};

struct monitor {
	pid_t pid;
	int channel_fd; /* readable when the monitor has ended by itself */
};

/* Why it has. */
enum monitor_end {
	MONITOR_DIED,
	MONITOR_NETNS_ENDED, /* the namespace has: it has detached everything */
};

/* Fork the monitor.  To be called before the process has threads.  0 or -errno. */
int monitor_start(struct monitor *ret_monitor, struct interfaces *interfaces,
		  const struct monitor_options *options);

/* Why `channel_fd` is readable. */
enum monitor_end monitor_hear(const struct monitor *monitor);

/* The other monitor has stopped: adopt from now on, and clear up should the responder die. */
void monitor_take_over(const struct monitor *monitor);

/* Have it detach everything, or leave all to another responder, and wait until it has ended. */
void monitor_stop(struct monitor *monitor, bool detach);

#endif
