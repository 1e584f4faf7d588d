// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/shared_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/paths.h"

int shared_file_give(int fd, gid_t group, mode_t mode)
{
	return fchown(fd, (uid_t)-1, group) || fchmod(fd, mode) ? -errno : 0;
}

int shared_file_make(const char *path, gid_t group, mode_t mode, int (*fill)(int fd, void *context),
		     void *context)
{
	char new_path[PATHS_MAX + 8];
	int fd, err;

	if (snprintf(new_path, sizeof(new_path), "%s.new", path) >= (int)sizeof(new_path))
		return -ENAMETOOLONG;
	if (unlink(new_path) && errno != ENOENT)
		return -errno;
	fd = open(new_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = fill(fd, context);
	if (!err)
		err = shared_file_give(fd, group, mode);
	if (!err && rename(new_path, path))
		err = -errno;
	if (!err)
		return fd;
	unlink(new_path);
	close(fd);
	return err;
}
