/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One responder after another without a gap: the successor (--replace) gets the instance's lock
 * and the listening sockets from the monitor of the one that runs, which then answers what it
 * has accepted and ends.  They talk over a Unix socket at paths->control, in messages of fixed
 * size.  Who only is root by name, without a capability, gets nothing.
 *
 *	successor			predecessor's monitor
 *	connects, asks		->
 *				<-	the lock, both sockets, the listeners
 *	attaches, answers
 *	"retire"		->	has its responder retire
 *				<-	"retired": accepts and adopts no more
 *
 * Whichever dies in between, the other goes on as if nothing had been.
 */
#ifndef HANDOVER_H
#define HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "responder/listener.h"

struct paths;

/* What passes from one to the other. */
struct handover {
	int lock_fd;
	int control_fd; /* where a successor comes in; -1: not yet open */
	int alive_fd; /* where others see that a responder runs; -1: not yet open */
	struct listeners listeners;
	uint16_t standalone_port; /* 0: it steers */
};

/* Close lock and sockets, but not the listeners; what is not open is -1. */
void handover_close(struct handover *handover);

/* --- the predecessor's side --- */

/* As root: listen for a successor.  The descriptor, or -errno. */
int handover_listen(const struct paths *paths);

/* Somebody has connected: the channel, which is readable when he has asked; or -errno. */
int handover_accept(int control_fd);

/*
 * He has: give him the handover, which stays ours, too.  The channel is then readable when he
 * has something to say.  0, -EPERM: he has not root's rights, -EPROTO: his version is
 * another, or -errno.
 */
int handover_offer(int channel_fd, const struct handover *handover);

/* What it says: 1: to retire, 0: nothing yet, -EPIPE: it is gone, or -errno. */
int handover_hear(int channel_fd);

/* Tell it that we have retired.  0 or -errno. */
int handover_say_retired(int channel_fd);

/* --- the successor's side --- */

/*
 * Get the handover from the running responder; the caller owns it.  Returns the channel,
 * -ENOENT or -ECONNREFUSED when none runs, -EPROTO when it is of another version,
 * -ETIMEDOUT when it does not answer, or -errno.
 */
int handover_claim(const struct paths *paths, struct handover *ret_handover);

/* Have the predecessor retire, and wait until it has.  0 or -errno (-EPIPE: it has died). */
int handover_complete(int channel_fd);

#endif
