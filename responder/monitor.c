// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/paths.h"
#include "responder/attachment.h"
#include "responder/handover.h"
#include "responder/listener.h"
#include "responder/netns.h"
#include "responder/privileges.h"
#include "responder/sandbox.h"
#include "responder/steer.h"
#include "responder/watch.h"

/* --- privileges ------------------------------------------------------------------- */

static bool is_handed_over(int fd, const struct handover *handover)
{
	if (fd == handover->lock_fd || fd == handover->control_fd || fd == handover->alive_fd)
		return true;
	for (unsigned int thread = 0; thread < handover->listeners.threads; thread++)
		for (int family = 0; family < STEER_FAMILIES; family++)
			if (fd == handover->listeners.fds[thread][family])
				return true;
	return false;
}

static bool is_needed(int fd, const struct monitor_options *options, int channel_fd)
{
	const struct tcp_repair_maps *maps = &options->tcp_repair_maps;
	const struct held_acks_fds *held = &options->held_acks_fds;

	if (options->steer->netns && fd == options->steer->netns->pidfd)
		return true;
	if (fd <= STDERR_FILENO || fd == channel_fd || fd == maps->adoptions_fd ||
	    fd == maps->flows_fd || fd == held->held_fd || fd == held->release_fd ||
	    fd == options->predecessor_fd)
		return true;
	for (size_t i = 0; maps->adoptions_fd >= 0 && i < options->steer->threads; i++)
		if (fd == options->adoption_fds[i])
			return true;
	return is_handed_over(fd, options->handover);
}

/* Of the standard descriptors only the log stays. */
static int close_others(const struct monitor_options *options, int channel_fd)
{
	int last = sysconf(_SC_OPEN_MAX) > 65536 ? 65536 : (int)sysconf(_SC_OPEN_MAX);
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDOUT_FILENO) < 0)
		return -errno;
	for (int fd = 0; fd < last; fd++)
		if (!is_needed(fd, options, channel_fd))
			close(fd);
	return 0;
}

/*
 * Without steering it needs none.  Attaching to interfaces that come takes the rights to
 * administer the network and to use BPF.  TCP_REPAIR takes the first, too, and binds
 * production's port.
 */
static int keep_only_needed_capabilities(const struct monitor_options *options)
{
	return privileges_keep(options->heartbeat ? PRIVILEGE(CAP_NET_ADMIN) | PRIVILEGE(CAP_BPF) |
							    PRIVILEGE(CAP_NET_BIND_SERVICE)
						  : 0);
}

/* --- the channel -------------------------------------------------------------------- */

/* Every message is one of these. */
enum message_kind {
	MESSAGE_NONE, /* the channel has ended, or the message is unknown */
	/* the responder's: */
	MESSAGE_ANSWERS,
	MESSAGE_RETIRED,
	MESSAGE_DETACH,
	/* the monitor's: */
	MESSAGE_RETIRE,
	MESSAGE_NETNS_ENDED,
	MESSAGE_KINDS,
};

struct message {
	uint32_t kind;
};

/* A dead receiver gets nothing; a later responder or monitor cleans up. */
static void send_message(int channel_fd, enum message_kind kind)
{
	const struct message message = {.kind = kind};

	if (send(channel_fd, &message, sizeof(message), MSG_NOSIGNAL) < 0)
		log_debug("the other process is gone already: %s", strerror(errno));
}

static enum message_kind receive_message(int channel_fd)
{
	struct message message;
	ssize_t size;

	do
		size = recv(channel_fd, &message, sizeof(message), 0);
	while (size < 0 && errno == EINTR);
	return size == sizeof(message) && message.kind < MESSAGE_KINDS
		       ? (enum message_kind)message.kind
		       : MESSAGE_NONE;
}

/* --- the monitor --------------------------------------------------------------------- */

/* Why the monitor ends. */
enum end {
	END_NOT_YET,
	END_DETACH, /* the responder has sent MESSAGE_DETACH */
	END_LEAVE, /* another responder is at work */
	END_DEATH, /* the responder is dead */
	END_NETNS, /* the namespace has ended */
};

struct monitor_process {
	const struct monitor_options *options;
	struct handover *handover;
	struct watch *watch; /* NULL: nothing is steered, and no namespace was named */
	struct tcp_repair *repair; /* NULL: nothing is steered */
	struct held_acks *acks; /* with the former */
	int channel_fd; /* to the responder */
	int responder_pidfd; /* its end, whoever else may have a copy of the channel */
	int predecessor_fd; /* to its monitor, until it has retired; -1: none */
	int requester_fd; /* connected, request not yet received; -1: none */
	int successor_fd; /* has got the handover; -1: none */
	bool retiring; /* the successor answers, and the responder knows it */
};

