/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The programs' places in the kernel: the network namespace's sk_lookup hook
 * and each interface's ingress.  Used by steer.c, and by the keeper, which owns
 * them while the responder runs.
 */
#ifndef ATTACHMENT_H
#define ATTACHMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <net/if.h>

struct steer_options;

struct attachment {
	char interface[IF_NAMESIZE];
	int ifindex;
	int link_fd; /* TCX: detached when the last descriptor closes; -1: a clsact filter */
	bool made_clsact; /* the qdisc is ours, to be removed with the filter */
};

struct attachments {
	struct attachment *list;
	size_t count;
	int lookup_link_fd; /* sk_lookup; -1: none */
	bool tcx; /* else clsact */
};

struct attachment_programs {
	int ethernet_fd, bare_ip_fd;
	int lookup_fd; /* -1: the second way needs none */
};

/*
 * Attach to the namespace and to the interfaces that `options` names, or to all
 * that exist.  All or nothing.  0 or -errno, logged.  The caller owns
 * *ret_attachments.
 */
int attachments_make(const struct attachment_programs *programs,
		     const struct steer_options *options, struct attachments *ret_attachments);

/* Detach: after this no program of ours sees a packet. */
void attachments_remove(struct attachments *attachments);

/* Free and close, without detaching what another process holds too. */
void attachments_done(struct attachments *attachments);

#endif
