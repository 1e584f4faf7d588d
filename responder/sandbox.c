// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/sandbox.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define RESPONDER SANDBOX_RESPONDER
#define MONITOR   SANDBOX_MONITOR
#define BOTH      (RESPONDER | MONITOR)

/* What must hold of one argument. */
enum condition {
	ANY,
	EQUAL, /* the argument is `value` */
	WITHOUT, /* none of the bits of `value` is set */
	WITH, /* all are */
};

/*
 * The table.  Several rows of one call are alternatives.  Names that this architecture, or this
 * libseccomp, does not know are passed over: the C library does not use them then.
 */
static const struct allowed {
	const char *name;
	unsigned int roles;
	unsigned int argument;
	enum condition condition;
	uint64_t value;
} table[] = {
	/* The C library's own: memory, time, threads that wait for each other, the end. */
	{"brk", BOTH, 0, ANY, 0},
	{"mmap", BOTH, 2, WITHOUT, PROT_EXEC},
	{"mmap2", BOTH, 2, WITHOUT, PROT_EXEC},
	{"mprotect", BOTH, 2, WITHOUT, PROT_EXEC},
	{"mremap", BOTH, 0, ANY, 0},
	{"munmap", BOTH, 0, ANY, 0},
	{"madvise", BOTH, 0, ANY, 0},
	{"clock_gettime", BOTH, 0, ANY, 0},
	{"clock_gettime64", BOTH, 0, ANY, 0},
	{"gettimeofday", BOTH, 0, ANY, 0},
	{"time", BOTH, 0, ANY, 0},
	{"nanosleep", BOTH, 0, ANY, 0},
	{"clock_nanosleep", BOTH, 0, ANY, 0},
	{"clock_nanosleep_time64", BOTH, 0, ANY, 0},
	{"futex", BOTH, 0, ANY, 0},
	{"futex_time64", BOTH, 0, ANY, 0},
	{"getrandom", BOTH, 0, ANY, 0},
	{"getpid", BOTH, 0, ANY, 0},
	{"gettid", BOTH, 0, ANY, 0},
	{"rt_sigaction", BOTH, 0, ANY, 0},
	{"rt_sigprocmask", BOTH, 0, ANY, 0},
	{"rt_sigreturn", BOTH, 0, ANY, 0},
	{"sigreturn", BOTH, 0, ANY, 0},
	{"restart_syscall", BOTH, 0, ANY, 0},
	{"tgkill", BOTH, 0, ANY, 0}, /* abort(3) */
	{"exit", BOTH, 0, ANY, 0},
	{"exit_group", BOTH, 0, ANY, 0},

	/* What is open is read, written, waited for and closed. */
	{"read", BOTH, 0, ANY, 0},
	{"write", BOTH, 0, ANY, 0},
	{"close", BOTH, 0, ANY, 0},
	{"poll", BOTH, 0, ANY, 0},
	{"ppoll", BOTH, 0, ANY, 0},
	{"ppoll_time64", BOTH, 0, ANY, 0},
	{"epoll_wait", BOTH, 0, ANY, 0},
	{"epoll_pwait", BOTH, 0, ANY, 0},
	{"epoll_pwait2", BOTH, 0, ANY, 0},
	{"recvfrom", BOTH, 0, ANY, 0},
	{"recv", BOTH, 0, ANY, 0},
	{"recvmsg", BOTH, 0, ANY, 0},
	{"sendto", BOTH, 0, ANY, 0},
	{"send", BOTH, 0, ANY, 0},
	{"accept4", BOTH, 0, ANY, 0},
	{"shutdown", BOTH, 0, ANY, 0},
	{"fcntl", BOTH, 0, ANY, 0},
	{"fcntl64", BOTH, 0, ANY, 0},

	/* Threads of its own, and the wait for the monitor's end. */
	{"clone", RESPONDER, 0, WITH, CLONE_THREAD},
	{"set_robust_list", RESPONDER, 0, ANY, 0},
	{"rseq", RESPONDER, 0, ANY, 0},
	{"sched_getaffinity", RESPONDER, 0, ANY, 0},
	{"sched_setaffinity", RESPONDER, 0, ANY, 0},
	{"sched_yield", RESPONDER, 0, ANY, 0},
	{"wait4", RESPONDER, 0, ANY, 0},

	/* Its two engines, the sockets that they accept, the table's index, the count of ends. */
	{"io_uring_enter", RESPONDER, 0, ANY, 0},
	{"io_uring_register", RESPONDER, 0, ANY, 0}, /* enables a ring, which is restricted then */
	{"epoll_ctl", RESPONDER, 0, ANY, 0},
	{"getpeername", RESPONDER, 0, ANY, 0},
	{"setsockopt", RESPONDER, 2, EQUAL,
	 SO_RCVTIMEO}, /* of its listeners: accepting never waits long */
	{"bpf", RESPONDER, 0, EQUAL, BPF_MAP_LOOKUP_ELEM},
	{"pwrite64", RESPONDER, 0, ANY, 0},
	/* Into the background: standard error becomes /dev/null. */
	{"dup2", RESPONDER, 0, ANY, 0},
	{"dup3", RESPONDER, 0, ANY, 0},

	/* Attaching and detaching: pins, links, filters by netlink, the look at listeners. */
	{"bpf", MONITOR, 0, EQUAL, BPF_OBJ_GET},
	{"bpf", MONITOR, 0, EQUAL, BPF_OBJ_PIN},
	{"bpf", MONITOR, 0, EQUAL, BPF_OBJ_GET_INFO_BY_FD},
	{"bpf", MONITOR, 0, EQUAL, BPF_LINK_CREATE},
	{"bpf", MONITOR, 0, EQUAL, BPF_LINK_UPDATE},
	{"bpf", MONITOR, 0, EQUAL, BPF_LINK_DETACH},
	{"socket", MONITOR, 0, EQUAL, AF_NETLINK},
	{"socket", MONITOR, 0, EQUAL,
	 AF_UNIX}, /* for if_indextoname(3), which asks it by ioctl(2) */
	{"ioctl", MONITOR, 1, EQUAL, SIOCGIFHWADDR},
	{"ioctl", MONITOR, 1, EQUAL, SIOCGIFINDEX},
	{"ioctl", MONITOR, 1, EQUAL, SIOCGIFNAME},
	{"bind", MONITOR, 0, ANY, 0},
	{"getsockname", MONITOR, 0, ANY, 0},
	{"setsockopt", MONITOR, 0, ANY, 0},
	{"getsockopt", MONITOR, 0, ANY, 0},
	/* Letting go of held-back ACKs: which there are, and a run of the program release. */
	{"bpf", MONITOR, 0, EQUAL, BPF_MAP_GET_NEXT_KEY},
	{"bpf", MONITOR, 0, EQUAL, BPF_MAP_LOOKUP_ELEM},
	{"bpf", MONITOR, 0, EQUAL, BPF_PROG_TEST_RUN},
	/* Adopting: connected sockets, which go to the responder. */
	{"bpf", MONITOR, 0, EQUAL, BPF_MAP_DELETE_ELEM},
	{"bpf", MONITOR, 0, EQUAL, BPF_MAP_UPDATE_ELEM}, /* of "flows": it stands */
	{"socket", MONITOR, 0, EQUAL, AF_INET},
	{"socket", MONITOR, 0, EQUAL, AF_INET6},
	{"connect", MONITOR, 0, ANY, 0},
	{"sendmsg", MONITOR, 0, ANY, 0},

	/* Its files: locks, pins, interfaces.json. */
	{"open", MONITOR, 0, ANY, 0},
	{"openat", MONITOR, 0, ANY, 0},
	{"mkdir", MONITOR, 0, ANY, 0},
	{"mkdirat", MONITOR, 0, ANY, 0},
	{"chmod", MONITOR, 0, ANY, 0},
	{"fchmod", MONITOR, 0, ANY, 0},
	{"fchmodat", MONITOR, 0, ANY, 0},
	{"flock", MONITOR, 0, ANY, 0},
	{"access", MONITOR, 0, ANY, 0},
	{"faccessat", MONITOR, 0, ANY, 0},
	{"faccessat2", MONITOR, 0, ANY, 0},
	{"stat", MONITOR, 0, ANY, 0},
	{"fstat", MONITOR, 0, ANY, 0},
	{"newfstatat", MONITOR, 0, ANY, 0},
	{"fstatat64", MONITOR, 0, ANY, 0},
	{"statx", MONITOR, 0, ANY, 0},
	{"getdents64", MONITOR, 0, ANY, 0},
	{"lseek", MONITOR, 0, ANY, 0},
	{"_llseek", MONITOR, 0, ANY, 0},
	{"rename", MONITOR, 0, ANY, 0},
	{"renameat", MONITOR, 0, ANY, 0},
	{"renameat2", MONITOR, 0, ANY, 0},
	{"unlink", MONITOR, 0, ANY, 0},
	{"unlinkat", MONITOR, 0, ANY, 0},
};

