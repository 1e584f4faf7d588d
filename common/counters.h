/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The classifier's counters (enum steer_counter) as user space sees them: their
 * names, what they mean, and their sums over all CPUs.
 */
#ifndef COUNTERS_H
#define COUNTERS_H

#include <stdint.h>

#include "bpf/steer_abi.h"

struct paths;

/* The key of JSON output and metrics, in snake_case; never changes once released. */
const char *steer_counter_name(enum steer_counter counter);

/* What is counted, for people. */
const char *steer_counter_text(enum steer_counter counter);

/*
 * Sum up the pinned map.  -ENOENT: no maps (no responder has run); -EACCES: not
 * in the group; -EPROTO: the map is another version's; or -errno.
 */
int counters_read(const struct paths *paths, uint64_t ret_values[STEER_COUNTERS]);

#endif
