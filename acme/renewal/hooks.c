// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/hooks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "acme/util/failure.h"
#include "acme/net/loop.h"
#include "acme/util/output.h"
#include "acme/util/string_list.h"
#include "common/paths.h"

#define MS_PER_S     1000
#define KILL_AFTER_S 10 /* when SIGTERM did not end it */
#define VARIABLES    3
#define PROGRAM_MAX  (PATHS_MAX + 64 + 256)

struct job {
	TAILQ_ENTRY(job) link;
	char *command, *directory; /* as in hooks_call */
	char *variables[VARIABLES]; /* NAME=VALUE, for the environment; NULL: not set */
	void (*done)(void *context, struct failure *failure);
	void *context;
	struct dirent **programs; /* of a directory */
	int program_count, next; /* -1: the directory has not been read */
	struct failure failure;
};

struct hooks {
	struct loop *loop;
	const struct paths *paths;
	TAILQ_HEAD(job_list, job) jobs; /* the first is under way */
	struct timer timer; /* begins the first job; or ends a program */
	struct watch watch;
	pid_t pid; /* 0: no program runs */
	int pidfd;
	bool is_late; /* it was asked to end */
	char program[PROGRAM_MAX]; /* that runs, for messages */
};

static void hooks_step(void *context);

/* --- jobs ------------------------------------------------------------------------------------- */

static void call_free(struct job *job)
{
	while (job->program_count > 0)
		free(job->programs[--job->program_count]);
	free(job->programs);
	free(job->command);
	free(job->directory);
	for (size_t i = 0; i < VARIABLES; i++)
		free(job->variables[i]);
	failure_done(&job->failure);
	free(job);
}

/* Make "NAME=VALUE" of a value that is there.  0 or -ENOMEM. */
static int set_variable(char **variable, const char *name, const char *value)
{
	if (!value || asprintf(variable, "%s=%s", name, value) >= 0)
		return 0;
	*variable = NULL;
	return -ENOMEM;
}

static int set_domains(char **variable, const char *name, const struct string_list *domains)
{
	char *text;
	int err;

	if (!domains)
		return 0;
	text = string_list_join(domains, ' ');
	err = text ? set_variable(variable, name, text) : -ENOMEM;
	free(text);
	return err;
}

/* Copy what the call says. */
static int job_fill(struct job *job, const struct hooks_call *call)
{
	job->done = call->done;
	job->context = call->context;
	job->command = call->command ? strdup(call->command) : NULL;
	job->directory = call->directory ? strdup(call->directory) : NULL;
	if ((call->command && !job->command) || (call->directory && !job->directory) ||
	    set_variable(&job->variables[0], "RENEWED_LINEAGE", call->lineage) ||
	    set_domains(&job->variables[1], "RENEWED_DOMAINS", call->renewed) ||
	    set_domains(&job->variables[2], "FAILED_DOMAINS", call->failed))
		return -ENOMEM;
	return 0;
}

int hooks_run(struct hooks *hooks, const struct hooks_call *call)
{
	struct job *job = calloc(1, sizeof(*job));
	bool is_first = TAILQ_EMPTY(&hooks->jobs);

	if (!job)
		return -ENOMEM;
	job->program_count = job->next = -1;
	if (job_fill(job, call)) {
		call_free(job);
		return -ENOMEM;
	}
	TAILQ_INSERT_TAIL(&hooks->jobs, job, link);
	if (is_first)
		loop_timer_start(hooks->loop, &hooks->timer, 0, hooks_step, hooks);
	return 0;
}

static void end_job(struct hooks *hooks, struct job *job)
{
	TAILQ_REMOVE(&hooks->jobs, job, link);
	if (!TAILQ_EMPTY(&hooks->jobs))
		loop_timer_start(hooks->loop, &hooks->timer, 0, hooks_step, hooks);
	job->done(job->context, &job->failure);
	call_free(job);
}

/* --- one program ------------------------------------------------------------------------------ */

static void explain_end(const struct hooks *hooks, const siginfo_t *info, struct failure *failure)
{
	const char *next_step =
		"correct the hook, then run it by hand: the certificate is in place";

	if (hooks->is_late)
		failure_set(failure, next_step, "the hook was ended, as it took more than %d s: %s",
			    HOOKS_TIME_MAX_S, hooks->program);
	else if (info->si_code != CLD_EXITED)
		failure_set(failure, next_step, "the hook was ended by signal %d: %s",
			    info->si_status, hooks->program);
	else if (info->si_status)
		failure_set(failure, next_step, "the hook failed with status %d: %s",
			    info->si_status, hooks->program);
}

static void on_program_end(void *context, uint32_t events)
{
	struct hooks *hooks = context;
	siginfo_t info = {0};

	(void)events;
	if (waitid(P_PIDFD, (id_t)hooks->pidfd, &info, WEXITED | WNOHANG) || !info.si_pid)
		return;
	loop_timer_stop(hooks->loop, &hooks->timer);
	loop_watch_stop(hooks->loop, &hooks->watch);
	close(hooks->pidfd);
	hooks->pid = 0;
	explain_end(hooks, &info, &TAILQ_FIRST(&hooks->jobs)->failure);
	hooks_step(hooks);
}

/* The program and what it has started: they are a process group of their own. */
static void on_program_late(void *context)
{
	struct hooks *hooks = context;

	kill(-hooks->pid, hooks->is_late ? SIGKILL : SIGTERM);
	hooks->is_late = true;
	loop_timer_start(hooks->loop, &hooks->timer, KILL_AFTER_S * MS_PER_S, on_program_late,
			 hooks);
}

