/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/deploy.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "acme/failure.h"
#include "acme/names.h"
#include "acme/store.h"

static int set_environment(const struct stored *stored)
{
	char *names = names_join(stored->certificate.names, stored->certificate.name_count);
	int error;

	if (!names)
		return -ENOMEM;
	error = setenv("RENEWED_LINEAGE", stored->path, 1) || setenv("RENEWED_DOMAINS", names, 1)
			? -errno
			: 0;
	free(names);
	return error;
}

/* The shell gets nothing of ours but standard error, and signals as they are by default. */
static int spawn(pid_t *ret_pid, const char *hook)
{
	char *const arguments[] = {"sh", "-c", (char *)hook, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, ignored;
	int error;

	sigemptyset(&none);
	sigemptyset(&ignored);
	sigaddset(&ignored, SIGPIPE);
	error = posix_spawn_file_actions_init(&files);
	if (error)
		return -error;
	error = posix_spawnattr_init(&attributes);
	if (error) {
		posix_spawn_file_actions_destroy(&files);
		return -error;
	}
	error = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (!error)
		error = posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &ignored);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	if (!error)
		error = posix_spawn(ret_pid, "/bin/sh", &files, &attributes, arguments, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return -error;
}

int deploy_run_hook(const char *hook, const struct stored *stored, struct failure *failure)
{
	const char *next_step = "mend the hook, then run it by hand: the certificate is in place";
	int error, status;
	pid_t pid;

	error = set_environment(stored);
	if (!error)
		error = spawn(&pid, hook);
	if (error) {
		failure_set_errno(failure, -error, "cannot run the deploy hook");
		return -1;
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno == EINTR)
			continue;
		failure_set_errno(failure, errno, "waiting for the deploy hook");
		return -1;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status))
		failure_set(failure, next_step, "the deploy hook failed with status %d: %s",
			    WEXITSTATUS(status), hook);
	else
		failure_set(failure, next_step, "the deploy hook was ended by signal %d: %s",
			    WTERMSIG(status), hook);
	return -1;
}
