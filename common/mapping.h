/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A shared mapping of a file that other processes may truncate. An access to a missing page raises
 * SIGBUS. Here that does not end the process: the whole mapping becomes zeros and counts as lost.
 */
#ifndef MAPPING_H
#define MAPPING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct mapping {
	void *base;
	size_t size;
	int protection;
	atomic_bool lost;
};

/*
 * Map `size` bytes of `fd`, which the caller keeps and may close. `mapping` must not move before
 * mapping_done(). 0; -EMFILE: the process has too many of these mappings; or -errno.
 */
int mapping_init(struct mapping *mapping, int fd, size_t size, bool writable);
void mapping_done(struct mapping *mapping);

/* Were accesses lost since the last call?  Then reads may have seen zeros, and writes are gone. */
bool mapping_is_lost(const struct mapping *mapping);

#endif
