// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "common/paths.h"

int map_open(const struct paths *paths, const struct map_shape *shape, bool writable)
{
	LIBBPF_OPTS(bpf_obj_get_opts, options, .file_flags = writable ? 0 : BPF_F_RDONLY);
	struct bpf_map_info info = {0};
	__u32 info_size = sizeof(info);
	char path[PATHS_MAX + 32];
	int fd, err;

	snprintf(path, sizeof(path), "%s/%s", paths->pins, shape->pin);
	fd = bpf_obj_get_opts(path, &options);
	if (fd < 0)
		return -errno;
	err = bpf_obj_get_info_by_fd(fd, &info, &info_size);
	if (!err && (info.type != shape->type || info.key_size != shape->key_size ||
		     info.value_size != shape->value_size))
		err = -EPROTO;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}
