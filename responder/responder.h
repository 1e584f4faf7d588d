/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A responder's life: startup.h opens everything as root and gives root up; from then on the
 * responder answers until a signal ends it or a successor takes over.
 */
#ifndef RESPONDER_H
#define RESPONDER_H

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
 * How often the heartbeat is renewed, and how long the classifier steers to a responder
 * after the last sign of life of its slowest thread.
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
	int conn_stats_fd; /* the file that status reads */
	bool conn_stats_failed; /* to be written, the last time */
	int predecessor_fd; /* the channel to the one before, until the monitor has it; -1: none */
	bool waits; /* another responder answers beside this one, as long as this one is not ready */
	bool retired;
	unsigned int idle_rounds; /* since it is retired and has no connection open */
};

/*
 * Live it, in the network namespace of this process, which is `netns` unless that is NULL.
 * 0 when it was told to end, -ENONET when that namespace has ended, or -errno, logged.
 */
int responder_run(const struct options *options, const struct paths *paths,
		  const struct netns *netns);

#endif
