/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The repair takeover's user side: makes an ordinary connected socket of each
 * connection that the classifier hands to user space (bpf/takeover_repair.h), by TCP_REPAIR
 * (tcp(7); since Linux 3.5), and gives it to an answering thread.  It copies the
 * client's bytes and never looks at them.  Runs in the monitor, which has the
 * privileges that TCP_REPAIR needs.
 */
#ifndef RESPONDER_TCP_REPAIR_H
#define RESPONDER_TCP_REPAIR_H

#include <stddef.h>

struct tcp_repair;

/* Of the programs; the descriptors stay the caller's. */
struct tcp_repair_maps {
	int adoptions_fd; /* what comes */
	int flows_fd; /* whose segments are held back meanwhile */
};

/*
 * Adopt what comes; `send_fds` are the monitor's ends of one SOCK_SEQPACKET pair for each
 * answering thread.  The descriptors stay the caller's.  0 or -errno.
 */
int tcp_repair_new(struct tcp_repair **ret_repair, const struct tcp_repair_maps *maps,
		   const int *send_fds, size_t threads);
void tcp_repair_free(struct tcp_repair *repair);

/* Readable when there is something to adopt. */
int tcp_repair_fd(const struct tcp_repair *repair);

/* For how many milliseconds there is nothing to do, unless there is something to adopt. */
int tcp_repair_pause_ms(const struct tcp_repair *repair);

/* Adopt what has come, some of it at a time, and never wait. */
void tcp_repair_work(struct tcp_repair *repair);

/*
 * An answering thread's end: the next adopted socket, -EAGAIN when there is none
 * at the moment, -EPIPE when the monitor is gone, or -errno.
 */
int tcp_repair_receive(int receive_fd);

#endif
