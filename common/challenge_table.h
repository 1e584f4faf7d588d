/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The feed from the agent to the responder: a table in shared memory (a file
 * on tmpfs) whose slots hold challenge certificates, and the pinned BPF maps
 * that index it ("challenges") and wake the classifier ("armed").
 * Nothing else knows the table's layout.
 *
 * Writers (agents) take a flock that dies with its holder, fill a slot, then
 * write the map entry: that second step arms the name.  Readers (responder,
 * classifier) take no lock: a sequence count, a generation and a checksum per
 * slot tell a torn, reused or corrupt slot from a whole one.
 *
 * Names disarm themselves at their expiry, so a dead agent leaves nothing
 * armed.  Expired slots are taken back a few at a time by later writers.
 */
#ifndef CHALLENGE_TABLE_H
#define CHALLENGE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/challenge_cert.h"

struct paths;
struct challenge_table;

#define CHALLENGE_TTL_DEFAULT_S 600
#define CHALLENGE_TTL_MAX_S     86400
/* Withdrawn names stay armed this long: slower perspectives are still on their way. */
#define CHALLENGE_GRACE_S 15

enum challenge_table_mode { CHALLENGE_TABLE_READ, CHALLENGE_TABLE_WRITE };

/* One pending challenge as a reader sees it. */
struct challenge {
	struct challenge_cert cert;
	uint64_t published_ns; /* CLOCK_BOOTTIME */
	uint64_t expires_ns; /* CLOCK_BOOTTIME */
	uid_t owner;
	uint32_t slot;
	uint32_t generation;
	bool withdrawn; /* in its grace period */
};

/*
 * Make the table file at `path` with a new challenge key and hash key, or keep
 * the one that is there when its magic, version and sizes are ours.  The file
 * gets mode 0660 and group `group`.  Atomic: another process sees no table, or
 * a whole one.  Called by the responder, before it loads programs, which need
 * the hash key.
 * 0, or -errno of the failing call.
 */
int challenge_table_create(const char *path, gid_t group, uint32_t slots, uint64_t ret_hash_key[2]);

/*
 * Would challenge_table_create() keep the table at `path`?  0: it would, and this is its hash key;
 * -ENOENT, -EPROTO: it would make a new one; or -errno.  Changes nothing.
 */
int challenge_table_check(const char *path, uint32_t slots, uint64_t ret_hash_key[2]);

/*
 * Open the table and its maps.  Errors: -ENOENT no table or no maps (no
 * responder has run), -EACCES not in the group, -EPROTO another version or a
 * damaged header, or -errno.  An open table may be read by several threads at
 * once, but written by one only, and not by a child that inherited it: those
 * open their own.
 */
int challenge_table_open(struct challenge_table **ret_table, const struct paths *paths,
			 enum challenge_table_mode mode);
void challenge_table_free(struct challenge_table *table);

/* The key of the certificates: constant while the table is open. */
const struct challenge_key *challenge_table_key(const struct challenge_table *table);

/*
 * Arm `identifier` for `ttl_s` seconds with the SHA-256 `digest` of its key
 * authorization; replaces the caller's own earlier challenge for it.  When it
 * returns 0 the very next connection is answered.
 * -EPERM: the name is pending for another uid; -ENOSPC: the table is full (it
 * takes a slot to replace a challenge, too, as the old one stays until then);
 * -EEXIST: the name's hash meets another name's; -EINVAL: ttl_s is 0 or over
 * CHALLENGE_TTL_MAX_S; -EIO: signing failed; -ESTALE: the table was replaced,
 * open it again; -EBADMSG: it is damaged beyond repair, only a new one helps;
 * -ETIMEDOUT: another process of the group holds the table's lock and does not give it back;
 * -EOPNOTSUPP: the kernel lets this process use no maps (before Linux 5.19 it takes CAP_BPF);
 * or -errno of the map's update.  Nothing is armed on an error.
 */
int challenge_table_publish(struct challenge_table *table, const struct identifier *identifier,
			    const uint8_t digest[CHALLENGE_DIGEST_SIZE], uint32_t ttl_s);

/*
 * Disarm after `grace_s` seconds (0: at once).  -ENOENT: not pending;
 * -EPERM: pending for another uid; -ESTALE, -EBADMSG, -ETIMEDOUT: as above; or -errno.
 */
int challenge_table_withdraw(struct challenge_table *table, const struct identifier *identifier,
			     uint32_t grace_s);

/*
 * Find the pending challenge for a TLS server name of `length` bytes, any
 * case, with or without the trailing dot.  0, -ENOENT when not pending,
 * -EAGAIN when the slot kept changing or is not the entry's, -EBADMSG when it is
 * damaged.  Cheap enough for every handshake: about two microseconds.  Where the kernel
 * lets this process use no maps (-EOPNOTSUPP above) it walks the slots: a fifth of
 * a microsecond for each that is in use, and a withdrawn name is found until its time is over.
 */
int challenge_table_find(struct challenge_table *table, const char *server_name, size_t length,
			 struct challenge *ret_challenge);

/*
 * Walk what is pending: start with *cursor = 0; 0 with the next challenge, or
 * -ENOENT at the end.  Sees each name that is pending all the while once.
 */
int challenge_table_next(struct challenge_table *table, uint32_t *cursor,
			 struct challenge *ret_challenge);

/* CLOCK_BOOTTIME in ns: the clock of every expiry. */
uint64_t challenge_clock_ns(void);

#endif
