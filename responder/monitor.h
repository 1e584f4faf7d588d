/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The monitor: a small process with the rights that the responder must not have, so that an
 * attacker who takes over the responder gains little. It holds the lock of the instance and hands
 * over to successors (handover.h). With steering it may attach to new interfaces (watch.h) and
 * detach when the responder ends, and it adopts connections (tcp_repair.h). It reads nothing from
 * the network.
 *
 * When the responder dies, the monitor makes all connections pass to production, and leaves the
 * attachments to the next responder.
 *
 * Both talk over a socket pair, in messages of one fixed size.
 */
#ifndef RESPONDER_MONITOR_H
#define RESPONDER_MONITOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "responder/held_acks.h"
#include "responder/tcp_repair.h"

struct handover;
struct interfaces;
struct steer_options;

struct monitor_options {
	const struct steer_options *steer;
	struct handover *handover;
	int predecessor_fd; /* the channel to its monitor, for monitor_take_over(); -1: there is none */
	uint64_t *heartbeat; /* mapped, shared; NULL: nothing is steered */
	/* What adopting needs, when there is steering: maps, and a channel a thread. */
	struct tcp_repair_maps tcp_repair_maps;
	const int *adoption_fds;
	struct held_acks_fds held_acks_fds;
};

struct monitor {
	pid_t pid;
	int channel_fd; /* readable when the monitor has sent a message, or has ended */
};

/* Messages from the monitor. */
enum monitor_message {
	MONITOR_DIED,
	MONITOR_RETIRE, /* a successor answers: to be followed by monitor_retire() */
	MONITOR_NETNS_ENDED, /* the namespace has: it has detached everything */
};

/*
 * Fork the monitor, which takes over all descriptors of the handover but leaves the caller's
 * open.  To be called before the process has threads.  0 or -errno.
 */
int monitor_start(struct monitor *ret_monitor, struct interfaces *interfaces,
		  const struct monitor_options *options);

/* Receive the message that made `channel_fd` readable. */
enum monitor_message monitor_receive(const struct monitor *monitor);

/*
 * This responder answers: have the predecessor retire, and clear up from then on should this
 * one die.
 */
void monitor_take_over(const struct monitor *monitor);

/* This responder has retired: have the monitor leave all to the successor, and wait for its end. */
void monitor_retire(struct monitor *monitor);

/*
 * Have it detach everything, unless it has not taken over yet, and wait until it has ended.
 */
void monitor_stop(struct monitor *monitor);

#endif
