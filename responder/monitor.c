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

/* --- what it needs, and no more ---------------------------------------------------- */

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
enum word {
	WORD_NONE, /* the channel has ended, or carries what no responder says */
	/* the responder's: */
	WORD_ANSWERS,
	WORD_RETIRED,
	WORD_DETACH,
	/* the monitor's: */
	WORD_RETIRE,
	WORD_NETNS_ENDED,
	WORDS,
};

struct message {
	uint32_t word;
};

/* A dead one hears nothing, and whoever comes later clears up. */
static void say(int channel_fd, enum word word)
{
	const struct message message = {.word = word};

	if (send(channel_fd, &message, sizeof(message), MSG_NOSIGNAL) < 0)
		log_debug("the other process is gone already: %s", strerror(errno));
}

static enum word hear(int channel_fd)
{
	struct message message;
	ssize_t size;

	do
		size = recv(channel_fd, &message, sizeof(message), 0);
	while (size < 0 && errno == EINTR);
	return size == sizeof(message) && message.word < WORDS ? (enum word)message.word
							       : WORD_NONE;
}

/* --- its life ------------------------------------------------------------------------ */

/* Why it ends. */
enum end {
	END_NOT_YET,
	END_DETACH, /* the responder says so */
	END_LEAVE, /* another responder is at work */
	END_DEATH, /* the responder is dead */
	END_NETNS, /* the namespace has ended */
};

struct watchman {
	const struct monitor_options *options;
	struct handover *handover;
	struct watch *watch; /* NULL: nothing is steered, and no namespace was named */
	struct tcp_repair *repair; /* NULL: nothing is steered */
	struct held_acks *acks; /* with the former */
	int channel_fd; /* to the responder */
	int responder_pidfd; /* its end, whoever else may have a copy of the channel */
	int predecessor_fd; /* to its monitor, until it has retired; -1: none */
	int visitor_fd; /* who has connected and not asked yet; -1: nobody */
	int successor_fd; /* who has got the handover; -1: nobody */
	bool retiring; /* the successor answers, and the responder knows it */
};

