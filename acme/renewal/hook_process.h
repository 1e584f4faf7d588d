/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One hook as a process: starts it, waits for its end while the loop goes on, and ends it when it
 * takes too long.  The only file of acme/ that starts processes.
 */
#ifndef ACME_RENEWAL_HOOK_PROCESS_H
#define ACME_RENEWAL_HOOK_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct hook_process;
struct loop;

struct hook_process_end {
	bool is_late; /* it took too long, and was ended */
	int signal; /* that ended it; 0: it exited */
	int status; /* with which it exited */
};

struct hook_process_options {
	struct loop *loop;
	const char *program; /* a path */
	char *const *arguments; /* with the program's name before them; NULL ends them */
	/*
	 * NAME=VALUE, added to this process's environment.  A name alone is taken out of it.  NULL ends
	 * them.
	 */
	char *const *variables;
	uint32_t time_max_s; /* then it gets SIGTERM, and ten seconds later SIGKILL */
	/* Called once, later; the hook_process is free by then. */
	void (*ended)(void *context, const struct hook_process_end *end);
	void *context;
};

/*
 * Start it, in a process group of its own.  It inherits standard error, also as its standard output,
 * and no other descriptor; nothing that systemd meant for this process; and no signal mask.  Texts are
 * not needed afterwards.  0, -E2BIG: the variables are too long, -ENOENT, -EACCES, or -errno: it does
 * not run.
 */
int hook_process_start(struct hook_process **ret_process,
		       const struct hook_process_options *options);

/* Forget it; the program goes on by itself. */
void hook_process_free(struct hook_process *process);

#endif
