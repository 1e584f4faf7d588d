// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/clock.h"
#include "common/file_lock.h"

#include <errno.h>
#include <stdint.h>
#include <sys/file.h>

/* flock(2) has no timeout, so try repeatedly, at first soon: most hold it for microseconds. */
#define PAUSE_MIN_US 20
#define PAUSE_MAX_US 5000
#define NS_PER_MS    UINT64_C(1000000)

int file_lock(int fd, unsigned int patience_ms)
{
	uint32_t pause_us = PAUSE_MIN_US;
	uint64_t end_ns = 0;

	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (!end_ns)
			end_ns = clock_monotonic_ns() + patience_ms * NS_PER_MS;
		else if (clock_monotonic_ns() > end_ns)
			return -ETIMEDOUT;
		clock_sleep_us(pause_us);
		if (pause_us < PAUSE_MAX_US)
			pause_us *= 2;
	}
	return 0;
}
