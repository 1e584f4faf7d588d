// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/pins.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
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

/* Who may do what: the agent's group writes what arms names and reads the counters. */
static const struct {
	const char *map, *file;
	mode_t mode;
} pinned_maps[] = {
	{"challenges", STEER_PIN_CHALLENGES, 0660},
	{"armed", STEER_PIN_ARMED, 0660},
	{"counters", STEER_PIN_COUNTERS, 0640},
	{"control_map", STEER_PIN_CONTROL, 0600},
};

#define PINNED_MAPS (sizeof(pinned_maps) / sizeof(pinned_maps[0]))

static void pin_path(char ret_path[PATH_MAX], const struct paths *paths, const char *file)
{
	snprintf(ret_path, PATH_MAX, "%s/%s", paths->pins, file);
}

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == BPF_FS_MAGIC;
}

int pins_mount(const struct paths *paths, gid_t group)
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
	if (chown(paths->pins, 0, group) || chmod(paths->pins, 0750)) {
		err = -errno;
		log_error("cannot give %s to group %u: %s", paths->pins, group, strerror(errno));
		return err;
	}
	return 0;
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

static void unpin_all(const struct paths *paths)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < PINNED_MAPS; i++) {
		pin_path(path, paths, pinned_maps[i].file);
		if (unlink(path) && errno != ENOENT)
			log_warning("cannot unpin %s: %s", path, strerror(errno));
	}
}

/* Do all pins stand, fit this build, and belong to the table with this hash key? */
static bool pins_are_ours(const struct paths *paths, const uint64_t hash_key[2],
			  struct bpf_object *object)
{
	struct steer_control control;
	char path[PATH_MAX];
	__u32 zero = 0;
	bool ours = true;

	for (size_t i = 0; ours && i < PINNED_MAPS; i++) {
		int fd;

		pin_path(path, paths, pinned_maps[i].file);
		fd = bpf_obj_get(path);
		if (fd < 0)
			return false;
		ours = is_alike(fd, bpf_object__find_map_by_name(object, pinned_maps[i].map));
		if (ours && !strcmp(pinned_maps[i].file, STEER_PIN_CONTROL))
			ours = !bpf_map_lookup_elem(fd, &zero, &control) &&
			       !memcmp(control.hash_key, hash_key, sizeof(control.hash_key));
		close(fd);
	}
	return ours;
}

/* Make one map as the object defines it, and pin it.  Returns its fd or -errno, logged. */
static int make_pinned(const char *path, const struct bpf_map *map)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = bpf_map__map_flags(map));
	int err, fd;

	fd = bpf_map_create(bpf_map__type(map), bpf_map__name(map), bpf_map__key_size(map),
			    bpf_map__value_size(map), bpf_map__max_entries(map), &opts);
	if (fd < 0) {
		log_error("cannot make the BPF map %s: %s", bpf_map__name(map), strerror(-fd));
		return fd;
	}
	err = bpf_obj_pin(fd, path);
	if (err) {
		log_error("cannot pin %s: %s", path, strerror(-err));
		close(fd);
		return err;
	}
	return fd;
}

/* Let `map` be the pinned one, with the group's rights, which another start may have changed. */
static int use_pinned(const char *path, int fd, mode_t mode, gid_t group, struct bpf_map *map)
{
	int err;

	if (chown(path, 0, group) || chmod(path, mode)) {
		err = -errno;
		log_error("cannot give %s to group %u: %s", path, group, strerror(errno));
		return err;
	}
	err = bpf_map__reuse_fd(map, fd);
	if (err)
		log_error("cannot use the map pinned at %s: %s", path, strerror(-err));
	return err;
}

/* What pins_are_ours() looks for; the last step, so that it speaks for all maps. */
static int mark_as_ours(const struct bpf_object *object, const uint64_t hash_key[2])
{
	const struct bpf_map *map = bpf_object__find_map_by_name(object, "control_map");
	const struct steer_control control = {.hash_key = {hash_key[0], hash_key[1]}};
	const __u32 zero = 0;
	int err;

	err = bpf_map_update_elem(bpf_map__fd(map), &zero, &control, BPF_ANY);
	if (err)
		log_error("cannot write the BPF map %s: %s", bpf_map__name(map), strerror(-err));
	return err;
}

int pins_open_maps(const struct paths *paths, gid_t group, const uint64_t hash_key[2],
		   struct bpf_object *object)
{
	bool reuse = pins_are_ours(paths, hash_key, object);
	char path[PATH_MAX];

	if (!reuse)
		unpin_all(paths);
	for (size_t i = 0; i < PINNED_MAPS; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, pinned_maps[i].map);
		int err, fd;

		pin_path(path, paths, pinned_maps[i].file);
		fd = reuse ? bpf_obj_get(path) : make_pinned(path, map);
		if (fd < 0)
			return fd;
		err = use_pinned(path, fd, pinned_maps[i].mode, group, map);
		close(fd);
		if (err)
			return err;
	}
	return reuse ? 0 : mark_as_ours(object, hash_key);
}

int pins_remove(const struct paths *paths)
{
	int err;

	if (!is_bpffs(paths->pins))
		return 0;
	unpin_all(paths);
	if (umount(paths->pins) || rmdir(paths->pins)) {
		err = -errno;
		log_error("cannot unmount and remove %s: %s", paths->pins, strerror(errno));
		return err;
	}
	return 0;
}
