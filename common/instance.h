/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One responder an instance: the lock that says so, and who asks about it. */
#ifndef INSTANCE_H
#define INSTANCE_H

struct paths;

/*
 * Become the instance's responder.  Returns the descriptor whose closing gives
 * the lock back, -EBUSY when another responder runs, or -errno.  Close-on-exec.
 */
int instance_lock(const struct paths *paths);

/* 1: a responder holds the lock, 0: none does, or -errno (-ENOENT: none ever ran). */
int instance_is_running(const struct paths *paths);

#endif
