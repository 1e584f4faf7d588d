/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening the pinned BPF maps of an instance. */
#ifndef MAPS_H
#define MAPS_H

#include <stdbool.h>
#include <stdint.h>

struct paths;

struct map_shape {
	const char *pin; /* STEER_PIN_... */
	uint32_t type; /* enum bpf_map_type */
	uint32_t key_size;
	uint32_t value_size;
};

/*
 * Open the map pinned as shape->pin. The kernel copies as many bytes as the map defines, so this
 * refuses a map of another shape: -EPROTO. Returns the descriptor, close-on-exec, or -errno:
 * -ENOENT not pinned, -EACCES not allowed.
 */
int map_open(const struct paths *paths, const struct map_shape *shape, bool writable);

#endif
