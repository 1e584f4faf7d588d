/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The instance's bpffs and the maps pinned in it, by which the agent reaches
 * what the responder loaded, and by which armed names outlive a responder.
 * Used by steer.c only.
 */
#ifndef PINS_H
#define PINS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct bpf_object;
struct paths;

/* Mount a bpffs at paths->pins unless one is there; group `group` may enter.  0 or -errno, logged. */
int pins_mount(const struct paths *paths, gid_t group);

/*
 * Give the maps that outlive a responder to `object`, which is opened and not
 * yet loaded: pinned ones when they are of this ABI and of this challenge
 * table (they know its hash key), else new ones.  0 or -errno, logged.
 */
int pins_open_maps(const struct paths *paths, gid_t group, const uint64_t hash_key[2],
		   struct bpf_object *object);

/* Unpin all maps and unmount the bpffs.  0 or -errno, logged. */
int pins_remove(const struct paths *paths);

#endif
