/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Unix sockets that have a path. */
#ifndef LOCAL_SOCKET_H
#define LOCAL_SOCKET_H

#include <sys/types.h>

/*
 * Create a listening socket of `type` (SOCK_STREAM, SOCK_SEQPACKET) with `mode` at `path`. Replaces
 * an existing file of this name. Changes the umask of the process for a moment. Returns the
 * descriptor, which the caller owns, or -errno.
 */
int local_socket_listen(const char *path, int type, mode_t mode, int backlog);

/*
 * Connect to the socket at `path` without waiting. Returns the descriptor. -ENOENT: there is no
 * socket; -ECONNREFUSED: no process listens; -EAGAIN: the queue of the listener is full; or -errno.
 */
int local_socket_connect(const char *path, int type);

#endif
