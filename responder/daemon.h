/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Going into the background, in such a way that who started the responder
 * learns whether it came up, and why not.
 */
#ifndef DAEMON_H
#define DAEMON_H

/*
 * Fork the daemon, in a session of its own.  Returns in the daemon only, with 0
 * and with a standard error that the waiting starter copies to its own; there
 * the process stays until the daemon is ready (it exits with 0) or has ended
 * (with the daemon's exit status).  To be called before anything is open, as
 * what the daemon makes must be the daemon's.  -errno when it could not fork.
 */
int daemon_start(void);

/*
 * Tell the starter that all is well, and leave its standard error for
 * /dev/null.  -EPIPE when the starter did not wait, or -errno.
 */
int daemon_ready(void);

#endif
