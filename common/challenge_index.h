/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The kernel's half of the challenge table: the pinned maps "challenges", from a name to its slot,
 * and "armed".
 */
#ifndef CHALLENGE_INDEX_H
#define CHALLENGE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/steer_abi.h"

struct paths;

struct challenge_index {
	uint64_t hash_key[2];
	int challenges; /* descriptors */
	int armed; /* -1 for readers */
};

/*
 * Errors as map_open(). All functions below return -EOPNOTSUPP when the kernel does not let this
 * process use maps: before Linux 5.19 that needs CAP_BPF.
 */
int index_open(struct challenge_index *ret_index, const struct paths *paths,
	       const uint64_t hash_key[2], bool writable);
void index_done(struct challenge_index *index);

/*
 * The key of a TLS server name, in any case, without the trailing dot. `length` is at most
 * NAME_LENGTH_MAX.
 */
uint64_t index_key(const struct challenge_index *index, const char *server_name, size_t length);

/* 0, -ENOENT or -errno. */
int index_find(const struct challenge_index *index, uint64_t key,
	       struct steer_challenge *ret_entry);

/* 0, -ENOSPC when the map is full, or -errno. */
int index_put(const struct challenge_index *index, uint64_t key,
	      const struct steer_challenge *entry);

/* 0, also when there is none; or -errno. */
int index_remove(const struct challenge_index *index, uint64_t key);

/* Call `visit` for each entry; it may remove the entry.  0 or -errno. */
int index_walk(const struct challenge_index *index,
	       void (*visit)(void *context, uint64_t key, const struct steer_challenge *entry),
	       void *context);

/* Keep the classifier awake at least until `until_ns` (raise), or exactly until then (set). */
int index_raise_armed(const struct challenge_index *index, uint64_t until_ns);
int index_set_armed(const struct challenge_index *index, uint64_t until_ns);

#endif
