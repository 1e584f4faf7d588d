// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/challenge_slots.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/steer_abi.h"
#include "common/file_lock.h"
#include "common/random.h"
#include "common/shared_file.h"

#define TABLE_MAGIC 0x5349444553544550ULL /* "SIDESTEP" */
/* Memory is allocated for this many slots at once: whole pages, and fewer system calls. */
#define FILE_MODE     0660
#define SLOTS_AT_ONCE 32
/* A holder keeps the lock for microseconds, or for milliseconds to repair a large table. */
#define LOCK_PATIENCE_MS 10000
#define SLOT_WORDS       (SLOT_SIZE / sizeof(uint32_t))

/*
 * A slot in the file: atomic words, so that C defines what happens when one process copies a slot
 * while another writes it (C11 section 5.1.2.4).
 */
struct shared_slot {
	_Atomic uint32_t words[SLOT_WORDS]; /* words[0]: the sequence */
};

_Static_assert(SLOTS_MAX == STEER_CHALLENGES_MAX, "one slot for each map entry");
_Static_assert(sizeof(struct slot) == SLOT_SIZE, "slot size");
_Static_assert(SLOTS_HEADER_SIZE % 4096 == 0 && SLOTS_AT_ONCE * SLOT_SIZE % 4096 == 0,
	       "no page belongs to slots of two allocations");
_Static_assert(sizeof(struct shared_slot) == SLOT_SIZE, "shared slot size");
_Static_assert(offsetof(struct slot, sequence) == 0, "the sequence is the first word");
_Static_assert(offsetof(struct slot, checksum) == 4, "slot layout");
_Static_assert(offsetof(struct slot, expires_ns) == 8, "slot layout");
_Static_assert(offsetof(struct slot, ttl_s) == 16, "slot layout");
_Static_assert(offsetof(struct slot, next_free) == 28, "slot layout");
_Static_assert(offsetof(struct slot, digest) == 32, "slot layout");
_Static_assert(offsetof(struct slot, signature) == 64, "slot layout");
_Static_assert(offsetof(struct slot, name) == 128, "slot layout");
_Static_assert(offsetof(struct slot, name_length) == 381, "slot layout");
_Static_assert(sizeof(struct slots_constants) == 144, "header layout");
_Static_assert(offsetof(struct slots_constants, hash_key) == 24, "header layout");
_Static_assert(offsetof(struct slots_constants, key) == 40, "header layout");
_Static_assert(sizeof(struct slots_constants) <= SLOTS_STATE_OFFSET, "header layout");
_Static_assert(sizeof(struct slots_state) == 48, "header layout");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2,
	       "atomics that work between processes");

/* FNV-1a over words: detects damage and torn copies, not forgery. */
static uint32_t checksum_add(uint32_t sum, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	uint32_t word;

	for (; size; at += sizeof(word), size -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sum = (sum ^ word) * 16777619u;
	}
	return sum;
}

/* The checksum covers the index, so that one slot cannot pass for another. */
static uint32_t slot_checksum(const struct slot *slot, uint32_t index)
{
	size_t start = offsetof(struct slot, expires_ns);
	uint32_t sum = 2166136261u;

	sum = checksum_add(sum, &index, sizeof(index));
	sum = checksum_add(sum, &slot->sequence, sizeof(slot->sequence));
	return checksum_add(sum, (const uint8_t *)slot + start, SLOT_SIZE - start);
}

static uint32_t constants_checksum(const struct slots_constants *constants)
{
	struct slots_constants copy = *constants;

	copy.checksum = 0;
	return checksum_add(2166136261u, &copy, sizeof(copy));
}

static size_t slot_offset(uint32_t index)
{
	return SLOTS_HEADER_SIZE + (size_t)index * SLOT_SIZE;
}

static struct shared_slot *slot_at(const struct slots *slots, uint32_t index)
{
	return (struct shared_slot *)((char *)slots->mapping.base + slot_offset(index));
}

/* --- the file ------------------------------------------------------------------ */

/* Read and check the constants of an open table.  0, -EPROTO or -errno. */
static int read_constants(int fd, struct slots_constants *ret_constants)
{
	struct slots_constants constants;
	struct stat status;
	ssize_t size;

	if (fstat(fd, &status))
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EPROTO;
	size = pread(fd, &constants, sizeof(constants), 0);
	if (size < 0)
		return -errno;
	if (size != sizeof(constants) || constants.magic != TABLE_MAGIC ||
	    constants.version != STEER_ABI_VERSION || constants.slot_size != SLOT_SIZE ||
	    constants.slot_count == 0 || constants.slot_count > SLOTS_MAX ||
	    constants.checksum != constants_checksum(&constants) ||
	    (size_t)status.st_size != slot_offset(constants.slot_count))
		return -EPROTO;
	*ret_constants = constants;
	return 0;
}

