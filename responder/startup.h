/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The start of a responder: it checks the machine, opens everything that needs root, then drops
 * privileges. Every error is logged with its next step.
 */
#ifndef RESPONDER_STARTUP_H
#define RESPONDER_STARTUP_H

#include <stdbool.h>

struct paths;
struct responder;

/* Check the machine and open the signals, before anything is changed.  0 or -errno, logged. */
int startup_prepare(struct responder *responder);

/* Open and attach everything, drop privileges, answer.  0 or -errno, logged. */
int startup_open(struct responder *responder);

/* Report readiness to the service manager and to the starter of a daemon.  0 or -errno, logged. */
int startup_say_ready(const struct responder *responder, bool background);

/* Take the instance's lock, to run or to unload it.  Returns the lock, or -errno, logged. */
int startup_lock_instance(const struct paths *paths);

#endif
