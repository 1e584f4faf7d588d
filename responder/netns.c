// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMED_DIRECTORY "/run/netns"

int netns_enter(const char *name)
{
	char path[PATH_MAX];
	int err = 0, fd, length;

	length = strchr(name, '/') ? snprintf(path, sizeof(path), "%s", name)
				   : snprintf(path, sizeof(path), NAMED_DIRECTORY "/%s", name);
	if (length >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (setns(fd, CLONE_NEWNET))
		err = -errno;
	close(fd);
	return err;
}

int netns_inode(uint64_t *ret_inode)
{
	struct stat status;

	if (stat("/proc/self/ns/net", &status))
		return -errno;
	*ret_inode = status.st_ino;
	return 0;
}
