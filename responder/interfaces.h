/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which interfaces are attached to: those that exist, or those that the user
 * names, as they come and go.  Made by steer.c, then the monitor's.
 */
#ifndef INTERFACES_H
#define INTERFACES_H

#include <stdbool.h>
#include <stddef.h>

struct interface;
struct paths;
struct steer_options;

struct interfaces {
	struct interface *list;
	size_t count, capacity;
	bool tcx; /* else clsact */
	bool programs_missing; /* the last time: their pins are gone */
};

/*
 * Attach the pinned programs to the interfaces that `options` names, or to all that exist;
 * what an earlier responder left on others is removed.  0 or -errno, logged; some are
 * attached then.  *ret_interfaces is to be freed with interfaces_done().
 */
int interfaces_attach(const struct steer_options *options, struct interfaces *ret_interfaces);

/*
 * Follow the interfaces that have come, gone or been renamed since, and attach again where
 * something else has removed the program, or where attaching has failed: at once, then after
 * longer and longer pauses.  Goes on when one cannot be attached to, which is logged and
 * shown.  Returns whether anything has changed.
 */
bool interfaces_follow(struct interfaces *interfaces, const struct steer_options *options);

/* Write which are attached, and which could not be, to paths->interfaces.  0 or -errno, logged. */
int interfaces_write(const struct interfaces *interfaces, const struct paths *paths);

/* Free, without detaching. */
void interfaces_done(struct interfaces *interfaces);

#endif
