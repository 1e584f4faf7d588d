// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAMED_DIRECTORY "/run/netns"

/* Absolute: a daemon leaves the directory in which it was started.  0 or -errno. */
static int make_path(char path[PATH_MAX], const char *name)
{
	char directory[PATH_MAX];
	int length;

	if (!strchr(name, '/'))
		length = snprintf(path, PATH_MAX, NAMED_DIRECTORY "/%s", name);
	else if (*name == '/')
		length = snprintf(path, PATH_MAX, "%s", name);
	else if (!getcwd(directory, sizeof(directory)))
		return -errno;
	else
		length = snprintf(path, PATH_MAX, "%s/%s", directory, name);
	return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* The process whose namespace the path names: a pidfd, -1 when it names none, or -errno. */
static int open_process(const char *path, int *ret_pidfd)
{
	int end = 0, pid;

	*ret_pidfd = -1;
	if (sscanf(path, "/proc/%d/ns/net%n", &pid, &end) != 1 || !end || path[end])
		return 0;
	*ret_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return *ret_pidfd < 0 ? -errno : 0;
}

static int enter(struct netns *netns)
{
	struct stat status;
	int err = 0, fd = open(netns->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	/* Not kept open: that would keep the mount, and the namespace. */
	if (fstat(fd, &status) || setns(fd, CLONE_NEWNET))
		err = -errno;
	close(fd);
	if (err)
		return err;
	netns->device = status.st_dev;
	netns->inode = status.st_ino;
	return 0;
}

int netns_enter(const char *name, struct netns *ret_netns)
{
	struct netns netns = {.pidfd = -1};
	int err;

	err = make_path(netns.path, name);
	/* The process first: if it lives afterwards the path was its own, not a later process's. */
	if (!err)
		err = open_process(netns.path, &netns.pidfd);
	if (!err)
		err = enter(&netns);
	if (!err && !netns_is_named(&netns))
		err = -ESRCH;
	if (err) {
		netns_done(&netns);
		return err == -ESRCH ? -ENOENT : err;
	}
	*ret_netns = netns;
	return 0;
}

bool netns_is_named(const struct netns *netns)
{
	struct pollfd polled = {.fd = netns->pidfd, .events = POLLIN};
	struct stat status;

	if (netns->pidfd >= 0)
		return poll(&polled, 1, 0) != 1;
	if (stat(netns->path, &status))
		return errno != ENOENT && errno != ENOTDIR;
	return status.st_dev == netns->device && status.st_ino == netns->inode;
}

void netns_done(struct netns *netns)
{
	if (netns->pidfd >= 0)
		close(netns->pidfd);
	netns->pidfd = -1;
}

int netns_inode(uint64_t *ret_inode)
{
	struct stat status;

	if (stat("/proc/self/ns/net", &status))
		return -errno;
	*ret_inode = status.st_ino;
	return 0;
}
