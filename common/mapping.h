/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A shared mapping of a file that others may truncate.  Touching a page that
 * the file no longer has raises SIGBUS; here that does not end the process:
 * the mapping turns into zeros, and into a lost one.
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
 * Map `size` bytes of `fd`, which the caller keeps and may close.  `mapping` must
 * stay where it is until mapping_done().  0, -EMFILE when the process has too
 * many of them, or -errno.
 */
int mapping_init(struct mapping *mapping, int fd, size_t size, bool writable);
void mapping_done(struct mapping *mapping);

/* Whether what was read since the last asking may be zeros, and what was written lost. */
bool mapping_is_lost(const struct mapping *mapping);

#endif
