/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Going into the background. The process that starts the responder learns whether the start
 * succeeded, and why not.
 */
#ifndef RESPONDER_DAEMON_H
#define RESPONDER_DAEMON_H

/*
 * Fork the daemon, in a new session. Returns only in the daemon, with 0. The daemon's standard
 * error is a pipe, and the waiting starter copies it to its own standard error. The starter exits
 * with 0 when the daemon is ready, or with the daemon's exit status when it ends. Call this before
 * opening anything, so that everything belongs to the daemon. -errno when the fork failed.
 */
int daemon_start(void);

/*
 * Report to the starter that the daemon is ready, and replace standard error by /dev/null. -EPIPE
 * when the starter no longer waits, or -errno.
 */
int daemon_ready(void);

#endif
