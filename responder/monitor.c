// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/monitor.h"

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
#include "common/paths.h"
#include "responder/attachment.h"
#include "responder/netns.h"
#include "responder/steer.h"
#include "responder/watch.h"

/* --- what it needs, and no more ---------------------------------------------------- */

static bool is_needed(int fd, const struct monitor_options *options, int channel_fd)
{
	const struct tcp_repair_maps *maps = &options->tcp_repair_maps;

	if (options->steer->netns && fd == options->steer->netns->pidfd)
		return true;
	if (fd == STDERR_FILENO || fd == channel_fd || fd == maps->adoptions_fd ||
	    fd == maps->flows_fd)
		return true;
	for (size_t i = 0; i < options->steer->threads; i++)
		if (fd == options->adoption_fds[i])
			return true;
	return false;
}

/* The responder's sockets above all must not outlive it here. */
static void close_others(const struct monitor_options *options, int channel_fd)
{
	int last = sysconf(_SC_OPEN_MAX) > 65536 ? 65536 : (int)sysconf(_SC_OPEN_MAX);

	for (int fd = 0; fd < last; fd++)
		if (!is_needed(fd, options, channel_fd))
			close(fd);
}

/*
 * Attaching to interfaces that come takes the rights to administer the network
 * and to use BPF.  TCP_REPAIR takes the first, too, and binds production's port.
 */
static int keep_only_needed_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	data[CAP_TO_INDEX(CAP_NET_ADMIN)].permitted |= CAP_TO_MASK(CAP_NET_ADMIN);
	data[CAP_TO_INDEX(CAP_BPF)].permitted |= CAP_TO_MASK(CAP_BPF);
	data[CAP_TO_INDEX(CAP_NET_BIND_SERVICE)].permitted |= CAP_TO_MASK(CAP_NET_BIND_SERVICE);
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		data[i].effective = data[i].permitted;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_capset, &header, data))
		return -errno;
	return 0;
}

/* --- its life ------------------------------------------------------------------------ */

/*
 * What the responder tells its monitor, a byte each, and what the monitor sees by itself: that
 * the channel ends without such a byte (the responder is dead), or that the namespace has ended.
 */
enum order {
	ORDER_TAKE_OVER = 't',
	ORDER_DETACH = 'd',
	ORDER_LEAVE = 'l',
	ORDER_NONE = 0,
	ORDER_NETNS_ENDED = 1,
};

/* What the monitor says to the responder, a byte. */
#define SAY_NETNS_ENDED 'e'

static enum order read_order(int channel_fd)
{
	char byte;

	return read(channel_fd, &byte, sizeof(byte)) > 0 ? (enum order)byte : ORDER_NONE;
}

/* The responder is in the namespace, too, and has to end. */
static void say_netns_ended(int channel_fd)
{
	const char byte = SAY_NETNS_ENDED;

	/* The end of the channel says enough, though less. */
	if (send(channel_fd, &byte, sizeof(byte), MSG_NOSIGNAL) < 0)
		log_debug("cannot tell the responder: %s", strerror(errno));
}

static int sooner(int a_ms, int b_ms)
{
	return a_ms < b_ms ? a_ms : b_ms;
}

/* Watch and adopt connections until the responder ends, and say how it did. */
static enum order work_until_end(struct watch *watch, const struct monitor_options *options,
				 struct tcp_repair *repair, int channel_fd)
{
	struct pollfd polled[] = {
		{.fd = channel_fd, .events = POLLIN},
		{.fd = watch_fd(watch), .events = POLLIN},
		{.fd = options->waits ? -1 : tcp_repair_fd(repair), .events = POLLIN},
	};
	bool waits = options->waits;
	enum order order;

	for (;;) {
		if (watch_work(watch) == WATCH_NETNS_ENDED)
			return ORDER_NETNS_ENDED;
		if (poll(polled, sizeof(polled) / sizeof(polled[0]),
			 sooner(watch_pause_ms(watch), tcp_repair_pause_ms(repair))) < 0)
			continue; /* a signal that is ignored */
		if (!waits)
			tcp_repair_work(repair);
		if (!polled[0].revents)
			continue;
		order = read_order(channel_fd);
		if (order != ORDER_TAKE_OVER)
			/* One that dies before its turn has changed nothing. */
			return order == ORDER_NONE && waits ? ORDER_LEAVE : order;
		waits = false;
		polled[2].fd = tcp_repair_fd(repair);
	}
}

/* The monitor's whole life. */
static _Noreturn void keep(struct interfaces *interfaces, const struct monitor_options *options,
			   int channel_fd)
{
	struct tcp_repair *repair = NULL;
	enum order order = ORDER_DETACH;
	struct watch *watch = NULL;
	int err;

	/* It ends with the responder, not with a signal that was meant for the responder. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_NAME, "sidestep-monitor", 0, 0, 0);
	close_others(options, channel_fd);
	err = watch_new(&watch, interfaces, options->steer);
	if (!err)
		err = tcp_repair_new(&repair, &options->tcp_repair_maps, options->adoption_fds,
				     options->steer->threads);
	if (!err)
		err = keep_only_needed_capabilities();
	if (err)
		log_error("the monitor cannot work: %s", strerror(-err));
	else
		order = work_until_end(watch, options, repair, channel_fd);
	if (order != ORDER_LEAVE)
		__atomic_store_n(options->heartbeat, 0, __ATOMIC_RELAXED);
	if (order == ORDER_DETACH || order == ORDER_NETNS_ENDED)
		attachment_detach_all(options->steer->paths);
	if (order == ORDER_NETNS_ENDED)
		say_netns_ended(channel_fd);
	tcp_repair_free(repair);
	watch_free(watch);
	_exit(err ? 1 : 0);
}

int monitor_start(struct monitor *ret_monitor, struct interfaces *interfaces,
		  const struct monitor_options *options)
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
		keep(interfaces, options, fds[1]);
	close(fds[1]);
	*ret_monitor = (struct monitor){.pid = pid, .channel_fd = fds[0]};
	return 0;
}

static void give_order(const struct monitor *monitor, enum order order)
{
	const char byte = (char)order;

	/* A dead monitor hears nothing: the next responder, or --unload, clears up then. */
	if (send(monitor->channel_fd, &byte, sizeof(byte), MSG_NOSIGNAL) < 0)
		log_debug("the monitor is gone already: %s", strerror(errno));
}

enum monitor_end monitor_hear(const struct monitor *monitor)
{
	char byte;

	return read(monitor->channel_fd, &byte, 1) == 1 && byte == SAY_NETNS_ENDED
		       ? MONITOR_NETNS_ENDED
		       : MONITOR_DIED;
}

void monitor_take_over(const struct monitor *monitor)
{
	give_order(monitor, ORDER_TAKE_OVER);
}

void monitor_stop(struct monitor *monitor, bool detach)
{
	ssize_t size;
	char byte;

	give_order(monitor, detach ? ORDER_DETACH : ORDER_LEAVE);
	/* Its end of the channel closes when it exits, which may be as another process's child. */
	do
		size = read(monitor->channel_fd, &byte, 1);
	while (size > 0 || (size < 0 && errno == EINTR));
	close(monitor->channel_fd);
	waitpid(monitor->pid, NULL, 0);
}
