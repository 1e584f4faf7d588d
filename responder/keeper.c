// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/keeper.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "responder/attachment.h"

/* Of all descriptors keep standard error, the channel and the links. */
static void close_others(const struct attachments *attachments, int channel_fd)
{
	int last = sysconf(_SC_OPEN_MAX) > 65536 ? 65536 : (int)sysconf(_SC_OPEN_MAX);

	for (int fd = 0; fd < last; fd++) {
		bool keep = fd == STDERR_FILENO || fd == channel_fd ||
			    fd == attachments->lookup_link_fd;

		for (size_t i = 0; !keep && i < attachments->count; i++)
			keep = fd == attachments->list[i].link_fd;
		if (!keep)
			close(fd);
	}
}

/* A link is removed by closing it; a clsact filter needs the right to administer the network. */
static int keep_only_needed_capability(const struct attachments *attachments)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	if (!attachments->tcx) {
		data[0].effective = 1u << CAP_NET_ADMIN;
		data[0].permitted = 1u << CAP_NET_ADMIN;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_capset, &header, data))
		return -errno;
	return 0;
}

/* The keeper's whole life. */
static _Noreturn void keep(struct attachments *attachments, int channel_fd)
{
	char byte;
	ssize_t size;
	int err;

	/* It ends with the responder, not with a signal that was meant for the responder. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_NAME, "sidestep-keeper", 0, 0, 0);
	close_others(attachments, channel_fd);
	err = keep_only_needed_capability(attachments);
	if (err)
		log_warning("the keeper could not give up its privileges: %s", strerror(-err));
	do
		size = read(channel_fd, &byte, 1);
	while (size > 0 || (size < 0 && errno == EINTR));
	attachments_remove(attachments);
	_exit(0);
}

int keeper_start(struct keeper *ret_keeper, struct attachments *attachments)
{
	int err, fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return -errno;
	pid = fork();
	if (pid < 0) {
		err = -errno;
		close(fds[0]);
		close(fds[1]);
		return err;
	}
	if (!pid)
		keep(attachments, fds[1]);
	close(fds[1]);
	for (size_t i = 0; i < attachments->count; i++) {
		if (attachments->list[i].link_fd >= 0)
			close(attachments->list[i].link_fd);
		attachments->list[i].link_fd = -1;
	}
	close(attachments->lookup_link_fd);
	attachments->lookup_link_fd = -1;
	*ret_keeper = (struct keeper){.pid = pid, .channel_fd = fds[0]};
	return 0;
}

void keeper_stop(struct keeper *keeper)
{
	ssize_t size;
	char byte;

	/* Its end of the channel closes when it exits, which may be as another process's child. */
	shutdown(keeper->channel_fd, SHUT_WR);
	do
		size = read(keeper->channel_fd, &byte, 1);
	while (size > 0 || (size < 0 && errno == EINTR));
	close(keeper->channel_fd);
	waitpid(keeper->pid, NULL, 0);
}
