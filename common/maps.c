/* SPDX-License-Identifier: GPL-3.0-or-later */
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
	int fd, error;

	snprintf(path, sizeof(path), "%s/%s", paths->pins, shape->pin);
	fd = bpf_obj_get_opts(path, &options);
	if (fd < 0)
		return -errno;
	error = bpf_obj_get_info_by_fd(fd, &info, &info_size);
	if (!error && (info.type != shape->type || info.key_size != shape->key_size ||
		       info.value_size != shape->value_size))
		error = -EPROTO;
	if (error) {
		close(fd);
		return error;
	}
	return fd;
}
