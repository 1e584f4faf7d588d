// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/challenge_index.h"

#include <assert.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <unistd.h>

#include "bpf/name_hash.h"
#include "common/maps.h"

#define BATCH_SIZE 512

_Static_assert(sizeof(struct steer_challenge) == 16, "map value");

static const __u32 armed_key;

/*
 * Before Linux 5.19 the kernel refuses the system call to a process without CAP_BPF (unless
 * kernel.unprivileged_bpf_disabled is 0), whatever descriptors it holds: -EOPNOTSUPP.
 */
static int index_error(void)
{
	return errno == EPERM ? -EOPNOTSUPP : -errno;
}

int index_open(struct challenge_index *ret_index, const struct paths *paths,
	       const uint64_t hash_key[2], bool writable)
{
	static const struct map_shape challenges = {STEER_PIN_CHALLENGES, BPF_MAP_TYPE_HASH,
						    sizeof(__u64), sizeof(struct steer_challenge)};
	static const struct map_shape armed = {STEER_PIN_ARMED, BPF_MAP_TYPE_ARRAY, sizeof(__u32),
					       sizeof(struct steer_armed)};
	struct challenge_index index = {.hash_key = {hash_key[0], hash_key[1]}, .armed = -1};

	index.challenges = map_open(paths, &challenges, writable);
	if (index.challenges < 0)
		return index.challenges;
	if (writable) {
		index.armed = map_open(paths, &armed, true);
		if (index.armed < 0) {
			close(index.challenges);
			return index.armed;
		}
	}
	*ret_index = index;
	return 0;
}

void index_done(struct challenge_index *index)
{
	if (index->armed >= 0)
		close(index->armed);
	close(index->challenges);
}

uint64_t index_key(const struct challenge_index *index, const char *server_name, size_t length)
{
	const __u64 key[2] = {index->hash_key[0], index->hash_key[1]};
	__u64 name[NAME_BUFFER_SIZE / sizeof(__u64)] = {0};

	assert(length <= NAME_LENGTH_MAX);
	memcpy(name, server_name, length);
	name_to_lower(name);
	return name_hash(key, name);
}

int index_find(const struct challenge_index *index, uint64_t key, struct steer_challenge *ret_entry)
{
	return bpf_map_lookup_elem(index->challenges, &key, ret_entry) ? index_error() : 0;
}

int index_put(const struct challenge_index *index, uint64_t key,
	      const struct steer_challenge *entry)
{
	if (bpf_map_update_elem(index->challenges, &key, entry, BPF_ANY) == 0)
		return 0;
	return errno == E2BIG ? -ENOSPC : index_error();
}

int index_remove(const struct challenge_index *index, uint64_t key)
{
	return bpf_map_delete_elem(index->challenges, &key) && errno != ENOENT ? index_error() : 0;
}

/* Reads whole hash buckets at a time (BPF_MAP_LOOKUP_BATCH, Linux 5.6). */
int index_walk(const struct challenge_index *index,
	       void (*visit)(void *context, uint64_t key, const struct steer_challenge *entry),
	       void *context)
{
	struct steer_challenge entries[BATCH_SIZE] = {0};
	uint64_t keys[BATCH_SIZE] = {0};
	__u32 bucket, count, i;
	void *start = NULL;
	int err = 0;

	while (!err) {
		count = BATCH_SIZE;
		if (bpf_map_lookup_batch(index->challenges, start, &bucket, keys, entries, &count,
					 NULL))
			err = index_error();
		/* The kernel reports ENOENT with the last batch. */
		if (err && err != -ENOENT)
			return err;
		for (i = 0; i < count; i++)
			visit(context, keys[i], &entries[i]);
		start = &bucket;
	}
	return 0;
}

int index_raise_armed(const struct challenge_index *index, uint64_t until_ns)
{
	struct steer_armed old;

	if (bpf_map_lookup_elem(index->armed, &armed_key, &old))
		return index_error();
	return old.until_ns >= until_ns ? 0 : index_set_armed(index, until_ns);
}

int index_set_armed(const struct challenge_index *index, uint64_t until_ns)
{
	const struct steer_armed armed = {.until_ns = until_ns};

	return bpf_map_update_elem(index->armed, &armed_key, &armed, BPF_ANY) ? index_error() : 0;
}
