// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/pins.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/steer_abi.h"
#include "common/log.h"
#include "common/paths.h"

/* How long a map lasts. */
enum purpose {
	TABLE, /* the agent's: as long as the challenge table */
	CONNECTIONS, /* those on their way: as long as the programs fit */
	QUEUE, /* what one responder has for its successor, and for nobody later */
	CONFIGURATION, /* a responder's own, and frozen: each makes new ones */
};

/*
 * Who may do what: the agent's group writes what arms names and reads the counters, the responder
 * writes the heartbeat, the monitor marks and removes flows.  What is frozen only programs write, in
 * whatever process a descriptor of it may be.
 */
static const struct pinned_map {
	const char *map, *file;
	enum purpose purpose;
	bool frozen;
	mode_t mode;
} pinned_maps[] = {
	{"challenges", STEER_PIN_CHALLENGES, TABLE, false, 0660},
	{"armed", STEER_PIN_ARMED, TABLE, false, 0660},
	{"counters", STEER_PIN_COUNTERS, TABLE, true, 0640},
	{"heartbeat", STEER_PIN_HEARTBEAT, CONNECTIONS, false, 0600},
	{"flows", "flows", CONNECTIONS, false, 0600},
	{"streams", "streams", CONNECTIONS, true, 0600},
	{"held", "held", CONNECTIONS, true, 0600},
	{"scratches", "scratches", CONNECTIONS, true, 0600},
	/* libbpf from 1.6 on maps it when it loads, and could not if it was frozen. */
	{".bss", "syn_marks", CONNECTIONS, false, 0600},
	{"adoptions", "adoptions", QUEUE, false, 0600},
	{"addresses", "addresses", CONFIGURATION, true, 0600},
	{"listeners", "listeners", CONFIGURATION, true, 0600}, /* the assign takeover's */
	/* The last, for it speaks for all of them. */
	{"control_map", STEER_PIN_CONTROL, CONFIGURATION, true, 0600},
};

#define PINNED_MAPS (sizeof(pinned_maps) / sizeof(pinned_maps[0]))

/* --- single pins ----------------------------------------------------------------- */

static void pin_path(char ret_path[PATH_MAX], const struct paths *paths, const char *name)
{
	snprintf(ret_path, PATH_MAX, "%s/%s", paths->pins, name);
}

bool pins_has(const struct paths *paths, const char *name)
{
	char path[PATH_MAX];

	pin_path(path, paths, name);
	return !access(path, F_OK);
}

int pins_get(const struct paths *paths, const char *name)
{
	char path[PATH_MAX];
	int fd;

	pin_path(path, paths, name);
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

int pins_put(const struct paths *paths, const char *name, int fd)
{
	char path[PATH_MAX], next[PATH_MAX];
	int err;

	pin_path(path, paths, name);
	pin_path(next, paths, "next");
	unlink(next);
	err = bpf_obj_pin(fd, next);
	if (!err && rename(next, path)) {
		err = -errno;
		unlink(next);
	}
	return err;
}

int pins_drop(const struct paths *paths, const char *name)
{
	char path[PATH_MAX];

	pin_path(path, paths, name);
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

int *pins_numbers(const struct paths *paths, const char *prefix)
{
	DIR *directory = opendir(paths->pins);
	size_t length = strlen(prefix), count = 0, capacity = 0;
	int *numbers = NULL;
	bool more = true;

	if (!directory)
		return NULL;
	while (more) {
		const struct dirent *entry = readdir(directory);

		if (count == capacity) {
			int *grown;

			capacity += 64;
			grown = reallocarray(numbers, capacity, sizeof(*numbers));
			if (!grown) {
				free(numbers);
				numbers = NULL;
				break;
			}
			numbers = grown;
		}
		if (!entry)
			more = false;
		else if (strncmp(entry->d_name, prefix, length) == 0 &&
			 entry->d_name[length] >= '1' && entry->d_name[length] <= '9')
			numbers[count++] = atoi(entry->d_name + length);
	}
	if (numbers)
		numbers[count] = -1;
	closedir(directory);
	return numbers;
}

/* --- the bpffs ------------------------------------------------------------------- */

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == BPF_FS_MAGIC;
}

int pins_mount(const struct paths *paths)
{
	int err;

	if (mkdir(paths->pins, 0750) && errno != EEXIST) {
		err = -errno;
		log_error("cannot make %s: %s", paths->pins, strerror(errno));
		return err;
	}
	if (!is_bpffs(paths->pins) &&
	    mount("bpf", paths->pins, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0750")) {
		err = -errno;
		log_error("cannot mount a bpffs at %s: %s; start as root, outside of containers "
			  "that may not mount",
			  paths->pins, strerror(errno));
		return err;
	}
	return 0;
}

/* Unpin all, or all that only steering needs.  Links detach with that. */
static void unpin(const struct paths *paths, bool table_too)
{
	DIR *directory = opendir(paths->pins);
	const struct dirent *entry;

	if (!directory) {
		log_warning("cannot list %s: %s", paths->pins, strerror(errno));
		return;
	}
	while ((entry = readdir(directory))) {
		bool is_pin = !strchr(entry->d_name, '.'); /* the kernel's own have one */
		bool is_table = false;

		for (size_t i = 0; i < PINNED_MAPS; i++)
			is_table |= pinned_maps[i].purpose == TABLE &&
				    strcmp(entry->d_name, pinned_maps[i].file) == 0;
		if (!is_pin || (is_table && !table_too))
			continue;
		if (unlinkat(dirfd(directory), entry->d_name, 0) && errno != ENOENT)
			log_warning("cannot unpin %s/%s: %s", paths->pins, entry->d_name,
				    strerror(errno));
	}
	closedir(directory);
}

int pins_remove(const struct paths *paths)
{
	int err;

	if (!is_bpffs(paths->pins))
		return 0;
	unpin(paths, true);
	if (umount(paths->pins) || rmdir(paths->pins)) {
		err = -errno;
		log_error("cannot unmount and remove %s: %s", paths->pins, strerror(errno));
		return err;
	}
	return 0;
}

/* --- maps ------------------------------------------------------------------------ */

/* NULL: the takeover of `object` has no such map. */
static struct bpf_map *find_map(const struct bpf_object *object, const struct pinned_map *pinned)
{
	return bpf_object__find_map_by_name(object, pinned->map);
}

/* Is the pinned map what this build would make? */
static bool is_alike(int fd, const struct bpf_map *map)
{
	struct bpf_map_info info = {0};
	__u32 size = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &size) && info.type == bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) &&
	       info.value_size == bpf_map__value_size(map) &&
	       info.max_entries == bpf_map__max_entries(map) &&
	       info.map_flags == bpf_map__map_flags(map);
}

