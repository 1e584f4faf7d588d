/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The keeper: a small process that owns the attachments for as long as the
 * responder lives, and the privilege to remove them, so that the responder
 * itself needs none.  In the second way it also adopts connections (adopter.h).
 * It looks at nothing that comes from the network.
 */
#ifndef KEEPER_H
#define KEEPER_H

#include <stddef.h>
#include <sys/types.h>

struct attachments;

/* What the second way needs; map_fd -1: none of it. */
struct keeper_adoption {
	int map_fd; /* the ring buffer */
	const int *send_fds; /* one for each answering thread */
	size_t threads;
};

struct keeper {
	pid_t pid;
	int channel_fd; /* readable, with EOF, when the keeper has died */
};

/*
 * Fork the keeper, which takes the attachments over: on success the caller's
 * copy only describes them, its descriptors are closed.  To be called before
 * the process has threads.  0 or -errno.
 */
int keeper_start(struct keeper *ret_keeper, struct attachments *attachments,
		 const struct keeper_adoption *adoption);

/* Have it detach everything, and wait until it has. */
void keeper_stop(struct keeper *keeper);

#endif
