// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

int process_open_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int process_become_owner(const char *path)
{
	const struct passwd *owner;
	struct stat status;

	if (geteuid() || stat(path, &status) || !status.st_uid)
		return 0;
	owner = getpwuid(status.st_uid);
	if (!owner)
		return 0;
	if (initgroups(owner->pw_name, owner->pw_gid) || setgid(owner->pw_gid) ||
	    setuid(owner->pw_uid))
		return -errno;
	return 0;
}