/* Do all pins of this purpose stand, and fit this build? */
static bool fit(const struct paths *paths, enum purpose purpose, const struct bpf_object *object)
{
	for (size_t i = 0; i < PINNED_MAPS; i++) {
		const struct bpf_map *map = find_map(object, &pinned_maps[i]);
		bool alike;
		int fd;

		if (pinned_maps[i].purpose != purpose || !map)
			continue;
		fd = pins_get(paths, pinned_maps[i].file);
		if (fd < 0)
			return false;
		alike = is_alike(fd, map);
		close(fd);
		if (!alike)
			return false;
	}
	return true;
}

/* What the pinned control map says; all zero when there is none of this ABI. */
static struct steer_control read_control(const struct paths *paths)
{
	struct steer_control control = {0};
	struct bpf_map_info info = {0};
	__u32 size = sizeof(info), zero = 0;
	int fd = pins_get(paths, STEER_PIN_CONTROL);

	if (fd < 0)
		return control;
	if (bpf_obj_get_info_by_fd(fd, &info, &size) || info.value_size != sizeof(control) ||
	    bpf_map_lookup_elem(fd, &zero, &control) || control.abi_version != STEER_ABI_VERSION)
		control = (struct steer_control){0};
	close(fd);
	return control;
}

uint64_t pins_netns(const struct paths *paths)
{
	return read_control(paths).netns;
}

/* Make one map as the object defines it.  Its descriptor, or -errno, logged. */
static int make_map(const struct pinned_map *pinned, const struct bpf_map *map)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = bpf_map__map_flags(map));
	int fd;

	/* libbpf names its map after the one it is made to use: so both have one name. */
	fd = bpf_map_create(bpf_map__type(map), bpf_map__name(map), bpf_map__key_size(map),
			    bpf_map__value_size(map), bpf_map__max_entries(map), &opts);
	if (fd < 0)
		log_error("cannot make the BPF map %s: %s", pinned->file, strerror(-fd));
	return fd;
}

static int pin_map(const struct paths *paths, const struct pinned_map *pinned, int fd)
{
	int err = pins_put(paths, pinned->file, fd);

	if (err)
		log_error("cannot pin %s/%s: %s", paths->pins, pinned->file, strerror(-err));
	return err;
}

static int freeze(const struct pinned_map *pinned, int fd)
{
	int err = pinned->frozen && bpf_map_freeze(fd) ? -errno : 0;

	if (err)
		log_error("cannot freeze the BPF map %s: %s", pinned->file, strerror(-err));
	return err;
}

