/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The identity of the responder after its start, and the drop of all other rights. */
#ifndef RESPONDER_PRIVILEGES_H
#define RESPONDER_PRIVILEGES_H

#include <stdint.h>
#include <sys/types.h>

struct identity {
	uid_t uid;
	gid_t gid; /* the user's own, and all that it keeps */
	gid_t shared_gid; /* may publish: owns the challenge table and the pinned maps */
};

/* Find a user's uid and gid, or a group's gid, by name.  -ENOENT: there is none; or -errno. */
int privileges_find_user(const char *name, uid_t *ret_uid, gid_t *ret_gid);
int privileges_find_group(const char *name, gid_t *ret_gid);

/*
 * Why the responder must not run with this identity; NULL: it may. It must not be able to publish
 * challenges: an attacker who took it over could then get certificates for any name of this host.
 * It must not be root either, the user of its monitor.
 */
const char *privileges_objection(const struct identity *identity);

/*
 * Become the user of `identity` for good: no other group, no capability in any set, no way to gain
 * one by execve(2), no core dumps, not traceable by processes of the same user. Only a process with
 * one thread may call this; later threads inherit it. 0; -EINVAL for root; -ENOTRECOVERABLE when
 * root can still be regained; or -errno. After an error the process must end.
 */
int privileges_drop(const struct identity *identity);

/* A capability, CAP_..., as a bit. */
#define PRIVILEGE(capability) (UINT64_C(1) << (capability))

/*
 * Keep the user, leave all other groups, and keep only these capabilities, with no way to gain one;
 * otherwise as privileges_drop(). 0 or -errno.
 */
int privileges_keep(uint64_t capabilities);

#endif