/* Ours, with the job's variables before it; what it points to belongs to the two. */
static char **make_environment(const struct job *job)
{
	size_t count = 0, used = 0, i;
	char **list;

	while (environ[count])
		count++;
	list = calloc(count + VARIABLES + 1, sizeof(*list));
	for (i = 0; list && i < VARIABLES; i++)
		if (job->variables[i])
			list[used++] = job->variables[i];
	for (i = 0; list && i < count; i++)
		list[used++] = environ[i];
	return list;
}

/* It gets nothing of ours but standard error, and signals as they are by default.  0 or -errno. */
static int spawn_program(pid_t *ret_pid, const char *program, char *const arguments[],
			 char **environment)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, ignored;
	int err;

	sigemptyset(&none);
	sigemptyset(&ignored);
	sigaddset(&ignored, SIGPIPE);
	err = posix_spawn_file_actions_init(&files);
	if (err)
		return -err;
	err = posix_spawnattr_init(&attributes);
	if (err) {
		posix_spawn_file_actions_destroy(&files);
		return -err;
	}
	err = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (!err)
		err = posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &ignored);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						      POSIX_SPAWN_SETPGROUP);
	if (!err)
		err = posix_spawn(ret_pid, program, &files, &attributes, arguments, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return -err;
}

/* 0 or -errno. */
static int program_start(struct hooks *hooks, const struct job *job, const char *program,
			 char *const arguments[])
{
	char **environment = make_environment(job);
	int err =
		environment ? spawn_program(&hooks->pid, program, arguments, environment) : -ENOMEM;

	free(environment);
	if (err)
		return err;
	hooks->is_late = false;
	/* The child is not waited for before this: the number is still its own. */
	hooks->pidfd = (int)syscall(SYS_pidfd_open, hooks->pid, 0);
	err = hooks->pidfd < 0 ? -errno
			       : loop_watch_start(hooks->loop, &hooks->watch, hooks->pidfd, EPOLLIN,
						  on_program_end, hooks);
	if (err) {
		/* It is there, and cannot be watched: then it is waited for. */
		if (hooks->pidfd >= 0)
			close(hooks->pidfd);
		while (waitpid(hooks->pid, NULL, 0) < 0 && errno == EINTR)
			;
		hooks->pid = 0;
		return err;
	}
	loop_timer_start(hooks->loop, &hooks->timer, HOOKS_TIME_MAX_S * MS_PER_S, on_program_late,
			 hooks);
	return 0;
}

/* --- one call --------------------------------------------------------------------------------- */

static int is_program(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Who may write it may do all that we may. */
static bool may_be_run(const char *path)
{
	struct stat status;

	if (stat(path, &status) || !S_ISREG(status.st_mode) || access(path, X_OK))
		return false;
	if ((status.st_uid == 0 || status.st_uid == geteuid()) &&
	    !(status.st_mode & (S_IWGRP | S_IWOTH)))
		return true;
	output_warning("%s is not run: others than its owner, root or this user, may write it "
		       "(chmod go-w, chown)",
		       path);
	return false;
}

/* 1: a program runs; 0: none is left; -errno. */
static int start_next_program(struct hooks *hooks, struct job *job)
{
	char path[PATHS_MAX + 64];
	char *arguments[] = {hooks->program, NULL};
	int err;

	snprintf(path, sizeof(path), "%s/renewal-hooks/%s", hooks->paths->conf, job->directory);
	if (job->next < 0) {
		job->program_count = scandir(path, &job->programs, is_program, by_bytes);
		job->next = 0;
		if (job->program_count < 0 && errno != ENOENT)
			return -errno;
	}
	while (job->next < job->program_count) {
		snprintf(hooks->program, sizeof(hooks->program), "%s/%s", path,
			 job->programs[job->next++]->d_name);
		if (!may_be_run(hooks->program))
			continue;
		err = program_start(hooks, job, hooks->program, arguments);
		return err ? err : 1;
	}
	return 0;
}

/* The same for a command. */
static int start_command(struct hooks *hooks, struct job *job)
{
	char *const arguments[] = {"sh", "-c", job->command, NULL};
	int err;

	if (job->next == 0)
		return 0;
	job->next = 0;
	snprintf(hooks->program, sizeof(hooks->program), "%s", job->command);
	err = program_start(hooks, job, "/bin/sh", arguments);
	return err ? err : 1;
}

/* Run the first job's next program, or end it. */
static void hooks_step(void *context)
{
	struct hooks *hooks = context;
	struct job *job = TAILQ_FIRST(&hooks->jobs);
	int result;

	do {
		result = job->command ? start_command(hooks, job) : start_next_program(hooks, job);
		if (result < 0)
			failure_set_errno(&job->failure, -result, "cannot run the hook %s",
					  job->command ? job->command : hooks->program);
	} while (result < 0 && job->next < job->program_count);
	if (result != 1)
		end_job(hooks, job);
}

/* --- as a whole ------------------------------------------------------------------------------- */

int hooks_new(struct hooks **ret_hooks, struct loop *loop, const struct paths *paths)
{
	struct hooks *hooks = calloc(1, sizeof(*hooks));

	if (!hooks)
		return -ENOMEM;
	hooks->loop = loop;
	hooks->paths = paths;
	TAILQ_INIT(&hooks->jobs);
	*ret_hooks = hooks;
	return 0;
}

void hooks_free(struct hooks *hooks)
{
	struct job *job;

	if (!hooks)
		return;
	loop_timer_stop(hooks->loop, &hooks->timer);
	loop_watch_stop(hooks->loop, &hooks->watch);
	if (hooks->pid)
		close(hooks->pidfd);
	while ((job = TAILQ_FIRST(&hooks->jobs))) {
		TAILQ_REMOVE(&hooks->jobs, job, link);
		call_free(job);
	}
	free(hooks);
}

bool hooks_are_idle(const struct hooks *hooks)
{
	return TAILQ_EMPTY(&hooks->jobs);
}
