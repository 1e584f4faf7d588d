/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The same test on each engine of the ring: the test's initial state is the engine. */
#ifndef ENGINES_H
#define ENGINES_H

#include "responder/ring.h"

static enum ring_engine engines[] = {RING_IO_URING, RING_EPOLL};

static inline enum ring_engine engine_of(void *const *state)
{
	return *(const enum ring_engine *)*state;
}

#define ON_IO_URING(test, setup, teardown)                               \
	{                                                                \
#test " on io_uring", test, setup, teardown, &engines[0] \
	}
#define ON_EPOLL(test, setup, teardown)                               \
	{                                                             \
#test " on epoll", test, setup, teardown, &engines[1] \
	}
#define ON_EACH_ENGINE(test, setup, teardown) \
	ON_IO_URING(test, setup, teardown), ON_EPOLL(test, setup, teardown)

#endif
