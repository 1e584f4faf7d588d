// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/local_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/paths.h"

/*
 * The name of a Unix socket holds at most 107 bytes, and a path can be longer. So the name starts
 * at a descriptor of the directory. Returns that descriptor, which the caller closes, or -errno.
 */
static int name_socket(const char *path, struct sockaddr_un *ret_name)
{
	const char *file = strrchr(path, '/');
	char directory[PATHS_MAX];
	int fd, length;

	if (!file || (size_t)(file - path) >= sizeof(directory))
		return -ENAMETOOLONG;
	memcpy(directory, path, (size_t)(file - path));
	directory[file - path] = '\0';
	fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_name = (struct sockaddr_un){.sun_family = AF_UNIX};
	length = snprintf(ret_name->sun_path, sizeof(ret_name->sun_path), "/proc/self/fd/%d%s", fd,
			  file);
	if (length < (int)sizeof(ret_name->sun_path))
		return fd;
	close(fd);
	return -ENAMETOOLONG;
}

static int bind_and_listen(int fd, const char *path, const struct sockaddr_un *name, mode_t mode,
			   int backlog)
{
	mode_t mask = umask(~mode & 0777);
	int err = 0;

	if ((unlink(path) && errno != ENOENT) ||
	    bind(fd, (const struct sockaddr *)name, sizeof(*name)) || listen(fd, backlog))
		err = -errno;
	umask(mask);
	return err;
}

int local_socket_listen(const char *path, int type, mode_t mode, int backlog)
{
	struct sockaddr_un name;
	int err, fd, directory_fd = name_socket(path, &name);

	if (directory_fd < 0)
		return directory_fd;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	err = fd < 0 ? -errno : bind_and_listen(fd, path, &name, mode, backlog);
	close(directory_fd);
	if (err && fd >= 0)
		close(fd);
	return err ? err : fd;
}

int local_socket_connect(const char *path, int type)
{
	struct sockaddr_un name;
	int err = 0, fd, directory_fd = name_socket(path, &name);

	if (directory_fd < 0)
		return directory_fd;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&name, sizeof(name)))
		err = -errno;
	close(directory_fd);
	if (err && fd >= 0)
		close(fd);
	return err ? err : fd;
}
