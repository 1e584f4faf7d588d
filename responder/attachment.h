/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Attaching the programs: to the sk_lookup hook of the network namespace and to the ingress of
 * interfaces. Programs and links are pinned, and filters stay attached without a process, so all of
 * them outlive the process that attached them. The next responder replaces the programs in place.
 */
#ifndef RESPONDER_ATTACHMENT_H
#define RESPONDER_ATTACHMENT_H

#include <stdbool.h>

struct bpf_object;
struct paths;

/* Descriptors of programs. */
struct attachment_programs {
	int ethernet_fd, bare_ip_fd, lookup_fd;
};

/* The programs of a loaded object, which owns the descriptors. */
struct attachment_programs attachment_programs_of(const struct bpf_object *object);

/* Pin the programs: every later attachment uses them.  0 or -errno. */
int attachment_programs_put(const struct paths *paths, const struct attachment_programs *programs);

/* Open the pinned programs, which are the attached ones.  The caller closes them.  0 or -errno. */
int attachment_programs_get(const struct paths *paths, struct attachment_programs *ret_programs);
void attachment_programs_close(const struct attachment_programs *programs);

/* Attach the sk_lookup program to the network namespace.  0 or -errno. */
int attachment_attach_lookup(const struct paths *paths, const struct attachment_programs *programs);

/*
 * Attach the program for the interface's link layer by TCX (-EINVAL: the kernel is older than 6.6
 * and has no TCX), or as a clsact filter. Replaces what an earlier responder attached. -EOPNOTSUPP:
 * no program fits the link layer; or -errno.
 */
int attachment_attach(const struct paths *paths, const struct attachment_programs *programs,
		      int ifindex, bool tcx);

/*
 * Is the program still attached to the interface, or to the network namespace? Other programs can
 * remove it: tc(8), bpftool(8), rm in the bpffs. 1 or 0, or -errno.
 */
int attachment_is_there(const struct paths *paths, int ifindex, bool tcx);
int attachment_lookup_is_there(const struct paths *paths);

/* Detach from each interface for which `is_wanted` returns false. */
void attachment_detach_others(const struct paths *paths,
			      bool (*is_wanted)(const void *context, int ifindex),
			      const void *context);

/*
 * Detach everything that any responder of this instance has attached in this network namespace.
 * Afterwards no Sidestep program sees its packets. 0 or -errno, logged.
 */
int attachment_detach_all(const struct paths *paths);

/* Does this instance have a pinned attachment? */
bool attachment_any(const struct paths *paths);

/*
 * Replace the attached programs by these, each by one link update. Continues after an error. 0 or
 * the first -errno, logged.
 */
int attachment_replace_all(const struct paths *paths, const struct attachment_programs *programs);

#endif
