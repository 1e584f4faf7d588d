/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The only source of chance in acme/ and common/, except keys: tests/sim replaces random.c. */
#ifndef RANDOM_H
#define RANDOM_H

#include <stddef.h>

/* A random number in [0, 1). */
double random_unit(void);

/* Fill `bytes` with up to 256 random bytes.  0 or -EIO. */
int random_bytes(void *bytes, size_t size);

#endif
