/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Programs of the operator's that are run when something has happened: commands, and all that lie in
 * a directory of renewal-hooks/.  One at a time, in the order in which they were asked for, while
 * everything else goes on.  One that takes too long is ended.
 */
#ifndef ACME_RENEWAL_HOOKS_H
#define ACME_RENEWAL_HOOKS_H

#include <stdbool.h>

struct failure;
struct hooks;
struct loop;
struct paths;
struct string_list;

/* After so long a hook gets SIGTERM, and then SIGKILL. */
#define HOOKS_TIME_MAX_S 120

struct hooks_call {
	const char *command; /* for /bin/sh; NULL: the directory's programs */
	const char *
		directory; /* below renewal-hooks/: in byte order; one that is not there is empty */
	const char *lineage; /* RENEWED_LINEAGE; NULL: not set, like the others */
	const struct string_list *renewed; /* RENEWED_DOMAINS */
	const struct string_list *failed; /* FAILED_DOMAINS */
	/* Called once, later; all programs have been run, and the failure is of the first that failed. */
	void (*done)(void *context, struct failure *failure);
	void *context;
};

/* What it is given must outlive it.  0 or -ENOMEM. */
int hooks_new(struct hooks **ret_hooks, struct loop *loop, const struct paths *paths);

/* Calls that are left are forgotten; a program that runs is left to itself. */
void hooks_free(struct hooks *hooks);

/* Texts are copied.  0 or -ENOMEM. */
int hooks_run(struct hooks *hooks, const struct hooks_call *call);

/* Nothing is left to be run. */
bool hooks_are_idle(const struct hooks *hooks);

#endif
