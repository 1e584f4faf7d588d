/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tells the operator of certificates in trouble, by the command that `notify` in sidestep.conf names:
 * /bin/sh runs it with the event in its environment, one command at a time.  It is sparing: a failure
 * counts when it is the first in a row, when attempts have become daily, and weekly from then on.
 */
#ifndef ACME_RENEWAL_NOTICES_H
#define ACME_RENEWAL_NOTICES_H

#include <stdbool.h>
#include <stdint.h>

struct failure;
struct loop;
struct notices;
struct state;
struct state_lineage;

/*
 * `command` NULL: there are no notices.  `idle` is called when the last command has ended.  `loop` must
 * outlive it.  0 or -ENOMEM.
 */
int notices_new(struct notices **ret_notices, struct loop *loop, const char *command,
		void (*idle)(void *context), void *context);

/* Commands that run go on by themselves; what waits is dropped. */
void notices_free(struct notices *notices);

/* From now on this is the command.  0 or -ENOMEM: the old one stays. */
int notices_set_command(struct notices *notices, const char *command);

/* Whether a command runs or waits. */
bool notices_are_busy(const struct notices *notices);

/* The lineage's attempt has failed, and counts; `lineage` is as it was before. */
void notices_of_failure(struct notices *notices, const struct state_lineage *lineage,
			const struct failure *failure, int64_t next_attempt_s);

/*
 * Tell of certificates that are due, have a sixth of their life left or less, and are not renewed: once
 * a day each; with `is_once` (a process that does not stay) at each call.  Looks at most hourly.  0 or
 * -errno of the state.
 */
int notices_look(struct notices *notices, struct state *state, bool is_once);

#endif
