/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the responder says of itself, for `sidestep status`: a JSON object in
 * paths->status that everyone may read.  It outlives the responder: whether
 * one runs is the lock's to say (common/instance.h).
 */
#ifndef RESPONDER_STATUS_FILE_H
#define RESPONDER_STATUS_FILE_H

#include "responder/ring.h"

struct options;
struct paths;

/* Write it, as a whole or not at all; `engine` is the one in use.  0 or -errno. */
int status_file_write(const struct paths *paths, const struct options *options,
		      enum ring_engine engine);

#endif
