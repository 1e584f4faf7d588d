/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tries one piece of work with a kill, or an error, at each of its seams in turn: no strides.  It runs
 * the work once to count the seams, then once for each, every time in a process and a world of its own.
 */
#ifndef TESTS_SIM_EVERYWHERE_H
#define TESTS_SIM_EVERYWHERE_H

struct sim_process;

struct everywhere {
	/* sim_begin(), and all that comes before the work. */
	void (*begin)(void);
	/* Start the process that works; or return one that runs already, and make it work. */
	struct sim_process *(*start)(void);
	/* Let time pass until the work is done, or its process has ended. */
	void (*settle)(struct sim_process *process);
	/* Start again what has ended, check what must be true, and sim_end(). */
	void (*finish)(struct sim_process *process);
};

/* kill -9 at each seam.  Fails the scenario when one run fails. */
void everywhere_kill(const struct everywhere *work);

/* Each call that can fail fails once, with this errno; or from there on for `for_ms`. */
void everywhere_fail(const struct everywhere *work, int error, unsigned long for_ms);

#endif
