/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The lock is an open file description lock (fcntl_locking(2), Linux 3.15):
 * like flock(2) it dies with its holder, and unlike flock(2) one can ask about
 * it without taking it, so that asking never gets in a starting responder's way.
 */
#include "common/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/paths.h"

static const struct flock whole_file = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

int instance_lock(const struct paths *paths)
{
	struct flock lock = whole_file;
	int fd, error;

	fd = open(paths->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	/* Everyone may ask, whatever the umask says. */
	if (fchmod(fd, 0644) || fcntl(fd, F_OFD_SETLK, &lock)) {
		error = errno == EAGAIN || errno == EACCES ? EBUSY : errno;
		close(fd);
		return -error;
	}
	return fd;
}

int instance_is_running(const struct paths *paths)
{
	struct flock lock = whole_file;
	int fd, result;

	fd = open(paths->lock, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	result = fcntl(fd, F_OFD_GETLK, &lock) ? -errno : lock.l_type != F_UNLCK;
	close(fd);
	return result;
}
