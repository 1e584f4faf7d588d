/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The interfaces to which the programs are attached: all existing ones, or those that the user
 * names, also as they come and go. steer.c creates the list; then the monitor keeps it.
 */
#ifndef RESPONDER_INTERFACES_H
#define RESPONDER_INTERFACES_H

#include <stdbool.h>
#include <stddef.h>

struct interface;
struct paths;
struct steer_options;

struct interfaces {
	struct interface *list;
	size_t count, capacity;
	bool tcx; /* else clsact */
	bool programs_missing; /* in the last round: their pins were gone */
};

/*
 * Attach the pinned programs to the interfaces that `options` names, or to all existing ones.
 * Removes what an earlier responder left on other interfaces. 0 or -errno, logged; some may be
 * attached then. Free *ret_interfaces with interfaces_done().
 */
int interfaces_attach(const struct steer_options *options, struct interfaces *ret_interfaces);

/*
 * Follow new, removed and renamed interfaces. Attach again where something else has removed the
 * program, or where attaching failed: at once, then after growing pauses. A failure on one
 * interface is logged and shown, and does not stop the others. Returns whether anything has
 * changed.
 */
bool interfaces_follow(struct interfaces *interfaces, const struct steer_options *options);

/* Write the attached and the failed interfaces to paths->interfaces.  0 or -errno, logged. */
int interfaces_write(const struct interfaces *interfaces, const struct paths *paths);

/* Free, without detaching. */
void interfaces_done(struct interfaces *interfaces);

#endif