/* Refused with an error that the C library knows to live with, instead of killing. */
static const struct refused {
	const char *name;
	unsigned int roles;
	int err;
} refusals[] = {
	{"clone3", BOTH, ENOSYS}, /* its flags lie in memory; clone(2) is tried next */
	{"open", RESPONDER, EACCES}, /* how many processors there are, for malloc(3) */
	{"openat", RESPONDER, EACCES},
};

static struct scmp_arg_cmp comparison(const struct allowed *allowed)
{
	unsigned int argument = allowed->argument;

	switch (allowed->condition) {
	case WITHOUT:
		return SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, allowed->value, 0);
	case WITH:
		return SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, allowed->value, allowed->value);
	default:
		return SCMP_CMP(argument, SCMP_CMP_EQ, allowed->value);
	}
}

static int allow(scmp_filter_ctx filter, const struct allowed *allowed)
{
	int number = seccomp_syscall_resolve_name(allowed->name);
	const struct scmp_arg_cmp compared = comparison(allowed);

	if (number < 0)
		return 0;
	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number,
				      allowed->condition == ANY ? 0 : 1, &compared);
}

static int refuse(scmp_filter_ctx filter, const struct refused *refused)
{
	int number = seccomp_syscall_resolve_name(refused->name);

	return number < 0 ? 0
			  : seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint16_t)refused->err), number,
					     0);
}

static int fill(scmp_filter_ctx filter, enum sandbox_role role)
{
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].roles & role)
			err = allow(filter, &table[i]);
	for (size_t i = 0; !err && i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (refusals[i].roles & role)
			err = refuse(filter, &refusals[i]);
	return err;
}

int sandbox_enter(enum sandbox_role role)
{
#ifdef __SANITIZE_ADDRESS__
	/* A sanitizer looks for leaks with system calls of its own, ptrace(2) among them. */
	(void)role;
	(void)fill;
	return 0;
#else
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err;

	if (!filter)
		return -ENOMEM;
	err = fill(filter, role);
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
#endif
}
