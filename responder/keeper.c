// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/keeper.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "responder/adopter.h"
#include "responder/attachment.h"

static bool is_needed(int fd, const struct attachments *attachments,
		      const struct keeper_adoption *adoption, int channel_fd)
{
	if (fd == STDERR_FILENO || fd == channel_fd || fd == attachments->lookup_link_fd ||
	    fd == adoption->map_fd)
		return true;
	for (size_t i = 0; i < attachments->count; i++)
		if (fd == attachments->list[i].link_fd)
			return true;
	for (size_t i = 0; adoption->map_fd >= 0 && i < adoption->threads; i++)
		if (fd == adoption->send_fds[i])
			return true;
	return false;
}

/* The responder's sockets above all must not outlive it here. */
static void close_others(const struct attachments *attachments,
			 const struct keeper_adoption *adoption, int channel_fd)
{
	int last = sysconf(_SC_OPEN_MAX) > 65536 ? 65536 : (int)sysconf(_SC_OPEN_MAX);

	for (int fd = 0; fd < last; fd++)
		if (!is_needed(fd, attachments, adoption, channel_fd))
			close(fd);
}

/*
 * A link is removed by closing it; a clsact filter needs the right to administer
 * the network, and so does TCP_REPAIR, which also binds production's port.
 */
static int keep_only_needed_capabilities(const struct attachments *attachments,
					 const struct keeper_adoption *adoption)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	if (!attachments->tcx || adoption->map_fd >= 0)
		data[0].permitted |= 1u << CAP_NET_ADMIN;
	if (adoption->map_fd >= 0)
		data[0].permitted |= 1u << CAP_NET_BIND_SERVICE;
	data[0].effective = data[0].permitted;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_capset, &header, data))
		return -errno;
	return 0;
}

/* Adopt, in the second way, until the responder ends. */
static void work_until_end(struct adopter *adopter, int channel_fd)
{
	struct pollfd polled[] = {
		{.fd = channel_fd, .events = POLLIN},
		{.fd = adopter ? adopter_fd(adopter) : -1, .events = POLLIN},
	};

	while (!polled[0].revents) {
		if (poll(polled, 2, -1) < 0)
			polled[0].revents = 0; /* a signal that is ignored */
		else if (polled[1].revents)
			adopter_work(adopter);
	}
}

/* The keeper's whole life. */
static _Noreturn void keep(struct attachments *attachments, const struct keeper_adoption *adoption,
			   int channel_fd)
{
	struct adopter *adopter = NULL;
	int err = 0;

	/* It ends with the responder, not with a signal that was meant for the responder. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_NAME, "sidestep-keeper", 0, 0, 0);
	close_others(attachments, adoption, channel_fd);
	if (adoption->map_fd >= 0)
		err = adopter_new(&adopter, adoption->map_fd, adoption->send_fds,
				  adoption->threads);
	if (!err)
		err = keep_only_needed_capabilities(attachments, adoption);
	if (err)
		log_error("the keeper cannot work: %s", strerror(-err));
	else
		work_until_end(adopter, channel_fd);
	attachments_remove(attachments);
	adopter_free(adopter);
	_exit(err ? 1 : 0);
}

int keeper_start(struct keeper *ret_keeper, struct attachments *attachments,
		 const struct keeper_adoption *adoption)
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
		keep(attachments, adoption, fds[1]);
	close(fds[1]);
	for (size_t i = 0; i < attachments->count; i++) {
		if (attachments->list[i].link_fd >= 0)
			close(attachments->list[i].link_fd);
		attachments->list[i].link_fd = -1;
	}
	if (attachments->lookup_link_fd >= 0)
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
