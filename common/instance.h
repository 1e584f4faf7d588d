/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One responder an instance.  The lock that says so lies where only root can open it, so that
 * nobody else can hold it.  Whether a responder runs everyone may ask, by another way: it listens
 * at a socket, and to ask is to connect.  Nothing that a stranger can do there lasts, or hinders.
 */
#ifndef INSTANCE_H
#define INSTANCE_H

struct paths;

/*
 * Become the instance's responder; makes the private directory.  Returns the descriptor whose
 * closing gives the lock back, -EBUSY when another responder runs (and still does after a second),
 * or -errno.  Close-on-exec.
 */
int instance_lock(const struct paths *paths);

/*
 * With the lock held: from here on the responder runs, for those who ask, as long as the returned
 * descriptor, the caller's, is open.  Or -errno.
 */
int instance_announce(const struct paths *paths);

/* 1: a responder runs, 0: none does, or -errno (-ENOENT: none ever ran). */
int instance_is_running(const struct paths *paths);

/*
 * Whoever changes programs or links holds this lock meanwhile; with patience, -ETIMEDOUT.  Returns
 * the descriptor whose closing gives it back, or -errno.
 */
int instance_lock_programs(const struct paths *paths);

#endif
