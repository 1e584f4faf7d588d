/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lets go of bare ACKs that the classifier holds back (rule 6), when no data has come in time:
 * production then gets the silent connection, and an estimate of its round trip that is not
 * far off.  Part of the monitor.
 */
#ifndef RESPONDER_HELD_ACKS_H
#define RESPONDER_HELD_ACKS_H

struct held_acks;

/* Of the programs; the descriptors stay the caller's. */
struct held_acks_fds {
	int held_fd; /* the map */
	int release_fd; /* the program */
};

/* 0 or -ENOMEM. */
int held_acks_new(struct held_acks **ret_acks, const struct held_acks_fds *fds);
void held_acks_free(struct held_acks *acks);

/* For how many milliseconds there is nothing to do. */
int held_acks_pause_ms(const struct held_acks *acks);

/* Let go of those whose time is over. */
void held_acks_work(struct held_acks *acks);

#endif
