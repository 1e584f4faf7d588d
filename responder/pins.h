/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The bpffs of the instance and its pins. Through the pinned maps the agent reaches the responder's
 * programs, and armed names outlive the responder. Pinned programs and links outlive it, too, and
 * the next responder takes them over.
 */
#ifndef RESPONDER_PINS_H
#define RESPONDER_PINS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct bpf_object;
struct paths;

/* Mount a bpffs at paths->pins unless one is there.  0 or -errno, logged. */
int pins_mount(const struct paths *paths);

/*
 * The maps that the agent uses: are the pinned ones of this ABI, and of the challenge table
 * with this hash key?  Then reuse them; else all pins go, and new ones are made.
 * `object` is opened and not yet loaded.  0 or -errno, logged.
 */
bool pins_fit_table(const struct paths *paths, const uint64_t hash_key[2],
		    const struct bpf_object *object);
int pins_open_table(const struct paths *paths, bool reuse, const struct bpf_object *object);

/*
 * Those that connections on their way need, after those: do the pinned ones fit this build, and
 * belong to this network namespace (its inode)?  Then they can be reused.  0 or -errno, logged.
 */
enum pins_reuse {
	PINS_NONE, /* all maps are created, and all other pins removed */
	PINS_CONNECTIONS, /* after a responder's death */
	PINS_RUNNING, /* of a responder that runs */
};
bool pins_fit_steering(const struct paths *paths, uint64_t netns, const struct bpf_object *object);
int pins_open_steering(const struct paths *paths, enum pins_reuse reuse,
		       const struct bpf_object *object);

/*
 * Make the maps that configure the programs, for the caller to fill.  They replace the pinned ones,
 * if any, only by pins_put_configuration(), which also gives the agent's maps to group `group`:
 * until then nothing has changed for a responder that runs.  0 or -errno, logged.
 */
int pins_make_configuration(const struct paths *paths, const struct bpf_object *object);
int pins_put_configuration(const struct paths *paths, const struct bpf_object *object, gid_t group);

/* They are filled: nobody in user space can write them from now on.  0 or -errno, logged. */
int pins_freeze_configuration(const struct bpf_object *object);

/* Give all maps to `object` as the running responder uses them; they must fit.  0 or -errno, logged. */
int pins_use_running(const struct paths *paths, const struct bpf_object *object);

/* Is something pinned in this name? */
bool pins_has(const struct paths *paths, const char *name);

/* The object pinned in this name: a descriptor of the caller's, or -errno. */
int pins_get(const struct paths *paths, const char *name);

/* Pin in this name, at once in the place of what was pinned in it before.  0 or -errno. */
int pins_put(const struct paths *paths, const char *name, int fd);

/* Unpin, which for a link is to detach it.  Nothing there is fine.  0 or -errno. */
int pins_drop(const struct paths *paths, const char *name);

/* The numbers N of the pins `prefix`N, ended by -1; to be freed.  NULL: with errno. */
int *pins_numbers(const struct paths *paths, const char *prefix);

/* The network namespace (inode) that the pinned maps belong to; 0: none. */
uint64_t pins_netns(const struct paths *paths);

/* Unpin all and unmount the bpffs.  0 or -errno, logged. */
int pins_remove(const struct paths *paths);

#endif