static void close_channel(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Until then the predecessor's monitor is at work. */
static bool has_taken_over(const struct monitor_process *self)
{
	return self->predecessor_fd < 0;
}

static void take_over(struct monitor_process *self)
{
	int err;

	if (has_taken_over(self))
		return;
	err = handover_complete(self->predecessor_fd);
	/* This monitor owns the lock and the sockets in any case. */
	if (err)
		log_warning("the previous responder did not confirm that it retires: %s",
			    strerror(-err));
	close_channel(&self->predecessor_fd);
}

static enum end receive_from_responder(struct monitor_process *self, enum message_kind kind)
{
	bool leaves = self->retiring || !has_taken_over(self);

	switch (kind) {
	case MESSAGE_ANSWERS:
		take_over(self);
		return END_NOT_YET;
	case MESSAGE_RETIRED:
		return self->retiring ? END_LEAVE : END_NOT_YET;
	case MESSAGE_DETACH:
		return leaves ? END_LEAVE : END_DETACH;
	default:
		/* One that dies before its turn, or after it, changes nothing. */
		return leaves ? END_LEAVE : END_DEATH;
	}
}

/* A new connection replaces one that has sent no request. */
static void accept_requester(struct monitor_process *self)
{
	close_channel(&self->requester_fd);
	self->requester_fd = handover_accept(self->handover->control_fd);
}

static void receive_request(struct monitor_process *self)
{
	int err = handover_offer(self->requester_fd, self->handover);

	if (!err) {
		self->successor_fd = self->requester_fd;
		self->requester_fd = -1;
		return;
	}
	log_warning("refused a handover request: %s", strerror(-err));
	close_channel(&self->requester_fd);
}

static void receive_from_successor(struct monitor_process *self)
{
	int received = handover_receive(self->successor_fd);

	if (received > 0) {
		self->retiring = true;
		send_message(self->channel_fd, MESSAGE_RETIRE);
	} else if (received < 0 && !self->retiring) {
		log_warning("the responder that should take over has ended: this one continues");
		close_channel(&self->successor_fd);
	}
}

static bool adopts(const struct monitor_process *self)
{
	return self->repair && has_taken_over(self);
}

static int sooner(int a_ms, int b_ms)
{
	return a_ms < b_ms ? a_ms : b_ms;
}

/* For how long there is nothing to do unless something comes; -1: for ever. */
static int pause_ms(const struct monitor_process *self)
{
	int watch_ms;

	if (!self->watch)
		return -1;
	watch_ms = watch_pause_ms(self->watch);
	if (!adopts(self))
		return watch_ms;
	return sooner(watch_ms,
		      sooner(tcp_repair_pause_ms(self->repair), held_acks_pause_ms(self->acks)));
}

enum {
	POLLED_RESPONDER,
	POLLED_DEATH,
	POLLED_WATCH,
	POLLED_ADOPTIONS,
	POLLED_CONTROL,
	POLLED_REQUESTER,
	POLLED_SUCCESSOR,
	POLLED
};

static void set_polled(const struct monitor_process *self, struct pollfd polled[POLLED])
{
	bool meets = self->successor_fd < 0 && has_taken_over(self);
	const int fds[POLLED] = {
		[POLLED_RESPONDER] = self->channel_fd,
		[POLLED_DEATH] = self->responder_pidfd,
		[POLLED_WATCH] = self->watch ? watch_fd(self->watch) : -1,
		[POLLED_ADOPTIONS] = adopts(self) ? tcp_repair_fd(self->repair) : -1,
		[POLLED_CONTROL] = meets ? self->handover->control_fd : -1,
		[POLLED_REQUESTER] = meets ? self->requester_fd : -1,
		/* Stop listening to it after telling the responder to retire. */
		[POLLED_SUCCESSOR] = self->retiring ? -1 : self->successor_fd,
	};

	for (int i = 0; i < POLLED; i++)
		polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
}

static enum end work_once(struct monitor_process *self)
{
	struct pollfd polled[POLLED];

	set_polled(self, polled);
	if (poll(polled, POLLED, pause_ms(self)) < 0)
		return END_NOT_YET; /* a signal that is ignored */
	if (adopts(self)) {
		tcp_repair_work(self->repair);
		held_acks_work(self->acks);
	}
	/* Take the waiting successor first: there may be another one. */
	if (polled[POLLED_REQUESTER].revents)
		receive_request(self);
	else if (polled[POLLED_CONTROL].revents)
		accept_requester(self);
	if (polled[POLLED_SUCCESSOR].revents)
		receive_from_successor(self);
	if (polled[POLLED_RESPONDER].revents)
		return receive_from_responder(self, receive_message(self->channel_fd));
	return polled[POLLED_DEATH].revents ? receive_from_responder(self, MESSAGE_NONE)
					    : END_NOT_YET;
}

/* Watch, hand over and adopt until the responder ends; how it did. */
static enum end work_until_end(struct monitor_process *self)
{
	enum end end = END_NOT_YET;

	while (end == END_NOT_YET) {
		if (self->watch && watch_work(self->watch) == WATCH_NETNS_ENDED)
			return END_NETNS;
		end = work_once(self);
	}
	return end;
}

/* The successor is the only one from here on. */
static void leave_to_successor(struct monitor_process *self)
{
	int err;

	handover_close(self->handover);
	listeners_leave(&self->handover->listeners);
	err = handover_send_retired(self->successor_fd);
	if (err)
		log_warning("cannot report to the successor that this responder has retired: %s",
			    strerror(-err));
}

static void finish(struct monitor_process *self, enum end end)
{
	bool steers = self->options->heartbeat;

	if (steers && end != END_LEAVE)
		__atomic_store_n(self->options->heartbeat, 0, __ATOMIC_RELAXED);
	if (steers && (end == END_DETACH || end == END_NETNS))
		attachment_detach_all(self->options->steer->paths);
	if (end == END_NETNS)
		send_message(self->channel_fd, MESSAGE_NETNS_ENDED);
	/* Nobody accepts any more: the port is free at once. */
	if (end == END_DEATH)
		listeners_close(&self->handover->listeners);
	if (self->retiring)
		leave_to_successor(self);
}

static int open_work(struct monitor_process *self, struct interfaces *interfaces, pid_t responder)
{
	const struct monitor_options *options = self->options;
	int err = 0;

	self->responder_pidfd = (int)syscall(SYS_pidfd_open, responder, 0);
	if (self->responder_pidfd < 0)
		return -errno;
	if (options->heartbeat || options->steer->netns)
		err = watch_new(&self->watch, options->heartbeat ? interfaces : NULL,
				options->steer);
	if (!err && options->heartbeat)
		err = tcp_repair_new(&self->repair, &options->tcp_repair_maps,
				     options->adoption_fds, options->steer->threads);
	if (!err && options->heartbeat)
		err = held_acks_new(&self->acks, &options->held_acks_fds);
	if (!err)
		err = keep_only_needed_capabilities(options);
	return err ? err : sandbox_enter(SANDBOX_MONITOR);
}

/* The main function of the monitor process. */
static _Noreturn void keep(struct interfaces *interfaces, const struct monitor_options *options,
			   int channel_fd, pid_t responder)
{
	struct monitor_process self = {
		.options = options,
		.handover = options->handover,
		.channel_fd = channel_fd,
		.predecessor_fd = options->predecessor_fd,
		.requester_fd = -1,
		.successor_fd = -1,
	};
	int err;

	/* It ends with the responder, not with a signal that was meant for the responder. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_NAME, "sidestep-monitor", 0, 0, 0);
	err = close_others(options, channel_fd);
	if (!err)
		err = open_work(&self, interfaces, responder);
	if (err)
		log_error("the monitor cannot work: %s", strerror(-err));
	else
		finish(&self, work_until_end(&self));
	held_acks_free(self.acks);
	tcp_repair_free(self.repair);
	watch_free(self.watch);
	_exit(err ? 1 : 0);
}

/* --- the responder's side --------------------------------------------------------------- */

int monitor_start(struct monitor *ret_monitor, struct interfaces *interfaces,
		  const struct monitor_options *options)
{
	pid_t pid, responder = getpid();
	int err, fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -errno;
	pid = fork();
	if (pid < 0) {
		err = -errno;
		close(fds[0]);
		close(fds[1]);
		return err;
	}
	if (!pid)
		keep(interfaces, options, fds[1], responder);
	close(fds[1]);
	*ret_monitor = (struct monitor){.pid = pid, .channel_fd = fds[0]};
	return 0;
}

enum monitor_message monitor_receive(const struct monitor *monitor)
{
	switch (receive_message(monitor->channel_fd)) {
	case MESSAGE_RETIRE:
		return MONITOR_RETIRE;
	case MESSAGE_NETNS_ENDED:
		return MONITOR_NETNS_ENDED;
	default:
		return MONITOR_DIED;
	}
}

void monitor_take_over(const struct monitor *monitor)
{
	send_message(monitor->channel_fd, MESSAGE_ANSWERS);
}

static void end_with(struct monitor *monitor, enum message_kind kind)
{
	send_message(monitor->channel_fd, kind);
	/* Its end of the channel closes when it exits, which may be as another process's child. */
	while (receive_message(monitor->channel_fd) != MESSAGE_NONE)
		;
	close(monitor->channel_fd);
	waitpid(monitor->pid, NULL, 0);
}

void monitor_retire(struct monitor *monitor)
{
	end_with(monitor, MESSAGE_RETIRED);
}

void monitor_stop(struct monitor *monitor)
{
	end_with(monitor, MESSAGE_DETACH);
}
