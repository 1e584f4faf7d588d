/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The keeper: a small process that owns the attachments for as long as the
 * responder lives, and the privileges to follow the interfaces that come and go
 * and to detach, so that the responder itself needs none.  In the second way it
 * also adopts connections (adopter.h).
 * It looks at nothing that comes from the network.
 */
#ifndef KEEPER_H
#define KEEPER_H

#include <sys/types.h>

struct attachment_programs;
struct attachments;
struct steer_options;

struct keeper_options {
	/* With which to attach to interfaces that come. */
	const struct attachment_programs *programs;
	const struct steer_options *steer;
	/* What the second way needs: the ring buffer, -1 in the first, and a channel a thread. */
	int adoption_map_fd;
	const int *adoption_fds;
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
		 const struct keeper_options *options);

/* Have it detach everything, and wait until it has. */
void keeper_stop(struct keeper *keeper);

#endif
