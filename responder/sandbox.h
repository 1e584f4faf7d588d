/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which system calls a process of ours can make from some moment on (seccomp(2)).  What it does not
 * need, whoever takes it over does not get: no program to start, no file to open, no map to
 * write, no socket of his own.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

enum sandbox_role {
	SANDBOX_RESPONDER = 1 << 0, /* answers; both engines; makes threads, and nothing else */
	SANDBOX_MONITOR = 1 << 1,
};

/*
 * Enter for good; threads made later are in it, too.  The process must have no_new_privs.  A call
 * that is not in the table kills the process: a killed responder makes all pass to production,
 * and one that goes on half refused makes nobody knows what.  0 or -errno.
 */
int sandbox_enter(enum sandbox_role role);

#endif
