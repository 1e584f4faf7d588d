/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A responder's start: what it needs of the machine, then all that needs root, then the drop of
 * privileges.  Every error is logged with its next step.
 */
#ifndef STARTUP_H
#define STARTUP_H

#include <stdbool.h>

struct paths;
struct responder;

/* Check the machine and open the signals, before anything is changed.  0 or -errno, logged. */
int startup_prepare(struct responder *responder);

/* Open and attach everything, drop privileges, answer.  0 or -errno, logged. */
int startup_open(struct responder *responder);

/* Tell the service manager, and whoever waits for a daemon.  0 or -errno, logged. */
int startup_say_ready(const struct responder *responder, bool background);

/* Become the instance's responder, or the one that removes it.  The lock, or -errno, logged. */
int startup_lock_instance(const struct paths *paths);

#endif
