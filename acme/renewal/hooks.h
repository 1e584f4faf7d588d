/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Programs of the operator's that are run when something has happened: commands, and all that lie in
 * a directory of renewal-hooks/.  There a name consists of letters, digits, "_", "-" and ".", and is none
 * that editors and package managers give to copies.  One at a time, in the order in which they were asked
 * for, while everything else goes on.  One that takes too long is ended.
 *
 * A hook in reload/ that has tested the server's configuration, and found it wrong, exits with
 * HOOKS_STATUS_REFUSED.  Every other failure says nothing of the certificates.
 */
#ifndef ACME_RENEWAL_HOOKS_H
#define ACME_RENEWAL_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

struct failure;
struct hooks;
struct loop;
struct paths;
struct string_list;

#define HOOKS_STATUS_REFUSED 78 /* EX_CONFIG of sysexits.h */

enum hooks_result {
	HOOKS_DONE, /* all programs ran, and succeeded */
	HOOKS_FAILED, /* one could not run, was ended, or failed otherwise */
	HOOKS_REFUSED, /* one exited with HOOKS_STATUS_REFUSED, whatever the others did */
};

struct hooks_call {
	const char *command; /* for /bin/sh; NULL: the directory's programs */
	const char
		*directory; /* below renewal-hooks/, in byte order; one that is missing is empty */
	const char *lineage; /* RENEWED_LINEAGE; NULL: not set, like the others */
	const struct string_list *renewed; /* RENEWED_DOMAINS, and as a file RENEWED_DOMAINS_FILE */
	const struct string_list *failed; /* FAILED_DOMAINS, FAILED_DOMAINS_FILE */
	/* Called once, later; all programs have been run, and the failure is of the first that failed. */
	void (*done)(void *context, enum hooks_result result, struct failure *failure);
	void *context;
};

/* `timeout_s`: then a hook is ended.  What it is given must outlive it.  0 or -ENOMEM. */
int hooks_new(struct hooks **ret_hooks, struct loop *loop, const struct paths *paths,
	      uint32_t timeout_s);

/* Calls that are left are forgotten; a program that runs is left to itself. */
void hooks_free(struct hooks *hooks);

void hooks_set_timeout(struct hooks *hooks, uint32_t timeout_s);

/* Texts are copied.  0 or -ENOMEM. */
int hooks_run(struct hooks *hooks, const struct hooks_call *call);

/* Nothing is left to be run. */
bool hooks_are_idle(const struct hooks *hooks);

/*
 * Whether the command's program can be run, as far as its first word says: a path must be absolute, and
 * an executable file.  Words without a slash are the shell's to find.  0, or -1 with `failure` filled in.
 */
int hooks_judge(const char *command, struct failure *failure);

#endif
