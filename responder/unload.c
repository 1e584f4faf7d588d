// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/unload.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/paths.h"
#include "responder/startup.h"
#include "responder/steer.h"

static int remove_file(const char *path)
{
	int err = unlink(path) && errno != ENOENT ? -errno : 0;

	if (err)
		log_error("cannot remove %s: %s", path, strerror(-err));
	return err;
}

/* Locks and the socket for successors; the instance's lock last. */
static int remove_private(const struct paths *paths)
{
	int err;

	err = remove_file(paths->control);
	if (!err)
		err = remove_file(paths->programs_lock);
	if (!err)
		err = remove_file(paths->lock);
	if (!err && rmdir(paths->private)) {
		err = -errno;
		log_error("cannot remove %s: %s", paths->private, strerror(-err));
	}
	return err;
}

int unload_instance(const struct paths *paths)
{
	int err, lock_fd;

	if (access(paths->lock, F_OK)) {
		log_info("there is nothing to unload");
		return 0;
	}
	lock_fd = startup_lock_instance(paths);
	if (lock_fd < 0)
		return lock_fd;
	err = steer_unload(paths);
	if (!err)
		err = remove_file(paths->table);
	if (!err)
		err = remove_file(paths->evidence);
	if (!err)
		err = remove_file(paths->conn_stats);
	if (!err)
		err = remove_file(paths->status);
	if (!err)
		err = remove_file(paths->interfaces);
	if (!err)
		err = remove_file(paths->hindrances);
	if (!err)
		err = remove_file(paths->programs);
	if (!err)
		err = remove_file(paths->alive);
	if (!err)
		err = remove_private(paths);
	close(lock_fd);
	return err;
}
