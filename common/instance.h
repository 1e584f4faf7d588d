/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * At most one responder runs for an instance. It holds a lock in a directory that only root can
 * open, so that no other user can hold the lock. Any user may check whether a responder runs: it
 * listens on a socket, and connecting to that socket is the check. A stranger's connection changes
 * nothing and blocks nobody.
 */
#ifndef INSTANCE_H
#define INSTANCE_H

struct paths;

/*
 * Become the responder of the instance; creates the private directory. Returns a descriptor that
 * holds the lock until it is closed; -EBUSY: another responder runs (and still does after
 * three seconds); or -errno. Close-on-exec.
 */
int instance_lock(const struct paths *paths);

/*
 * Show other processes that a responder runs, as long as the returned descriptor is open. Needs the
 * lock. The caller owns the descriptor. Or -errno.
 */
int instance_announce(const struct paths *paths);

/* 1: a responder runs, 0: none does, or -errno (-ENOENT: none ever ran). */
int instance_is_running(const struct paths *paths);

/*
 * Take the lock that a process needs to change programs or links. Waits a while, then -ETIMEDOUT.
 * Returns a descriptor that holds the lock until it is closed, or -errno.
 */
int instance_lock_programs(const struct paths *paths);

#endif
