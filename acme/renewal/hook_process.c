// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/hook_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "acme/net/loop.h"

#define MS_PER_S     1000
#define KILL_AFTER_S 10 /* when SIGTERM did not end it */

struct hook_process {
	struct loop *loop;
	struct timer timer;
	struct watch watch;
	pid_t pid;
	int pidfd;
	bool is_late;
	void (*ended)(void *context, const struct hook_process_end *end);
	void *context;
};

/* What the service manager tells this process, and no other: a hook must not answer for us. */
static const char *const own_variables[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
					    "LISTEN_FDS",    "LISTEN_PID",    "LISTEN_FDNAMES"};

/* --- the environment --------------------------------------------------------------------------- */

static size_t name_length(const char *variable)
{
	return strcspn(variable, "=");
}

static bool has_name(const char *variable, const char *name, size_t length)
{
	return name_length(variable) == length && strncmp(variable, name, length) == 0;
}

static bool is_passed_on(const char *variable, char *const *variables)
{
	size_t i;

	for (i = 0; i < sizeof(own_variables) / sizeof(*own_variables); i++)
		if (has_name(variable, own_variables[i], strlen(own_variables[i])))
			return false;
	for (i = 0; variables[i]; i++)
		if (has_name(variable, variables[i], name_length(variables[i])))
			return false;
	return true;
}

/* A new array; what it points to belongs to the two.  NULL: out of memory. */
static char **make_environment(char *const *variables)
{
	size_t count = 0, added = 0, used = 0, i;
	char **list;

	while (environ[count])
		count++;
	while (variables[added])
		added++;
	list = calloc(count + added + 1, sizeof(*list));
	for (i = 0; list && i < added; i++)
		if (strchr(variables[i], '='))
			list[used++] = variables[i];
	for (i = 0; list && i < count; i++)
		if (is_passed_on(environ[i], variables))
			list[used++] = environ[i];
	return list;
}

/* --- starting ---------------------------------------------------------------------------------- */

/* 0 or a positive errno. */
static int set_files(posix_spawn_file_actions_t *files)
{
	int err = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

	if (!err)
		err = posix_spawn_file_actions_adddup2(files, STDERR_FILENO, STDOUT_FILENO);
	if (!err)
		err = posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1);
	return err;
}

/* 0 or -errno. */
static int spawn_program(pid_t *ret_pid, const struct hook_process_options *options,
			 char **environment)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int err;

	sigemptyset(&none);
	sigfillset(&all);
	err = posix_spawn_file_actions_init(&files);
	if (err)
		return -err;
	err = posix_spawnattr_init(&attributes);
	if (err) {
		posix_spawn_file_actions_destroy(&files);
		return -err;
	}
	err = set_files(&files);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						      POSIX_SPAWN_SETPGROUP);
	if (!err)
		err = posix_spawn(ret_pid, options->program, &files, &attributes,
				  options->arguments, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return -err;
}

static void on_process_end(void *context, uint32_t events)
{
	struct hook_process *process = context, ended = *process;
	struct hook_process_end end = {.is_late = process->is_late};
	siginfo_t info = {0};

	(void)events;
	if (waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED | WNOHANG) || !info.si_pid)
		return;
	if (info.si_code == CLD_EXITED)
		end.status = info.si_status;
	else
		end.signal = info.si_status;
	hook_process_free(process);
	ended.ended(ended.context, &end);
}

/* The program and what it has started: they are a process group of their own. */
static void on_process_late(void *context)
{
	struct hook_process *process = context;

	kill(-process->pid, process->is_late ? SIGKILL : SIGTERM);
	process->is_late = true;
	loop_timer_start(process->loop, &process->timer, KILL_AFTER_S * MS_PER_S, on_process_late,
			 process);
}

/* What cannot be watched must not run: nobody would learn how it ends. */
static void end_process(pid_t pid)
{
	kill(-pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Spawn and watch.  0 or -errno: nothing runs. */
static int launch_process(struct hook_process *process, const struct hook_process_options *options,
			  char **environment)
{
	/* A descriptor kept free for the pidfd: when none is left, nothing is started. */
	int spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int err;

	if (spare < 0)
		return -errno;
	err = spawn_program(&process->pid, options, environment);
	close(spare);
	if (err)
		return err;
	/* The child is not waited for before this: the number is still its own. */
	process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
	err = process->pidfd < 0 ? -errno
				 : loop_watch_start(process->loop, &process->watch, process->pidfd,
						    EPOLLIN, on_process_end, process);
	if (err)
		end_process(process->pid);
	return err;
}

int hook_process_start(struct hook_process **ret_process,
		       const struct hook_process_options *options)
{
	struct hook_process *process = calloc(1, sizeof(*process));
	char **environment = make_environment(options->variables);
	int err;

	if (!process || !environment) {
		free(environment);
		free(process);
		return -ENOMEM;
	}
	process->loop = options->loop;
	process->pidfd = -1;
	process->ended = options->ended;
	process->context = options->context;
	err = launch_process(process, options, environment);
	free(environment);
	if (err) {
		hook_process_free(process);
		return err;
	}
	loop_timer_start(process->loop, &process->timer, options->time_max_s * MS_PER_S,
			 on_process_late, process);
	*ret_process = process;
	return 0;
}

void hook_process_free(struct hook_process *process)
{
	if (!process)
		return;
	loop_timer_stop(process->loop, &process->timer);
	loop_watch_stop(process->loop, &process->watch);
	if (process->pidfd >= 0)
		close(process->pidfd);
	free(process);
}
