/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The handover between responders without a gap: the successor (--replace) gets the instance's
 * lock and the listening sockets from the monitor of the running responder.  The predecessor
 * answers the connections that it has accepted, then ends.  Both send messages of fixed size over
 * a Unix socket at paths->control.  A process that is root without capabilities gets nothing.
 *
 *	successor			predecessor's monitor
 *	connects, sends request	->
 *				<-	the lock, both sockets, the listeners
 *	attaches, answers
 *	"retire"		->	has its responder retire
 *				<-	"retired": accepts and adopts no more
 *
 * If either side dies during the handover, the other continues as before.
 */
#ifndef RESPONDER_HANDOVER_H
#define RESPONDER_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "responder/listener.h"

struct paths;

/* What the predecessor gives to the successor. */
struct handover {
	int lock_fd;
	int control_fd; /* a successor connects here; -1: not yet open */
	int alive_fd; /* shows that a responder runs; -1: not yet open */
	struct listeners listeners;
	uint16_t standalone_port; /* 0: it steers */
};

/* Close the lock and the sockets, but not the listeners.  Ignores descriptors of -1. */
void handover_close(struct handover *handover);

/* --- the predecessor's side --- */

/* As root: listen for a successor.  The descriptor, or -errno. */
int handover_listen(const struct paths *paths);

/*
 * Accept a connection. Returns the channel, which becomes readable when the process sends its
 * request; or -errno.
 */
int handover_accept(int control_fd);

/*
 * Read the request and send the handover; the caller keeps its own copy. The channel becomes
 * readable again when the successor sends a message. 0; -EPERM: the process lacks the rights of
 * root; -EPROTO: it is of another version; or -errno.
 */
int handover_offer(int channel_fd, const struct handover *handover);

/*
 * Receive from the successor. 1: retire; 0: no message yet; -EPIPE: the successor is gone; or
 * -errno.
 */
int handover_receive(int channel_fd);

/* Report to the successor that this responder has retired. 0 or -errno. */
int handover_send_retired(int channel_fd);

/* --- the successor's side --- */

/*
 * Get the handover from the running responder; the caller owns it. Returns the channel. -ENOENT or
 * -ECONNREFUSED: no responder runs; -EPROTO: it is of another version; -ETIMEDOUT: it does not
 * answer; or -errno.
 */
int handover_claim(const struct paths *paths, struct handover *ret_handover);

/* Make the predecessor retire, and wait until it has.  0 or -errno (-EPIPE: it has died). */
int handover_complete(int channel_fd);

#endif