/* A new map for the object.  With what is configured the caller is to go on. */
static int use_new(const struct paths *paths, const struct pinned_map *pinned, struct bpf_map *map)
{
	int err = 0, fd = make_map(pinned, map);

	if (fd < 0)
		return fd;
	if (pinned->purpose != CONFIGURATION)
		err = freeze(pinned, fd);
	if (!err && pinned->purpose != CONFIGURATION)
		err = pin_map(paths, pinned, fd);
	if (!err)
		err = bpf_map__reuse_fd(map, fd);
	close(fd);
	return err;
}

static int use_pinned(const struct paths *paths, const struct pinned_map *pinned,
		      struct bpf_map *map)
{
	int err, fd = pins_get(paths, pinned->file);

	err = fd < 0 ? fd : bpf_map__reuse_fd(map, fd);
	if (fd >= 0)
		close(fd);
	if (err)
		log_error("cannot use the map pinned at %s/%s: %s", paths->pins, pinned->file,
			  strerror(-err));
	return err;
}

/* Give `object` the maps of one purpose: the pinned ones, or new ones.  0 or -errno, logged. */
static int open_maps(const struct paths *paths, enum purpose purpose, bool reuse,
		     const struct bpf_object *object)
{
	for (size_t i = 0; i < PINNED_MAPS; i++) {
		struct bpf_map *map = find_map(object, &pinned_maps[i]);
		int err;

		if (pinned_maps[i].purpose != purpose || !map)
			continue;
		err = reuse ? use_pinned(paths, &pinned_maps[i], map)
			    : use_new(paths, &pinned_maps[i], map);
		if (err)
			return err;
	}
	return 0;
}

int pins_freeze_configuration(const struct bpf_object *object)
{
	int err = 0;

	for (size_t i = 0; !err && i < PINNED_MAPS; i++) {
		const struct bpf_map *map = find_map(object, &pinned_maps[i]);

		if (pinned_maps[i].purpose == CONFIGURATION && map)
			err = freeze(&pinned_maps[i], bpf_map__fd(map));
	}
	return err;
}

static int give(const char *path, gid_t group, mode_t mode)
{
	int err;

	if (!chown(path, 0, group) && !chmod(path, mode))
		return 0;
	err = -errno;
	log_error("cannot give %s to group %u: %s", path, group, strerror(errno));
	return err;
}

/* The rights of the agent's group, which another start may have changed. */
static int give_to_group(const struct paths *paths, gid_t group)
{
	int err = give(paths->pins, group, 0750);
	char path[PATH_MAX];

	for (size_t i = 0; !err && i < PINNED_MAPS; i++) {
		if (pinned_maps[i].purpose != TABLE)
			continue;
		pin_path(path, paths, pinned_maps[i].file);
		err = give(path, group, pinned_maps[i].mode);
	}
	return err;
}

bool pins_fit_table(const struct paths *paths, const uint64_t hash_key[2],
		    const struct bpf_object *object)
{
	struct steer_control control = read_control(paths);

	return control.abi_version && fit(paths, TABLE, object) &&
	       !memcmp(control.hash_key, hash_key, sizeof(control.hash_key));
}

int pins_open_table(const struct paths *paths, bool reuse, const struct bpf_object *object)
{
	if (!reuse)
		unpin(paths, true);
	return open_maps(paths, TABLE, reuse, object);
}

bool pins_fit_steering(const struct paths *paths, uint64_t netns, const struct bpf_object *object)
{
	return pins_netns(paths) == netns && fit(paths, CONNECTIONS, object) &&
	       fit(paths, QUEUE, object) && fit(paths, CONFIGURATION, object);
}

int pins_open_steering(const struct paths *paths, enum pins_reuse reuse,
		       const struct bpf_object *object)
{
	int err;

	if (reuse == PINS_NONE)
		unpin(paths, false);
	err = open_maps(paths, CONNECTIONS, reuse >= PINS_CONNECTIONS, object);
	return err ? err : open_maps(paths, QUEUE, reuse == PINS_RUNNING, object);
}

int pins_make_configuration(const struct paths *paths, const struct bpf_object *object)
{
	return open_maps(paths, CONFIGURATION, false, object);
}

int pins_put_configuration(const struct paths *paths, const struct bpf_object *object, gid_t group)
{
	int err = give_to_group(paths, group);

	for (size_t i = 0; !err && i < PINNED_MAPS; i++) {
		const struct bpf_map *map = find_map(object, &pinned_maps[i]);

		if (pinned_maps[i].purpose == CONFIGURATION && map)
			err = pin_map(paths, &pinned_maps[i], bpf_map__fd(map));
	}
	return err;
}

int pins_use_running(const struct paths *paths, const struct bpf_object *object)
{
	int err = open_maps(paths, TABLE, true, object);

	if (!err)
		err = pins_open_steering(paths, PINS_RUNNING, object);
	return err ? err : open_maps(paths, CONFIGURATION, true, object);
}
