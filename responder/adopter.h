/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The second way's user side: makes an ordinary connected socket of each
 * connection that the classifier has taken from production, by TCP_REPAIR
 * (tcp(7); since Linux 3.5), and hands it to an answering thread.  It copies the
 * client's bytes and never looks at them.  Runs in the keeper, which has the
 * privileges that TCP_REPAIR needs.
 */
#ifndef ADOPTER_H
#define ADOPTER_H

#include <stddef.h>

struct adopter;

/* The second way's maps; the descriptors stay the caller's. */
struct adopter_maps {
	int adoptions_fd; /* what comes; -1: not this way */
	int flows_fd; /* whose segments are held back meanwhile */
};

/*
 * Adopt what comes; `send_fds` are the keeper's ends of one SOCK_SEQPACKET pair for each
 * answering thread.  The descriptors stay the caller's.  0 or -errno.
 */
int adopter_new(struct adopter **ret_adopter, const struct adopter_maps *maps, const int *send_fds,
		size_t threads);
void adopter_free(struct adopter *adopter);

/* Readable when there is something to adopt. */
int adopter_fd(const struct adopter *adopter);

/* Adopt what has come, without blocking. */
void adopter_work(struct adopter *adopter);

/*
 * An answering thread's end: the next adopted socket, -EAGAIN when there is none
 * at the moment, -EPIPE when the keeper is gone, or -errno.
 */
int adopter_receive(int receive_fd);

#endif
