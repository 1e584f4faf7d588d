/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The keeper: a small process with the privileges to attach to interfaces that
 * come, and to detach when the responder ends, so that the responder itself
 * needs none.  In the second way it also adopts connections (adopter.h).
 * It looks at nothing that comes from the network.
 *
 * When the responder dies without a word, the keeper sees to it that all passes
 * to production, and leaves what is attached to the next responder.
 */
#ifndef KEEPER_H
#define KEEPER_H

#include <stdbool.h>
#include <sys/types.h>

#include "responder/adopter.h"

struct interfaces;
struct steer_control;
struct steer_options;

struct keeper_options {
	const struct steer_options *steer;
	struct steer_control *control; /* mapped, shared */
	bool waits; /* for keeper_take_over(): another keeper is still at work */
	/* What the second way needs: maps, and a channel a thread. */
	struct adopter_maps adopter_maps;
	const int *adoption_fds;
};

struct keeper {
	pid_t pid;
	int channel_fd; /* readable, with EOF, when the keeper has died */
};

/* Fork the keeper.  To be called before the process has threads.  0 or -errno. */
int keeper_start(struct keeper *ret_keeper, struct interfaces *interfaces,
		 const struct keeper_options *options);

/* The other keeper has stopped: adopt from now on, and clear up should the responder die. */
void keeper_take_over(const struct keeper *keeper);

/* Have it detach everything, or leave all to another responder, and wait until it has ended. */
void keeper_stop(struct keeper *keeper, bool detach);

#endif
