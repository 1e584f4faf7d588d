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

struct paths;
struct steer_options;

struct attachment {
	char interface[IF_NAMESIZE];
	int ifindex;
	enum { ATTACHED_NOT, ATTACHED_TCX, ATTACHED_CLSACT } how; /* NOT: it could not be done */
	int link_fd; /* of TCX, detached when the last descriptor closes; else -1 */
	bool made_clsact; /* the qdisc is ours, to be removed with the filter */
	bool seen; /* in the round that is under way */
};

struct attachments {
	struct attachment *list;
	size_t count, capacity;
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

/*
 * Follow the interfaces that have come, gone or been renamed since.  Goes on when
 * one cannot be attached to, which is logged and shown.  Returns whether anything
 * has changed.
 */
bool attachments_follow(struct attachments *attachments, const struct attachment_programs *programs,
			const struct steer_options *options);

/* Write what is attached, and what could not be, to paths->interfaces.  0 or -errno. */
int attachments_write(const struct attachments *attachments, const struct paths *paths);

/* Detach: after this no program of ours sees a packet. */
void attachments_remove(struct attachments *attachments);

/* Free and close, without detaching what another process holds too. */
void attachments_done(struct attachments *attachments);

#endif
