/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Unix sockets with a name in the file system. */
#ifndef LOCAL_SOCKET_H
#define LOCAL_SOCKET_H

#include <sys/types.h>

/*
 * Make a listening socket of `type` (SOCK_STREAM, SOCK_SEQPACKET) at `path`, in the place of
 * whatever has this name, with `mode`.  Changes the process's umask for a moment.  The
 * descriptor, the caller's, or -errno.
 */
int local_socket_listen(const char *path, int type, mode_t mode, int backlog);

/*
 * Connect to the socket at `path`, without waiting.  The descriptor, or -errno: -ENOENT, there is
 * none; -ECONNREFUSED, nobody listens; -EAGAIN, somebody listens whose queue is full.
 */
int local_socket_connect(const char *path, int type);

#endif
