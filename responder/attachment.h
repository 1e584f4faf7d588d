/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The programs' places in the kernel: the network namespace's sk_lookup hook
 * and an interface's ingress.  Programs and links are pinned, filters stay by
 * themselves, and so all of them outlive the process that attached; the next
 * one replaces the programs in place.
 */
#ifndef ATTACHMENT_H
#define ATTACHMENT_H

#include <stdbool.h>

struct bpf_object;
struct paths;

/* Descriptors of programs. */
struct attachment_programs {
	int ethernet_fd, bare_ip_fd, lookup_fd;
};

/* Those of a loaded object, which keeps them. */
struct attachment_programs attachment_programs_of(const struct bpf_object *object);

/* Pin them, for who attaches from now on.  0 or -errno. */
int attachment_programs_put(const struct paths *paths, const struct attachment_programs *programs);

/* The pinned ones: those that are attached.  To be closed.  0 or -errno. */
int attachment_programs_get(const struct paths *paths, struct attachment_programs *ret_programs);
void attachment_programs_close(const struct attachment_programs *programs);

/* Attach the sk_lookup program to the network namespace.  0 or -errno. */
int attachment_attach_lookup(const struct paths *paths, const struct attachment_programs *programs);

/*
 * Attach the program that fits the interface's link layer, by TCX (-EINVAL: the kernel,
 * before 6.6, has none) or else as a clsact filter; what an earlier responder left there is
 * replaced.  -EOPNOTSUPP: no program fits; or -errno.
 */
int attachment_attach(const struct paths *paths, const struct attachment_programs *programs,
		      int ifindex, bool tcx);

/*
 * Is what was attached still there, to the interface or to the network namespace?  Others
 * can remove it: tc(8), bpftool(8), rm in the bpffs.  1 or 0, or -errno.
 */
int attachment_is_there(const struct paths *paths, int ifindex, bool tcx);
int attachment_lookup_is_there(const struct paths *paths);

/* Detach from all interfaces but those that `is_wanted` wants. */
void attachment_detach_others(const struct paths *paths,
			      bool (*is_wanted)(const void *context, int ifindex),
			      const void *context);

/*
 * Detach all that any responder of this instance has attached in this network
 * namespace: after this no program of ours sees a packet of it.  0 or -errno, logged.
 */
int attachment_detach_all(const struct paths *paths);

/* Does this instance have pins of anything attached? */
bool attachment_any(const struct paths *paths);

/*
 * Put these programs in the place of those that are attached, each by one link update.
 * Goes on after an error.  0 or the first -errno, logged.
 */
int attachment_replace_all(const struct paths *paths, const struct attachment_programs *programs);

#endif
