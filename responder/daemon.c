// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * One pipe serves both purposes: it is the daemon's standard error until a zero
 * byte, which log lines never contain, says that the daemon is ready.  So the
 * monitor, too, is left with no descriptor of the starter's terminal.
 */
#include "responder/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static const char ready_mark = '\0';

/* Copy the daemon's messages until it is ready or ends.  Returns the starter's exit status. */
static int wait_until_ready(pid_t pid, int pipe_fd)
{
	char words[4096], *mark;
	ssize_t length;
	int status;

	for (;;) {
		length = read(pipe_fd, words, sizeof(words));
		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			break;
		mark = memchr(words, ready_mark, (size_t)length);
		if (mark)
			length = mark - words;
		/* A terminal that is gone is no reason to give up the daemon. */
		while (length && write(STDERR_FILENO, words, (size_t)length) < 0 && errno == EINTR)
			;
		if (mark)
			return 0;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1;
}

/* /dev/null, opened while the process still can. */
static int null_fd = -1;

int daemon_start(void)
{
	int err, fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid < 0) {
		err = -errno;
		close(fds[0]);
		close(fds[1]);
		return err;
	}
	if (pid) {
		close(fds[1]);
		_exit(wait_until_ready(pid, fds[0]));
	}
	setsid();
	if (chdir("/"))
		return -errno;
	if (dup2(fds[1], STDERR_FILENO) < 0)
		return -errno;
	for (int i = 0; i < 2; i++)
		if (fds[i] > STDERR_FILENO)
			close(fds[i]);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDOUT_FILENO) < 0
		       ? -errno
		       : 0;
}

int daemon_ready(void)
{
	int err;

	if (write(STDERR_FILENO, &ready_mark, 1) != 1)
		return -errno;
	err = dup2(null_fd, STDERR_FILENO) < 0 ? -errno : 0;
	close(null_fd);
	return err;
}
