// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/file_lock.h"

#include <errno.h>
#include <stdint.h>
#include <sys/file.h>
#include <time.h>

/* flock(2) has no timeout, so try repeatedly, at first soon: most hold it for microseconds. */
#define PAUSE_MIN_NS 20000
#define PAUSE_MAX_NS 5000000
#define NS_PER_MS    UINT64_C(1000000)
#define NS_PER_S     UINT64_C(1000000000)

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int file_lock(int fd, unsigned int patience_ms)
{
	struct timespec pause = {.tv_nsec = PAUSE_MIN_NS};
	uint64_t end_ns = 0;

	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (!end_ns)
			end_ns = clock_ns() + patience_ms * NS_PER_MS;
		else if (clock_ns() > end_ns)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < PAUSE_MAX_NS)
			pause.tv_nsec *= 2;
	}
	return 0;
}