/* Open a table of the right size.  -ENOENT: there is none; -EPROTO: it is different; or -errno. */
static int open_fitting(const char *path, uint32_t slot_count, uint64_t ret_hash_key[2])
{
	struct slots_constants constants;
	int fd, err;

	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	err = read_constants(fd, &constants);
	if (!err && constants.slot_count != slot_count)
		err = -EPROTO;
	if (err) {
		close(fd);
		return err;
	}
	memcpy(ret_hash_key, constants.hash_key, sizeof(constants.hash_key));
	return fd;
}

int slots_check(const char *path, uint32_t slot_count, uint64_t ret_hash_key[2])
{
	int fd = open_fitting(path, slot_count, ret_hash_key);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* 0 when a table of the right size exists; sets its group to `group`. */
static int keep(const char *path, gid_t group, uint32_t slot_count, uint64_t ret_hash_key[2])
{
	int err, fd = open_fitting(path, slot_count, ret_hash_key);

	if (fd < 0)
		return fd;
	err = shared_file_give(fd, group, FILE_MODE);
	close(fd);
	return err;
}

/* The size of a new table, and the hash key that write_table() chooses. */
struct new_table {
	uint32_t slot_count;
	uint64_t hash_key[2];
};

/* Fill an empty file. */
static int write_table(int fd, void *context)
{
	struct new_table *table = context;
	struct slots_constants constants = {.magic = TABLE_MAGIC,
					    .version = STEER_ABI_VERSION,
					    .slot_size = SLOT_SIZE,
					    .slot_count = table->slot_count};
	/* Unclean: the maps may still hold an earlier table's names. */
	struct slots_state state = {.unclean = 1};
	int err;

	if (random_bytes(constants.hash_key, sizeof(constants.hash_key)))
		return -EIO;
	err = challenge_key_generate(&constants.key);
	if (err)
		return err;
	constants.checksum = constants_checksum(&constants);
	if (ftruncate(fd, (off_t)slot_offset(table->slot_count)))
		return -errno;
	errno = ENOSPC; /* of a short write */
	if (pwrite(fd, &constants, sizeof(constants), 0) != sizeof(constants) ||
	    pwrite(fd, &state, sizeof(state), SLOTS_STATE_OFFSET) != sizeof(state))
		return -errno;
	memcpy(table->hash_key, constants.hash_key, sizeof(constants.hash_key));
	return 0;
}

int slots_create(const char *path, gid_t group, uint32_t slot_count, uint64_t ret_hash_key[2])
{
	struct new_table table = {.slot_count = slot_count};
	int err, fd;

	assert(slot_count > 0 && slot_count <= SLOTS_MAX);
	err = keep(path, group, slot_count, table.hash_key);
	if (err == -ENOENT || err == -EPROTO) {
		fd = shared_file_make(path, group, FILE_MODE, write_table, &table);
		err = fd < 0 ? fd : 0;
		if (fd >= 0)
			close(fd);
	}
	if (!err)
		memcpy(ret_hash_key, table.hash_key, sizeof(table.hash_key));
	return err;
}

int slots_open(struct slots *slots, const char *path, bool writable)
{
	int fd, err;

	fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	err = read_constants(fd, &slots->constants);
	if (!err)
		err = mapping_init(&slots->mapping, fd, slot_offset(slots->constants.slot_count),
				   writable);
	/* A reader closes its descriptor, so that it cannot lock the table. */
	if (err || !writable)
		close(fd);
	if (err)
		return err;
	slots->fd = writable ? fd : -1;
	slots->state = (struct slots_state *)((char *)slots->mapping.base + SLOTS_STATE_OFFSET);
	return 0;
}

void slots_done(struct slots *slots)
{
	mapping_done(&slots->mapping);
	if (slots->fd >= 0)
		close(slots->fd);
}

/* --- the lock ------------------------------------------------------------------ */

/* Check that the file still exists and is whole. */
static int check_file(const struct slots *slots)
{
	struct stat status;

	if (fstat(slots->fd, &status))
		return -errno;
	if (status.st_nlink == 0)
		return -ESTALE;
	if ((size_t)status.st_size != slot_offset(slots->constants.slot_count) ||
	    mapping_is_lost(&slots->mapping))
		return -EBADMSG;
	return 0;
}

int slots_lock(struct slots *slots)
{
	uint32_t unclean;
	int err;

	err = file_lock(slots->fd, LOCK_PATIENCE_MS);
	if (err)
		return err;
	err = check_file(slots);
	if (err) {
		flock(slots->fd, LOCK_UN);
		return err;
	}
	unclean = slots->state->unclean;
	slots->state->unclean = 1;
	return unclean != 0;
}

void slots_unlock(struct slots *slots, bool clean)
{
	slots->state->unclean = !clean;
	flock(slots->fd, LOCK_UN);
}

/* --- slots --------------------------------------------------------------------- */

uint32_t slots_high_water(const struct slots *slots)
{
	uint32_t high_water = slots->state->high_water;

	return high_water <= slots->constants.slot_count ? high_water : slots->constants.slot_count;
}

int slots_read(const struct slots *slots, uint32_t index, struct slot *ret_slot)
{
	const struct shared_slot *shared;
	uint32_t words[SLOT_WORDS], before;
	struct slot slot;
	size_t i;

	if (index >= slots_high_water(slots))
		return -EBADMSG;
	shared = slot_at(slots, index);
	before = atomic_load_explicit(&shared->words[0], memory_order_acquire);
	if (before & 1)
		return -EAGAIN;
	words[0] = before;
	for (i = 1; i < SLOT_WORDS; i++)
		words[i] = atomic_load_explicit(&shared->words[i], memory_order_relaxed);
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&shared->words[0], memory_order_relaxed) != before)
		return -EAGAIN;

	memcpy(&slot, words, sizeof(slot));
	if (slot.checksum != slot_checksum(&slot, index) || mapping_is_lost(&slots->mapping))
		return -EBADMSG;
	*ret_slot = slot;
	return 0;
}

