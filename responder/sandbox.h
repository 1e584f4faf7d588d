/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Restricts the system calls of a process (seccomp(2)). An attacker who takes over the process
 * cannot start a program, open a file, write another map or open a socket.
 */
#ifndef RESPONDER_SANDBOX_H
#define RESPONDER_SANDBOX_H

enum sandbox_role {
	SANDBOX_RESPONDER = 1 << 0, /* answers; both engines; makes threads, and nothing else */
	SANDBOX_MONITOR = 1 << 1,
};

/*
 * Enter the sandbox for good; it covers later threads, too. The process must have no_new_privs. A
 * call outside of the table kills the process: when the responder is killed, all connections pass
 * to production, whereas a responder with some calls refused has no defined behaviour. 0 or -errno.
 */
int sandbox_enter(enum sandbox_role role);

#endif
