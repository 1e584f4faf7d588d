/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The classifier's counters (enum steer_counter) in user space: their names, their meaning, and
 * their sums over all CPUs.
 */
#ifndef COUNTERS_H
#define COUNTERS_H

#include <stdint.h>

#include "bpf/steer_abi.h"

struct paths;

/* The key of JSON output and metrics, in snake_case; never changes once released. */
const char *steer_counter_name(enum steer_counter counter);

/* The meaning of the counter, as a phrase for people. */
const char *steer_counter_text(enum steer_counter counter);

/*
 * Sum up the pinned map. -ENOENT: no map, because no responder has run; -EACCES: the caller is not
 * in the group; -EPROTO: the map is of another version; or -errno.
 */
int counters_read(const struct paths *paths, uint64_t ret_values[STEER_COUNTERS]);

#endif
