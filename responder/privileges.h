/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who the responder is once everything is open, and giving up all else.
 */
#ifndef PRIVILEGES_H
#define PRIVILEGES_H

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
 * Why the responder must not run so; NULL: it may.  It must not be able to publish challenges,
 * or whoever takes it over gets certificates for any name of this host; nor be what its
 * monitor is, root.
 */
const char *privileges_objection(const struct identity *identity);

/*
 * Become the user of `identity` for good: no other group, no capability in any set, no way
 * to gain one by execve(2), no core dumps, not traceable by processes of the
 * same user.  To be called by the only thread; later ones inherit it.
 * 0, -EINVAL for root, -ENOTRECOVERABLE when the way back turned out to be open, or -errno:
 * after an error the process must end.
 */
int privileges_drop(const struct identity *identity);

/* A capability, CAP_..., as a bit. */
#define PRIVILEGE(capability) (UINT64_C(1) << (capability))

/*
 * Stay who we are, in no other group, with these capabilities and no way to gain one; else as
 * privileges_drop().  0 or -errno.
 */
int privileges_keep(uint64_t capabilities);

#endif
