/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The responder's table, which the agent fills: shared memory (a file on tmpfs) whose slots
 * hold challenge certificates, and the pinned BPF maps that index it ("challenges") and wake the
 * classifier ("armed"). No other code knows the table's layout.
 *
 * Writers (agents) take a flock that ends with its holder, fill a slot, then write the map entry:
 * that second step arms the name. Readers (responder, classifier) take no lock: a sequence count, a
 * generation and a checksum in each slot reveal a torn, reused or corrupt slot.
 *
 * A name is disarmed when it expires, so a dead agent leaves no name armed for long. Later writers
 * free the expired slots, a few at a time.
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
/* A withdrawn name stays armed this long, for the CA's slower perspectives. */
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
 * Create the table file at `path` with a new challenge key and hash key, or keep the existing file
 * when its magic, version and sizes match. The file gets mode 0660 and group `group`. Atomic:
 * another process sees no table, or a whole one. The responder calls this before it loads the
 * programs, which need the hash key. 0, or -errno of the failing call.
 */
int challenge_table_create(const char *path, gid_t group, uint32_t slots, uint64_t ret_hash_key[2]);

/*
 * Would challenge_table_create() keep the table at `path`? 0: yes, with this hash key; -ENOENT,
 * -EPROTO: it would create a new one; or -errno. Changes nothing.
 */
int challenge_table_check(const char *path, uint32_t slots, uint64_t ret_hash_key[2]);

/*
 * Open the table and its maps. -ENOENT: no table or no maps, because no responder has run; -EACCES:
 * the caller is not in the group; -EPROTO: another version, or a damaged header; or -errno. Several
 * threads may read an open table at once, but only one may write it. A child process must not use a
 * table that it inherited; it opens its own.
 */
int challenge_table_open(struct challenge_table **ret_table, const struct paths *paths,
			 enum challenge_table_mode mode);
void challenge_table_free(struct challenge_table *table);

/* The key of the certificates. Constant while the table is open. */
const struct challenge_key *challenge_table_key(const struct challenge_table *table);

/*
 * Arm `identifier` for `ttl_s` seconds with the SHA-256 `digest` of its key authorization. This
 * replaces an earlier challenge that the caller published for the name. After 0, the responder
 * answers the next connection. After an error, nothing is armed.
 *
 * -EPERM: another uid has published the name; -ENOSPC: the table is full (a replacement needs a
 * free slot, too, because the old challenge keeps its slot until then); -EEXIST: another name with
 * the same hash is pending; -EINVAL: ttl_s is 0 or over CHALLENGE_TTL_MAX_S; -EIO: signing failed;
 * -ESTALE: the table was replaced, open it again; -EBADMSG: the table is damaged beyond repair and
 * must be created again; -ETIMEDOUT: another process of the group holds the table's lock and does
 * not release it; -EOPNOTSUPP: the kernel does not let this process use maps (before Linux 5.19
 * that needs CAP_BPF); or -errno of the map update.
 */
int challenge_table_publish(struct challenge_table *table, const struct identifier *identifier,
			    const uint8_t digest[CHALLENGE_DIGEST_SIZE], uint32_t ttl_s);

/*
 * Disarm after `grace_s` seconds (0: at once), if the challenge has this digest (NULL: whichever it
 * has). -ENOENT: not pending, or with another digest; -EPERM: another uid has published it; -ESTALE,
 * -EBADMSG, -ETIMEDOUT: as above; or -errno.
 */
int challenge_table_withdraw(struct challenge_table *table, const struct identifier *identifier,
			     const uint8_t *digest, uint32_t grace_s);

/*
 * Find the pending challenge for a TLS server name of `length` bytes, in any case, with or without
 * the trailing dot. 0; -ENOENT: not pending; -EAGAIN: the slot kept changing, or does not belong to
 * the entry; -EBADMSG: the slot is damaged.
 *
 * Cheap enough for every handshake: about two microseconds. Where the kernel does not let this
 * process use maps (-EOPNOTSUPP above), it walks the slots: a fifth of a microsecond for each slot
 * in use, and it finds a withdrawn name until the name expires.
 */
int challenge_table_find(struct challenge_table *table, const char *server_name, size_t length,
			 struct challenge *ret_challenge);

/*
 * Walk the pending challenges: start with *cursor = 0. 0 and the next challenge, or -ENOENT at the
 * end. Returns each name once if it stays pending during the walk.
 */
int challenge_table_next(struct challenge_table *table, uint32_t *cursor,
			 struct challenge *ret_challenge);

#endif
