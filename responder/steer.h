/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The kernel side of an instance: BPF maps, programs and attachments. Everything is pinned and
 * outlives a killed responder. It then changes nothing, because the heartbeat has ended, and the
 * next responder takes it over. At a regular end the monitor (monitor.h), which is started here,
 * detaches everything.
 */
#ifndef RESPONDER_STEER_H
#define RESPONDER_STEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "bpf/steer_abi.h"
#include "responder/monitor.h"

struct handover;
struct netns;
struct paths;
struct steer;

enum attach_mode { ATTACH_AUTO, ATTACH_TCX, ATTACH_CLSACT };

/* How a connection is taken from production (ARCHITECTURE.md). */
enum takeover {
	TAKEOVER_AUTO,
	TAKEOVER_ASSIGN, /* both, side by side: bpf_sk_assign_tcp_reqsk() where it can, Linux 6.9 */
	TAKEOVER_REPAIR, /* TCP_REPAIR alone, for older kernels */
};

struct steer_options {
	const struct paths *paths;
	const struct netns
		*netns; /* the namespace of --netns, entered already; NULL: none is named */
	enum takeover takeover;
	unsigned int threads; /* that answer: each of them gets its share of adopted connections */
	const char *const *interfaces; /* names */
	size_t interface_count; /* 0: all that exist */
	enum attach_mode attach_mode;
	const uint16_t *ports; /* watched */
	size_t port_count; /* 1 to STEER_PORTS_MAX */
	const struct steer_address *addresses; /* watched */
	size_t address_count; /* at most STEER_ADDRESSES_MAX; 0: all */
	gid_t group; /* may write the maps that the agent needs */
	bool succeeds; /* another responder runs, and goes on until steer_take_over() */
	struct handover *handover; /* for the monitor; stays the caller's */
	int predecessor_fd; /* the channel to the other responder's monitor; -1: there is none */
};

/*
 * Print what the kernel has and lacks for steering, one line each, and what
 * would be used (--check).  Returns 0 when steering would work, -ENOTSUP when
 * the kernel lacks something, -EPERM when the caller may not load programs.
 */
int steer_check(FILE *out);

/*
 * Mount the instance's bpffs when it is missing, and make and pin the maps that the agent uses,
 * or reuse pinned ones; hash_key is the challenge table's.  steer_attach() comes next, or
 * steer_not().  Errors are logged here, with their next step; returns -errno.
 */
int steer_open_maps(const struct steer_options *options, const uint64_t hash_key[2],
		    struct steer **ret_steer);

/*
 * What a responder without steering (--standalone) needs beside those maps: starts the monitor.
 * 0 or -errno, logged.
 */
int steer_not(struct steer *steer, const struct steer_options *options);

/*
 * Load the programs, with `listener_fds` (an fd or -1 for STEER_V4 and
 * STEER_V6) as the sockets to steer to in the assign takeover, and attach them: from here on armed
 * names are steered.  What an earlier responder left attached is replaced in place.  Starts
 * the monitor.  All or nothing; errors are logged.  Afterwards this process has no descriptor of
 * a map or a program, and the heartbeat as its only memory that programs read.
 */
int steer_attach(struct steer *steer, const struct steer_options *options,
		 const int listener_fds[STEER_FAMILIES]);

/* Where each answering thread receives adopted sockets (tcp_repair.h); NULL before steer_attach(). */
const int *steer_adoption_fds(const struct steer *steer);

/* This responder answers: the predecessor is to retire, and all is this one's from then on. */
void steer_take_over(struct steer *steer);

/* This responder has retired: leave all that is attached to the successor. */
void steer_retire(struct steer *steer);

/*
 * Renew the heartbeat: the classifier steers until `until_ns` of clock_boottime_ns(). After that
 * it treats the responder as hung, and all connections pass to production.
 */
void steer_heartbeat(struct steer *steer, uint64_t until_ns);

/* What has made steer_monitor_fd() readable. */
enum monitor_message steer_receive_message(const struct steer *steer);

/* Readable when the monitor has sent a message or died; -1: there is no monitor. */
int steer_monitor_fd(const struct steer *steer);

/* Make the monitor detach everything, wait for it, free.  Pinned maps stay.  NULL is allowed. */
void steer_free(struct steer *steer);

/*
 * Detach and unpin everything, the bpffs mount included (`sidestep-responder --unload`); to be
 * called in the network namespace that was steered.  0 or -errno, logged.
 */
int steer_unload(const struct paths *paths);

#endif