int slots_write(struct slots *slots, uint32_t index, struct slot *slot)
{
	struct shared_slot *shared = slot_at(slots, index);
	uint32_t words[SLOT_WORDS];
	size_t i;

	slot->sequence = (slots->state->last_sequence | 1) + 1;
	slot->checksum = slot_checksum(slot, index);
	memcpy(words, slot, sizeof(words));

	slots->state->last_sequence = slot->sequence;
	atomic_store_explicit(&shared->words[0], slot->sequence - 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (i = 1; i < SLOT_WORDS; i++)
		atomic_store_explicit(&shared->words[i], words[i], memory_order_relaxed);
	atomic_store_explicit(&shared->words[0], slot->sequence, memory_order_release);
	return mapping_is_lost(&slots->mapping) ? -EBADMSG : 0;
}

/* --- free slots ---------------------------------------------------------------- */

/* Allocate memory for slots from `first` on.  0 or -errno. */
static int allocate(const struct slots *slots, uint32_t first)
{
	uint32_t count = slots->constants.slot_count - first;

	if (count > SLOTS_AT_ONCE)
		count = SLOTS_AT_ONCE;
	return fallocate(slots->fd, 0, (off_t)slot_offset(first), (off_t)count * SLOT_SIZE) ? -errno
											    : 0;
}

int slots_take(struct slots *slots, uint32_t *ret_index)
{
	uint32_t first = slots->state->first_free, high_water = slots_high_water(slots);
	struct slot slot;

	if (first) {
		if (slots_read(slots, first - 1, &slot) || slot.state != SLOT_FREE)
			return -EBADMSG;
		slots->state->first_free = slot.next_free;
		*ret_index = first - 1;
	} else {
		if (high_water == slots->constants.slot_count)
			return -ENOSPC;
		/* Allocate here: a lack of memory is an error now, and would be a SIGBUS later. */
		if (high_water % SLOTS_AT_ONCE == 0) {
			int err = allocate(slots, high_water);

			if (err)
				return err;
		}
		slots->state->high_water = high_water + 1;
		*ret_index = high_water;
	}
	slots->state->used++;
	return 0;
}

static uint32_t count_used(const struct slots *slots)
{
	uint32_t index = slots_high_water(slots), used = 0;
	struct slot slot;

	while (index--)
		used += slots_read(slots, index, &slot) || slot.state != SLOT_FREE;
	return used;
}

/* No slot is in use: forget all slots and return their memory. */
static void empty(struct slots *slots)
{
	slots->state->used = 0;
	slots->state->first_free = 0;
	slots->state->sweep_hand = 0;
	slots->state->high_water = 0;
	slots->state->earliest_expiry_ns = UINT64_MAX;
	/* A file system that cannot punch holes keeps the memory; nothing else changes. */
	fallocate(slots->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, SLOTS_HEADER_SIZE,
		  (off_t)slots->constants.slot_count * SLOT_SIZE);
}

void slots_give_back(struct slots *slots, uint32_t index)
{
	struct slot slot = {.state = SLOT_FREE, .next_free = slots->state->first_free};
	uint32_t used = slots->state->used;

	slots_write(slots, index, &slot);
	/* Do not drop every slot because of one possibly damaged number. */
	used = used > 1 ? used - 1 : count_used(slots);
	if (!used) {
		empty(slots);
		return;
	}
	slots->state->first_free = index + 1;
	slots->state->used = used;
}

void slots_reset(struct slots *slots, const uint8_t *kept)
{
	uint32_t index = slots_high_water(slots), used = 0;
	struct slot free_slot = {.state = SLOT_FREE};

	/* Start at the end, so that slots_take() takes low slots first. */
	while (index--) {
		if (kept[index / 8] >> index % 8 & 1) {
			used++;
			continue;
		}
		slots_write(slots, index, &free_slot);
		free_slot.next_free = index + 1;
	}
	slots->state->high_water = slots_high_water(slots);
	slots->state->first_free = free_slot.next_free;
	slots->state->sweep_hand = 0;
	slots->state->used = used;
	if (!used)
		empty(slots);
}
