// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The lock of the instance is an open file description lock (fcntl_locking(2)). It ends with its
 * holder.
 */
#include "common/clock.h"
#include "common/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_lock.h"
#include "common/local_socket.h"
#include "common/paths.h"

/* Longer than it takes to load the programs and to attach them to all interfaces. */
#define PROGRAMS_PATIENCE_MS 30000
/* The monitor of a killed responder holds the lock for a moment longer, on a busy machine for more than a second. */
#define LOCK_PAUSE_MS 10
#define LOCK_ATTEMPTS 300

/* Open a file in the private directory; creates the directory if it is missing. */
static int open_lock_file(const struct paths *paths, const char *path)
{
	int fd;

	if ((mkdir(paths->private, 0700) && errno != EEXIST) || chmod(paths->private, 0700))
		return -errno;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? -errno : fd;
}

int instance_lock(const struct paths *paths)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int err, fd = open_lock_file(paths, paths->lock);

	if (fd < 0)
		return fd;
	for (int attempt = 0; fcntl(fd, F_OFD_SETLK, &lock); attempt++) {
		err = errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
		if (err == -EBUSY && attempt < LOCK_ATTEMPTS) {
			clock_sleep_ms(LOCK_PAUSE_MS);
			continue;
		}
		close(fd);
		return err;
	}
	return fd;
}

int instance_announce(const struct paths *paths)
{
	/* Nobody calls accept(2): a successful connect(2) is the whole answer. */
	return local_socket_listen(paths->alive, SOCK_STREAM, 0666, 0);
}

int instance_is_running(const struct paths *paths)
{
	int fd = local_socket_connect(paths->alive, SOCK_STREAM);

	if (fd >= 0)
		close(fd);
	if (fd >= 0 || fd == -EAGAIN)
		return 1;
	return fd == -ECONNREFUSED ? 0 : fd;
}

int instance_lock_programs(const struct paths *paths)
{
	int err, fd = open_lock_file(paths, paths->programs_lock);

	if (fd < 0)
		return fd;
	err = file_lock(fd, PROGRAMS_PATIENCE_MS);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}
