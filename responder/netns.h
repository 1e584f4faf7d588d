/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The network namespace in which production listens.  Used by main.c and steer.c. */
#ifndef NETNS_H
#define NETNS_H

#include <stdint.h>

/*
 * Move this process, which has no other thread yet, into a network namespace: a name as
 * ip-netns(8) gives them, or a path such as /proc/PID/ns/net.  0 or -errno.
 */
int netns_enter(const char *name);

/* The inode of the network namespace that this process is in (namespaces(7)).  0 or -errno. */
int netns_inode(uint64_t *ret_inode);

#endif
