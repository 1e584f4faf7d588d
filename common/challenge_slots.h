/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file of the challenge table: its layout, its lock, its slots and the list of free slots.
 * challenge_table.c knows what the slots mean and which to keep.
 *
 * The file: a page with the header, then slots of one size. It holds indices, never pointers. Slots
 * from the high-water mark on have never been used and take no memory.
 *
 * Any process that may write the file may write anything into it, so every value that is read from
 * it is checked. A hostile table is refused, and can do no more harm.
 */
#ifndef CHALLENGE_SLOTS_H
#define CHALLENGE_SLOTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/challenge_cert.h"
#include "common/mapping.h"

#define SLOTS_HEADER_SIZE  4096
#define SLOTS_STATE_OFFSET 256 /* struct slots_state, in the header */
#define SLOTS_MAX          (1u << 20)
#define SLOT_SIZE          384
#define SLOT_NAME_SIZE     253

enum slot_state { SLOT_FREE = 1, SLOT_USED }; /* 0: never written */

/* A copy of one slot. */
struct slot {
	uint32_t sequence; /* set by each write: even, unique in the table; odd during a write */
	uint32_t checksum;
	uint64_t expires_ns; /* CLOCK_BOOTTIME, as published */
	uint32_t ttl_s;
	uint32_t issued_at; /* Unix seconds */
	uint32_t owner; /* uid */
	uint32_t next_free; /* index + 1, or 0: the last one */
	uint8_t digest[CHALLENGE_DIGEST_SIZE];
	uint8_t signature[CHALLENGE_SIGNATURE_SIZE];
	char name[SLOT_NAME_SIZE]; /* the identifier's value, zero up to the end */
	uint8_t name_length;
	uint8_t state;
	uint8_t reserved;
};

/* Constant while the table exists. */
struct slots_constants {
	uint64_t magic;
	uint32_t version; /* STEER_ABI_VERSION */
	uint32_t slot_size;
	uint32_t slot_count;
	uint32_t checksum;
	uint64_t hash_key[2];
	struct challenge_key key;
	uint8_t reserved[7];
};

/* Changed by the holder of the lock.  slots_reset() rebuilds all of it. */
struct slots_state {
	_Atomic uint32_t unclean; /* a writer holds the lock, or died with it */
	_Atomic uint32_t last_sequence;
	_Atomic uint32_t high_water;
	_Atomic uint32_t used; /* slots in use */
	_Atomic uint32_t first_free; /* index + 1, or 0: none */
	_Atomic uint32_t sweep_hand; /* index of the slot to look at next */
	_Atomic uint32_t armed_count; /* names not withdrawn and not yet found expired */
	_Atomic uint32_t reserved;
	_Atomic uint64_t grace_until_ns; /* no withdrawn name stays armed longer */
	_Atomic uint64_t earliest_expiry_ns; /* a sweep finds nothing before */
};

struct slots {
	int fd; /* the lock's; -1 for readers */
	struct slots_constants constants; /* copied and checked when opening */
	struct slots_state *state;
	struct mapping mapping;
};

/* As challenge_table_create(). */
int slots_create(const char *path, gid_t group, uint32_t slot_count, uint64_t ret_hash_key[2]);

/* As challenge_table_check(). */
int slots_check(const char *path, uint32_t slot_count, uint64_t ret_hash_key[2]);

/* 0, -EPROTO when the file is not a table of this version, or -errno. */
int slots_open(struct slots *slots, const char *path, bool writable);
void slots_done(struct slots *slots);

/*
 * Become the only writer. 0: the table is in order; 1: locked, but call slots_reset(), because the
 * last writer died with the lock; -ESTALE: another file has replaced this one; -EBADMSG: the file
 * is truncated; -ETIMEDOUT: another process holds the lock for too long; or -errno.
 */
int slots_lock(struct slots *slots);

/* `clean`: the table is in order. */
void slots_unlock(struct slots *slots, bool clean);

/* Slots below this index may be read. */
uint32_t slots_high_water(const struct slots *slots);

/*
 * Copy a slot, without the lock.  -EAGAIN: it is being written; -EBADMSG: it is
 * damaged, or there is no such slot.
 */
int slots_read(const struct slots *slots, uint32_t index, struct slot *ret_slot);

/* --- with the lock held -------------------------------------------------------- */

/* Store a slot and set its sequence.  -EBADMSG: the file is damaged. */
int slots_write(struct slots *slots, uint32_t index, struct slot *slot);

/* Take a free slot for slots_write().  -ENOSPC: none is free; -EBADMSG: call slots_reset() first. */
int slots_take(struct slots *slots, uint32_t *ret_index);

/* Free a slot.  When no slot is in use any more, the file's memory is freed, too. */
void slots_give_back(struct slots *slots, uint32_t index);

/*
 * Rebuild struct slots_state: a slot without a bit in `kept` is free (the lowest bit of the first
 * byte is that of slot 0).
 */
void slots_reset(struct slots *slots, const uint8_t *kept);

#endif
