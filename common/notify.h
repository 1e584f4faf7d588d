/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reporting the state of the service to systemd, as in sd_notify(3). */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <stdbool.h>

/* Is NOTIFY_SOCKET set? */
bool notify_is_wanted(void);

/*
 * Connect now, for a process that will lose the right to open sockets. The connection stays open
 * until the process ends. 0 or -errno, as notify_send().
 */
int notify_open(void);

/*
 * Send `state`, such as "READY=1". 0, also when NOTIFY_SOCKET is not set; -EAFNOSUPPORT when
 * NOTIFY_SOCKET is no address of a Unix socket; or -errno.
 */
int notify_send(const char *state);

#endif
