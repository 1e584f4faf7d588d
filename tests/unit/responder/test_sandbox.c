// SPDX-License-Identifier: GPL-3.0-or-later
/* What a process that was taken over cannot do: each attempt in a child, which it kills. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "responder/sandbox.h"

#define FORBIDDEN(name, call)               \
	static void name(void)              \
	{                                   \
		long result = (long)(call); \
		(void)result;               \
	}

static long bpf(enum bpf_cmd command)
{
	union bpf_attr attr = {0};

	return syscall(SYS_bpf, command, &attr, sizeof(attr));
}

FORBIDDEN(start_a_program, execl("/bin/true", "true", NULL))
FORBIDDEN(make_a_process, fork())
FORBIDDEN(write_a_map, bpf(BPF_MAP_UPDATE_ELEM))
FORBIDDEN(pin_a_map, bpf(BPF_OBJ_PIN))
FORBIDDEN(load_a_program, bpf(BPF_PROG_LOAD))
FORBIDDEN(get_a_map, bpf(BPF_MAP_GET_FD_BY_ID))
FORBIDDEN(open_a_socket, socket(AF_INET, SOCK_STREAM, 0))
FORBIDDEN(open_a_raw_socket, socket(AF_PACKET, SOCK_RAW, 0))
FORBIDDEN(connect_somewhere, connect(0, NULL, 0))
FORBIDDEN(send_a_descriptor, sendmsg(0, NULL, 0))
FORBIDDEN(bind_somewhere, bind(0, NULL, 0))
FORBIDDEN(map_code, mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
FORBIDDEN(make_code, mprotect(NULL, 4096, PROT_READ | PROT_EXEC))
FORBIDDEN(trace, ptrace(PTRACE_TRACEME, 0, NULL, NULL))
FORBIDDEN(signal_others, kill(getppid(), 0))
FORBIDDEN(become_root, setuid(0))
FORBIDDEN(mount_something, mount("none", "/", "tmpfs", 0, NULL))
FORBIDDEN(take_a_descriptor, syscall(SYS_pidfd_open, getppid(), 0))
FORBIDDEN(make_a_ring, syscall(SYS_io_uring_setup, 1, NULL))
FORBIDDEN(remove_a_file, unlink("/nonexistent"))

static const struct {
	void (*attempt)(void);
	unsigned int roles;
} attempts[] = {
	{start_a_program, SANDBOX_RESPONDER | SANDBOX_MONITOR},
	{make_a_process, SANDBOX_RESPONDER | SANDBOX_MONITOR},
	{write_a_map, SANDBOX_RESPONDER},
	{pin_a_map, SANDBOX_RESPONDER},
	{load_a_program, SANDBOX_RESPONDER | SANDBOX_MONITOR},
	{get_a_map, SANDBOX_RESPONDER | SANDBOX_MONITOR},
	{open_a_socket, SANDBOX_RESPONDER},
	{open_a_raw_socket, SANDBOX_RESPONDER | SANDBOX_MONITOR},
	{connect_somewhere, SANDBOX_RESPONDER},
	{send_a_descriptor, SANDBOX_RESPONDER},
	{bind_somewhere, SANDBOX_RESPONDER},
	{map_code, SANDBOX_RESPONDER | SANDBOX_MONITOR},
	{make_code, SANDBOX_RESPONDER | SANDBOX_MONITOR},
	{trace, SANDBOX_RESPONDER | SANDBOX_MONITOR},
	{signal_others, SANDBOX_RESPONDER | SANDBOX_MONITOR},
	{become_root, SANDBOX_RESPONDER | SANDBOX_MONITOR},
	{mount_something, SANDBOX_RESPONDER | SANDBOX_MONITOR},
	{take_a_descriptor, SANDBOX_RESPONDER | SANDBOX_MONITOR},
	{make_a_ring, SANDBOX_RESPONDER | SANDBOX_MONITOR},
	{remove_a_file, SANDBOX_RESPONDER},
};

/* Run it in the sandbox; how the child ended, as waitpid(2) has it. */
static int end_of(enum sandbox_role role, void (*run)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || sandbox_enter(role))
			_exit(99);
		run();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_forbidden(void **state)
{
	static const enum sandbox_role roles[] = {SANDBOX_RESPONDER, SANDBOX_MONITOR};

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip();
#endif
	for (size_t role = 0; role < 2; role++)
		for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
			int status;

			if (!(attempts[i].roles & roles[role]))
				continue;
			status = end_of(roles[role], attempts[i].attempt);
			if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
				print_error("role %zu, attempt %zu\n", role, i);
			assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
		}
}

static void *touch(void *argument)
{
	*(int *)argument = 1;
	free(malloc(1 << 20));
	return NULL;
}

/* What it needs still works, and what the C library tries is refused so that it can live on. */
static void work(void)
{
	pthread_t thread;
	int touched = 0;

	if (pthread_create(&thread, NULL, touch, &touched) || pthread_join(thread, NULL) ||
	    !touched)
		_exit(1);
	if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES)
		_exit(2);
	if (bpf(BPF_MAP_LOOKUP_ELEM) == 0 || errno == EPERM)
		_exit(3);
}

static void test_what_works(void **state)
{
	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip();
#endif
	assert_int_equal(end_of(SANDBOX_RESPONDER, work), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forbidden),
		cmocka_unit_test(test_what_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
