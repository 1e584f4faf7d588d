/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The network namespace in which the responder works. A process or a socket in it keeps it alive,
 * with its interfaces and addresses. This includes the responder, which must therefore leave in
 * time.
 */
#ifndef RESPONDER_NETNS_H
#define RESPONDER_NETNS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* The namespace as the user named it. */
struct netns {
	char path[PATH_MAX]; /* absolute */
	uint64_t device, inode;
	int pidfd; /* of the process that the path names (/proc/PID/ns/net); -1: it names none */
};

/*
 * Move this process, which must have one thread, into a network namespace: a name as
 * 'ip netns' lists them, or a path.  0 or -errno.  *ret_netns is to be closed by netns_done().
 */
int netns_enter(const char *name, struct netns *ret_netns);

/*
 * Does the name still lead to the namespace? While it does, a mount or the named process keeps the
 * namespace, too. If that cannot be determined, the answer is yes.
 */
bool netns_is_named(const struct netns *netns);

void netns_done(struct netns *netns);

/* An id that distinguishes this process's network namespace from others.  0 or -errno. */
int netns_inode(uint64_t *ret_inode);

#endif
