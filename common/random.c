// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/random.h"

#include <errno.h>
#include <stdint.h>
#include <sys/random.h>
#include <sys/types.h>

int random_bytes(void *bytes, size_t size)
{
	/* getrandom(2) gives up to 256 bytes whole, and does not fail once the kernel is up. */
	return getrandom(bytes, size, 0) == (ssize_t)size ? 0 : -EIO;
}

double random_unit(void)
{
	uint64_t bits;

	while (random_bytes(&bits, sizeof(bits)))
		;
	return (double)(bits >> 11) / (double)(UINT64_C(1) << 53);
}
