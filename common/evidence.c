// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The file: a page with the header, then buckets of one size, each with a sequence count and some
 * entries. The hash of a name selects the bucket. Buckets that were never written take no memory.
 *
 * The count is odd during a write. A writer locks the bucket, also against other processes, by
 * making the count odd, and holds it for less than a microsecond. A writer that is killed in this
 * moment leaves the bucket locked until the next start.
 */
#include "common/clock.h"
#include "common/evidence.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/name_hash.h"
#include "common/mapping.h"
#include "common/random.h"
#include "common/shared_file.h"

#define EVIDENCE_MAGIC   0x45434e4544495645ULL /* "EVIDENCE" */
#define EVIDENCE_VERSION 1

#define FILE_MODE      0640
#define HEADER_SIZE    4096
#define BUCKET_ENTRIES 8
#define BUCKETS        (EVIDENCE_NAMES_MAX / BUCKET_ENTRIES)
#define LOCK_ATTEMPTS  256
#define READ_ATTEMPTS  64
/* These records stay until the name is armed again. */
#define FIRST_RECORDS (EVIDENCE_RECORDS_MAX / 2)

struct header {
	uint64_t magic;
	uint32_t version;
	uint32_t entry_size;
	uint32_t bucket_count;
	uint32_t reserved;
	uint64_t hash_key[2];
};

struct entry_head {
	uint64_t key; /* name_hash() of the server name; 0: the entry is free */
	uint64_t armed_ns;
	uint64_t visited_ns; /* CLOCK_BOOTTIME of the last record */
	uint32_t counts[EVIDENCE_RESULTS];
	uint32_t unrecorded;
	uint32_t record_count;
	uint32_t reserved[3];
};

#define HEAD_WORDS   (sizeof(struct entry_head) / sizeof(uint64_t))
#define RECORD_WORDS (sizeof(struct evidence_record) / sizeof(uint64_t))

/* In the file: atomic words, so that C defines a read while another process writes. */
struct shared_entry {
	_Atomic uint64_t head[HEAD_WORDS];
	_Atomic uint64_t records[EVIDENCE_RECORDS_MAX][RECORD_WORDS];
};

struct shared_bucket {
	_Atomic uint64_t sequence;
	uint64_t reserved[7];
	struct shared_entry entries[BUCKET_ENTRIES];
};

#define FILE_SIZE (HEADER_SIZE + BUCKETS * sizeof(struct shared_bucket))

_Static_assert(sizeof(struct header) == 40, "header layout");
_Static_assert(sizeof(struct evidence_record) == 48, "record layout");
_Static_assert(offsetof(struct evidence_record, address) == 16, "record layout");
_Static_assert(offsetof(struct evidence_record, result) == 40, "record layout");
_Static_assert(sizeof(struct entry_head) == 64, "entry layout");
_Static_assert(sizeof(struct shared_entry) == 832, "entry layout");
_Static_assert(sizeof(struct shared_bucket) == 6720, "bucket layout");
_Static_assert((BUCKETS & (BUCKETS - 1)) == 0, "a hash chooses a bucket by its low bits");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "atomics that work between processes");

struct evidence {
	struct mapping mapping;
	struct shared_bucket *buckets;
	uint64_t hash_key[2];
};

/* --- the file ------------------------------------------------------------------ */

/* Read and check the header of an open file.  0, -EPROTO or -errno. */
static int read_header(int fd, struct header *ret_header)
{
	struct header header;
	struct stat status;
	ssize_t size;

	if (fstat(fd, &status))
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EPROTO;
	size = pread(fd, &header, sizeof(header), 0);
	if (size < 0)
		return -errno;
	if (size != sizeof(header) || header.magic != EVIDENCE_MAGIC ||
	    header.version != EVIDENCE_VERSION ||
	    header.entry_size != sizeof(struct shared_entry) || header.bucket_count != BUCKETS ||
	    (size_t)status.st_size != FILE_SIZE)
		return -EPROTO;
	*ret_header = header;
	return 0;
}

