// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/process.h"

#include <errno.h>
#include <fcntl.h>
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