static void close_channel(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Until then the predecessor's monitor is at work. */
static bool has_taken_over(const struct watchman *watchman)
{
	return watchman->predecessor_fd < 0;
}

static void take_over(struct watchman *watchman)
{
	int err;

	if (has_taken_over(watchman))
		return;
	err = handover_complete(watchman->predecessor_fd);
	/* The lock and all else is ours in any case. */
	if (err)
		log_warning("the responder before did not say that it retires: %s", strerror(-err));
	close_channel(&watchman->predecessor_fd);
}

static enum end hear_responder(struct watchman *watchman, enum word word)
{
	bool leaves = watchman->retiring || !has_taken_over(watchman);

	switch (word) {
	case WORD_ANSWERS:
		take_over(watchman);
		return END_NOT_YET;
	case WORD_RETIRED:
		return watchman->retiring ? END_LEAVE : END_NOT_YET;
	case WORD_DETACH:
		return leaves ? END_LEAVE : END_DETACH;
	default:
		/* One that dies before its turn, or after it, changes nothing. */
		return leaves ? END_LEAVE : END_DEATH;
	}
}

/* Whoever connects later than somebody who does not ask gets his place. */
static void meet_visitor(struct watchman *watchman)
{
	close_channel(&watchman->visitor_fd);
	watchman->visitor_fd = handover_accept(watchman->handover->control_fd);
}

static void hear_visitor(struct watchman *watchman)
{
	int err = handover_offer(watchman->visitor_fd, watchman->handover);

	if (!err) {
		watchman->successor_fd = watchman->visitor_fd;
		watchman->visitor_fd = -1;
		return;
	}
	log_warning("did not hand over to a process that asked for it: %s", strerror(-err));
	close_channel(&watchman->visitor_fd);
}

static void hear_successor(struct watchman *watchman)
{
	int heard = handover_hear(watchman->successor_fd);

	if (heard > 0) {
		watchman->retiring = true;
		say(watchman->channel_fd, WORD_RETIRE);
	} else if (heard < 0 && !watchman->retiring) {
		log_warning("the responder that was to take over is gone: going on");
		close_channel(&watchman->successor_fd);
	}
}

static bool adopts(const struct watchman *watchman)
{
	return watchman->repair && has_taken_over(watchman);
}

static int sooner(int a_ms, int b_ms)
{
	return a_ms < b_ms ? a_ms : b_ms;
}

/* For how long there is nothing to do unless something comes; -1: for ever. */
static int pause_ms(const struct watchman *watchman)
{
	int watch_ms;

	if (!watchman->watch)
		return -1;
	watch_ms = watch_pause_ms(watchman->watch);
	if (!adopts(watchman))
		return watch_ms;
	return sooner(watch_ms, sooner(tcp_repair_pause_ms(watchman->repair),
				       held_acks_pause_ms(watchman->acks)));
}

enum {
	POLLED_RESPONDER,
	POLLED_DEATH,
	POLLED_WATCH,
	POLLED_ADOPTIONS,
	POLLED_CONTROL,
	POLLED_VISITOR,
	POLLED_SUCCESSOR,
	POLLED
};

static void set_polled(const struct watchman *watchman, struct pollfd polled[POLLED])
{
	bool meets = watchman->successor_fd < 0 && has_taken_over(watchman);
	const int fds[POLLED] = {
		[POLLED_RESPONDER] = watchman->channel_fd,
		[POLLED_DEATH] = watchman->responder_pidfd,
		[POLLED_WATCH] = watchman->watch ? watch_fd(watchman->watch) : -1,
		[POLLED_ADOPTIONS] = adopts(watchman) ? tcp_repair_fd(watchman->repair) : -1,
		[POLLED_CONTROL] = meets ? watchman->handover->control_fd : -1,
		[POLLED_VISITOR] = meets ? watchman->visitor_fd : -1,
		/* Stop listening to it after telling the responder to retire. */
		[POLLED_SUCCESSOR] = watchman->retiring ? -1 : watchman->successor_fd,
	};

	for (int i = 0; i < POLLED; i++)
		polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
}

static enum end work_once(struct watchman *watchman)
{
	struct pollfd polled[POLLED];

	set_polled(watchman, polled);
	if (poll(polled, POLLED, pause_ms(watchman)) < 0)
		return END_NOT_YET; /* a signal that is ignored */
	if (adopts(watchman)) {
		tcp_repair_work(watchman->repair);
		held_acks_work(watchman->acks);
	}
	/* Take the waiting successor first: there may be another one. */
	if (polled[POLLED_VISITOR].revents)
		hear_visitor(watchman);
	else if (polled[POLLED_CONTROL].revents)
		meet_visitor(watchman);
	if (polled[POLLED_SUCCESSOR].revents)
		hear_successor(watchman);
	if (polled[POLLED_RESPONDER].revents)
		return hear_responder(watchman, hear(watchman->channel_fd));
	return polled[POLLED_DEATH].revents ? hear_responder(watchman, WORD_NONE) : END_NOT_YET;
}

/* Watch, hand over and adopt until the responder ends; how it did. */
static enum end work_until_end(struct watchman *watchman)
{
	enum end end = END_NOT_YET;

	while (end == END_NOT_YET) {
		if (watchman->watch && watch_work(watchman->watch) == WATCH_NETNS_ENDED)
			return END_NETNS;
		end = work_once(watchman);
	}
	return end;
}

/* The successor is the only one from here on. */
static void leave_to_successor(struct watchman *watchman)
{
	int err;

	handover_close(watchman->handover);
	listeners_leave(&watchman->handover->listeners);
	err = handover_say_retired(watchman->successor_fd);
	if (err)
		log_warning("cannot tell the successor: %s", strerror(-err));
}

static void finish(struct watchman *watchman, enum end end)
{
	bool steers = watchman->options->heartbeat;

	if (steers && end != END_LEAVE)
		__atomic_store_n(watchman->options->heartbeat, 0, __ATOMIC_RELAXED);
	if (steers && (end == END_DETACH || end == END_NETNS))
		attachment_detach_all(watchman->options->steer->paths);
	if (end == END_NETNS)
		say(watchman->channel_fd, WORD_NETNS_ENDED);
	/* Nobody accepts any more: the port is free at once. */
	if (end == END_DEATH)
		listeners_close(&watchman->handover->listeners);
	if (watchman->retiring)
		leave_to_successor(watchman);
}

static int open_work(struct watchman *watchman, struct interfaces *interfaces, pid_t responder)
{
	const struct monitor_options *options = watchman->options;
	int err = 0;

	watchman->responder_pidfd = (int)syscall(SYS_pidfd_open, responder, 0);
	if (watchman->responder_pidfd < 0)
		return -errno;
	if (options->heartbeat || options->steer->netns)
		err = watch_new(&watchman->watch, options->heartbeat ? interfaces : NULL,
				options->steer);
	if (!err && options->heartbeat)
		err = tcp_repair_new(&watchman->repair, &options->tcp_repair_maps,
				     options->adoption_fds, options->steer->threads);
	if (!err && options->heartbeat)
		err = held_acks_new(&watchman->acks, &options->held_acks_fds);
	if (!err)
		err = keep_only_needed_capabilities(options);
	return err ? err : sandbox_enter(SANDBOX_MONITOR);
}

/* The monitor's whole life. */
static _Noreturn void keep(struct interfaces *interfaces, const struct monitor_options *options,
			   int channel_fd, pid_t responder)
{
	struct watchman watchman = {
		.options = options,
		.handover = options->handover,
		.channel_fd = channel_fd,
		.predecessor_fd = options->predecessor_fd,
		.visitor_fd = -1,
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
		err = open_work(&watchman, interfaces, responder);
	if (err)
		log_error("the monitor cannot work: %s", strerror(-err));
	else
		finish(&watchman, work_until_end(&watchman));
	held_acks_free(watchman.acks);
	tcp_repair_free(watchman.repair);
	watch_free(watchman.watch);
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

enum monitor_word monitor_hear(const struct monitor *monitor)
{
	switch (hear(monitor->channel_fd)) {
	case WORD_RETIRE:
		return MONITOR_RETIRE;
	case WORD_NETNS_ENDED:
		return MONITOR_NETNS_ENDED;
	default:
		return MONITOR_DIED;
	}
}

void monitor_take_over(const struct monitor *monitor)
{
	say(monitor->channel_fd, WORD_ANSWERS);
}

static void end_with(struct monitor *monitor, enum word word)
{
	say(monitor->channel_fd, word);
	/* Its end of the channel closes when it exits, which may be as another process's child. */
	while (hear(monitor->channel_fd) != WORD_NONE)
		;
	close(monitor->channel_fd);
	waitpid(monitor->pid, NULL, 0);
}

void monitor_retire(struct monitor *monitor)
{
	end_with(monitor, WORD_RETIRED);
}

void monitor_stop(struct monitor *monitor)
{
	end_with(monitor, WORD_DETACH);
}
