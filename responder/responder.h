/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The responder: startup.h opens everything as root and drops root. Then the responder answers
 * until a signal ends it or a successor takes over.
 */
#ifndef RESPONDER_RESPONDER_H
#define RESPONDER_RESPONDER_H

#include <stdbool.h>
#include <stdint.h>

#include "responder/handover.h"
#include "responder/privileges.h"

struct netns;
struct options;
struct paths;
struct server;
struct steer;

/*
 * The interval at which the heartbeat is renewed, and the time for which the classifier still
 * steers to a responder after the last round of its slowest thread.
 */
#define HEARTBEAT_MS 250
#define ALIVE_NS     UINT64_C(5000000000)

struct responder {
	const struct options *options;
	const struct paths *paths;
	const struct netns *netns; /* the one of --netns, or NULL */
	struct identity identity;
	int signal_fd;
	struct handover handover; /* the listeners, and until the monitor has it the rest */
	struct steer *steer;
	struct server *server;
	int conn_stats_fd; /* the file that `sidestep status` reads */
	bool conn_stats_failed; /* the last write failed */
	int predecessor_fd; /* the channel to the one before, until the monitor has it; -1: none */
	bool waits; /* another responder answers beside this one, as long as this one is not ready */
	bool retired;
	unsigned int idle_rounds; /* rounds since it retired and had no open connection */
};

/*
 * Live it, in the network namespace of this process, which is `netns` unless that is NULL.
 * 0 when it was told to end, -ENONET when that namespace has ended, or -errno, logged.
 */
int responder_run(const struct options *options, const struct paths *paths,
		  const struct netns *netns);

#endif
