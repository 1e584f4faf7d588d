/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The keeper: a small process that owns the attachments for as long as the
 * responder lives, and the privilege to remove them, so that the responder
 * itself needs none.  It reads nothing but the end of its channel.
 */
#ifndef KEEPER_H
#define KEEPER_H

#include <sys/types.h>

struct attachments;

struct keeper {
	pid_t pid;
	int channel_fd; /* readable, with EOF, when the keeper has died */
};

/*
 * Fork the keeper, which takes the attachments over: on success the caller's
 * copy only describes them, its descriptors are closed.  To be called before
 * the process has threads.  0 or -errno.
 */
int keeper_start(struct keeper *ret_keeper, struct attachments *attachments);

/* Have it detach everything, and wait until it has. */
void keeper_stop(struct keeper *keeper);

#endif
