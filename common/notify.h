/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Telling systemd how the service is, as sd_notify(3) describes it. */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <stdbool.h>

/* Does somebody listen on NOTIFY_SOCKET? */
bool notify_is_wanted(void);

/*
 * Open what notify_send() needs, for a process that soon cannot open anything.  Kept open until the
 * end.  0 or -errno, as there.
 */
int notify_open(void);

/*
 * Send `state`, such as "READY=1".  0 also when nobody wants to know;
 * -EAFNOSUPPORT when NOTIFY_SOCKET is no Unix socket's address, or -errno.
 */
int notify_send(const char *state);

#endif