/* Empty the buckets that a killed writer left locked.  Reading a hole allocates no memory. */
static int open_closed_buckets(int fd)
{
	static const struct shared_bucket empty;
	uint64_t sequence;

	for (off_t at = HEADER_SIZE; at < (off_t)FILE_SIZE; at += (off_t)sizeof(empty)) {
		errno = EPROTO; /* of a short read or write */
		if (pread(fd, &sequence, sizeof(sequence), at) != sizeof(sequence))
			return -errno;
		if (sequence & 1 && pwrite(fd, &empty, sizeof(empty), at) != sizeof(empty))
			return -errno;
	}
	return 0;
}

/* Open a file of this layout.  -ENOENT: there is none; -EPROTO: another layout; or -errno. */
static int open_fitting(const char *path)
{
	struct header header;
	int fd, err;

	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	err = read_header(fd, &header);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

int evidence_check(const char *path)
{
	int fd = open_fitting(path);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* 0 when a file of this layout exists. */
static int keep(const char *path, gid_t group, bool alone)
{
	int err = 0, fd = open_fitting(path);

	if (fd < 0)
		return fd;
	if (alone)
		err = open_closed_buckets(fd);
	if (!err)
		err = shared_file_give(fd, group, FILE_MODE);
	close(fd);
	return err;
}

static int write_header(int fd, void *context)
{
	struct header header = {.magic = EVIDENCE_MAGIC,
				.version = EVIDENCE_VERSION,
				.entry_size = sizeof(struct shared_entry),
				.bucket_count = BUCKETS};

	(void)context;
	if (random_bytes(header.hash_key, sizeof(header.hash_key)))
		return -EIO;
	if (ftruncate(fd, (off_t)FILE_SIZE))
		return -errno;
	errno = ENOSPC; /* of a short write */
	return pwrite(fd, &header, sizeof(header), 0) == sizeof(header) ? 0 : -errno;
}

int evidence_create(const char *path, gid_t group, bool alone)
{
	int err = keep(path, group, alone), fd;

	if (err != -ENOENT && err != -EPROTO)
		return err;
	fd = shared_file_make(path, group, FILE_MODE, write_header, NULL);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int evidence_open(struct evidence **ret_evidence, const char *path, bool writable)
{
	struct evidence *evidence;
	struct header header;
	int fd, err;

	fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	evidence = calloc(1, sizeof(*evidence));
	err = evidence ? read_header(fd, &header) : -ENOMEM;
	if (!err)
		err = mapping_init(&evidence->mapping, fd, FILE_SIZE, writable);
	close(fd);
	if (err) {
		free(evidence);
		return err;
	}
	evidence->buckets = (void *)((char *)evidence->mapping.base + HEADER_SIZE);
	memcpy(evidence->hash_key, header.hash_key, sizeof(header.hash_key));
	*ret_evidence = evidence;
	return 0;
}

void evidence_free(struct evidence *evidence)
{
	if (!evidence)
		return;
	mapping_done(&evidence->mapping);
	free(evidence);
}

bool evidence_is_lost(const struct evidence *evidence)
{
	return mapping_is_lost(&evidence->mapping);
}

/* --- words ---------------------------------------------------------------------- */

static void load(void *ret, const _Atomic uint64_t *words, size_t count)
{
	uint64_t copy[EVIDENCE_RECORDS_MAX];

	for (size_t i = 0; i < count; i++)
		copy[i] = atomic_load_explicit(&words[i], memory_order_relaxed);
	memcpy(ret, copy, count * sizeof(*copy));
}

static void store(_Atomic uint64_t *words, const void *value, size_t count)
{
	uint64_t copy[EVIDENCE_RECORDS_MAX];

	memcpy(copy, value, count * sizeof(*copy));
	for (size_t i = 0; i < count; i++)
		atomic_store_explicit(&words[i], copy[i], memory_order_relaxed);
}

static void load_head(struct entry_head *ret_head, const struct shared_entry *entry)
{
	load(ret_head, entry->head, HEAD_WORDS);
	/* A damaged count must not lead out of the entry. */
	if (ret_head->record_count > EVIDENCE_RECORDS_MAX)
		ret_head->record_count = EVIDENCE_RECORDS_MAX;
}

static void load_record(struct evidence_record *ret_record, const struct shared_entry *entry,
			uint32_t number)
{
	load(ret_record, entry->records[number], RECORD_WORDS);
}

/* --- buckets and entries ---------------------------------------------------------- */

/* Never 0.  A collision becomes likely only with 2^32 names. */
static uint64_t key_of(const struct evidence *evidence, const char *server_name, size_t length)
{
	const __u64 hash_key[2] = {evidence->hash_key[0], evidence->hash_key[1]};
	__u64 name[NAME_BUFFER_SIZE / sizeof(__u64)] = {0};
	uint64_t key;

	if (length && server_name[length - 1] == '.')
		length--;
	memcpy(name, server_name, length < NAME_LENGTH_MAX ? length : NAME_LENGTH_MAX);
	name_to_lower(name);
	key = name_hash(hash_key, name);
	return key ? key : 1;
}

static struct shared_bucket *bucket_of(const struct evidence *evidence, uint64_t key)
{
	return &evidence->buckets[key & (BUCKETS - 1)];
}

/* Lock the bucket for a write; false when another writer keeps it locked. */
static bool lock(struct shared_bucket *bucket, uint64_t *ret_sequence)
{
	uint64_t sequence;

	for (int attempts = 0; attempts < LOCK_ATTEMPTS; attempts++) {
		sequence = atomic_load_explicit(&bucket->sequence, memory_order_relaxed);
		if (sequence & 1 || !atomic_compare_exchange_weak_explicit(
					    &bucket->sequence, &sequence, sequence + 1,
					    memory_order_acquire, memory_order_relaxed))
			continue;
		/* Write no word before the count is odd. */
		atomic_thread_fence(memory_order_release);
		*ret_sequence = sequence;
		return true;
	}
	return false;
}

static void unlock(struct shared_bucket *bucket, uint64_t sequence)
{
	atomic_store_explicit(&bucket->sequence, sequence + 2, memory_order_release);
}

/* Find the entry of this key and its head; if there is none, empty one and take it. */
static struct shared_entry *take_entry(struct shared_bucket *bucket, uint64_t key,
				       struct entry_head *ret_head)
{
	struct shared_entry *oldest = &bucket->entries[0];
	uint64_t oldest_ns = UINT64_MAX;

	for (int i = 0; i < BUCKET_ENTRIES; i++) {
		load_head(ret_head, &bucket->entries[i]);
		if (ret_head->key == key)
			return &bucket->entries[i];
		if (ret_head->visited_ns < oldest_ns) {
			oldest = &bucket->entries[i];
			oldest_ns = ret_head->visited_ns;
		}
	}
	*ret_head = (struct entry_head){.key = key};
	return oldest;
}

/* --- records ---------------------------------------------------------------------- */

static bool is_answer(const struct evidence_record *record)
{
	return record->result == EVIDENCE_ANSWERED;
}

static bool is_of_address(const struct evidence_record *a, const struct evidence_record *b)
{
	return a->ipv6 == b->ipv6 && !memcmp(a->address, b->address, sizeof(a->address));
}

/* One client may own all addresses of a network: an IPv4 /24 or an IPv6 /48. */
static bool is_of_network(const struct evidence_record *a, const struct evidence_record *b)
{
	return a->ipv6 == b->ipv6 && !memcmp(a->address, b->address, a->ipv6 ? 6 : 3);
}

/* The place for a record, perhaps that of an older one; EVIDENCE_RECORDS_MAX: no place. */
struct place {
	uint32_t number;
	struct evidence_record before; /* count 0: none */
};

static void make_older(struct place *oldest, uint32_t number, const struct evidence_record *record)
{
	if (oldest->number == EVIDENCE_RECORDS_MAX || record->at_us < oldest->before.at_us)
		*oldest = (struct place){number, *record};
}

static struct place find_place(const struct shared_entry *entry, uint32_t record_count,
			       const struct evidence_record *record)
{
	struct place late = {.number = EVIDENCE_RECORDS_MAX}, near = late, place;
	uint32_t network_count = 0;

	for (uint32_t number = 0; number < record_count; number++) {
		struct evidence_record other;

		load_record(&other, entry, number);
		if (is_of_address(&other, record) && is_answer(&other) == is_answer(record))
			return (struct place){number, other};
		if (is_of_network(&other, record)) {
			network_count++;
			make_older(&near, number, &other);
		}
		if (number >= FIRST_RECORDS)
			make_older(&late, number, &other);
	}
	if (network_count < EVIDENCE_NETWORK_MAX && record_count < EVIDENCE_RECORDS_MAX)
		return (struct place){.number = record_count};
	place = network_count < EVIDENCE_NETWORK_MAX ? late : near;
	if (place.before.at_us + EVIDENCE_REST_US > record->at_us)
		place.number = EVIDENCE_RECORDS_MAX;
	return place;
}

static void count_up(uint32_t *count, uint32_t by)
{
	*count = *count < UINT32_MAX - by ? *count + by : UINT32_MAX;
}

/* Store the record in its place. */
static void add_record(struct shared_entry *entry, struct entry_head *head,
		       const struct evidence_record *record)
{
	struct place place = find_place(entry, head->record_count, record);
	struct evidence_record added = *record;

	count_up(&head->counts[record->result], 1);
	if (place.number == EVIDENCE_RECORDS_MAX) {
		count_up(&head->unrecorded, 1);
		return;
	}
	added.count = 1;
	if (is_of_address(&place.before, record))
		count_up(&added.count, place.before.count);
	else
		count_up(&head->unrecorded, place.before.count);
	store(entry->records[place.number], &added, RECORD_WORDS);
	if (place.number == head->record_count)
		head->record_count++;
}

/* --- public ------------------------------------------------------------------------- */

void evidence_add(struct evidence *evidence, const char *server_name, size_t length,
		  uint64_t armed_ns, const struct evidence_record *record)
{
	uint64_t key = key_of(evidence, server_name, length), sequence;
	struct shared_bucket *bucket = bucket_of(evidence, key);
	struct shared_entry *entry;
	struct entry_head head;

	if (record->result >= EVIDENCE_RESULTS || !lock(bucket, &sequence))
		return;
	entry = take_entry(bucket, key, &head);
	if (head.armed_ns < armed_ns)
		head = (struct entry_head){.key = key, .armed_ns = armed_ns};
	/* A connection that began before this publishing is no evidence for it. */
	if (head.armed_ns == armed_ns) {
		head.visited_ns = clock_boottime_ns();
		add_record(entry, &head, record);
		store(entry->head, &head, HEAD_WORDS);
	}
	unlock(bucket, sequence);
}

/* Copy the entry from a bucket that others may write meanwhile.  0 or -ENOENT. */
static int copy_entry(const struct shared_bucket *bucket, uint64_t key,
		      struct evidence_of_name *ret_found)
{
	struct entry_head head;

	for (int i = 0; i < BUCKET_ENTRIES; i++) {
		load_head(&head, &bucket->entries[i]);
		if (head.key != key)
			continue;
		ret_found->armed_ns = head.armed_ns;
		memcpy(ret_found->counts, head.counts, sizeof(head.counts));
		ret_found->unrecorded = head.unrecorded;
		ret_found->record_count = head.record_count;
		for (uint32_t number = 0; number < head.record_count; number++)
			load_record(&ret_found->records[number], &bucket->entries[i], number);
		return 0;
	}
	return -ENOENT;
}

static bool is_sound(const struct evidence_of_name *found)
{
	for (uint32_t i = 0; i < found->record_count; i++)
		if (found->records[i].result >= EVIDENCE_RESULTS ||
		    found->records[i].via >= EVIDENCE_VIAS || found->records[i].ipv6 > 1)
			return false;
	return true;
}

int evidence_find(const struct evidence *evidence, const char *server_name, size_t length,
		  struct evidence_of_name *ret_found)
{
	uint64_t key = key_of(evidence, server_name, length), sequence;
	const struct shared_bucket *bucket = bucket_of(evidence, key);
	struct evidence_of_name found = {0};
	int err;

	for (int attempts = 0; attempts < READ_ATTEMPTS; attempts++) {
		sequence = atomic_load_explicit(&bucket->sequence, memory_order_acquire);
		err = sequence & 1 ? -EAGAIN : copy_entry(bucket, key, &found);
		atomic_thread_fence(memory_order_acquire);
		if (err == -EAGAIN ||
		    atomic_load_explicit(&bucket->sequence, memory_order_relaxed) != sequence) {
			sched_yield();
			continue;
		}
		if (evidence_is_lost(evidence) || (!err && !is_sound(&found)))
			return -EBADMSG;
		if (!err)
			*ret_found = found;
		return err;
	}
	return -EAGAIN;
}
