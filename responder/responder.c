// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/responder.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/challenge_table.h"
#include "common/clock.h"
#include "common/conn_stats.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/paths.h"
#include "responder/daemon.h"
#include "responder/handover.h"
#include "responder/listener.h"
#include "responder/netns.h"
#include "responder/options.h"
#include "responder/server.h"
#include "responder/startup.h"
#include "responder/steer.h"

/* --- reports ---------------------------------------------------------------------- */

static void log_results(const struct responder *responder)
{
	uint64_t counts[CONN_STATS];
	char line[512] = "";
	size_t used = 0;

	server_conn_stats(responder->server, counts);
	for (int result = 0; result < CONN_STATS && used < sizeof(line); result++)
		used += (size_t)snprintf(line + used, sizeof(line) - used, "%s%s %llu",
					 used ? ", " : "", conn_stat_name(result),
					 (unsigned long long)counts[result]);
	log_info("connections: %s", line);
}

/* Read the signals that have come.  Whether one of them ends the responder. */
static bool handle_signals(const struct responder *responder)
{
	struct signalfd_siginfo info;

	while (read(responder->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo != SIGUSR1)
			return true;
		log_results(responder);
	}
	return false;
}

/* For `sidestep status`; what cannot be written now is written the next time. */
static void write_conn_stats(struct responder *responder)
{
	uint64_t counts[CONN_STATS];
	int err;

	server_conn_stats(responder->server, counts);
	err = conn_stats_write(responder->conn_stats_fd, counts);
	if (err && !responder->conn_stats_failed)
		log_warning("cannot write %s: %s", responder->paths->conn_stats, strerror(-err));
	responder->conn_stats_failed = err;
}

/*
 * Tell the classifier until when the responder counts as alive.  The time runs from the slowest
 * thread's last round and not from now, so that a thread that hangs ends the steering
 * ALIVE_NS after its last round.  A retired responder leaves this to its successor.
 */
static void heartbeat(const struct responder *responder)
{
	/* In this order: what passes between the two makes the time shorter, never longer. */
	uint64_t now_ns = clock_boottime_ns();
	uint64_t silence_ns = server_silence_ns(responder->server);

	if (!responder->retired && silence_ns < ALIVE_NS)
		steer_heartbeat(responder->steer, now_ns + ALIVE_NS - silence_ns);
}

/* --- handover -------------------------------------------------------------------- */

/* A successor answers already: finish the open connections. */
static void retire(struct responder *responder)
{
	log_info("another responder takes over: this one ends after its open connections");
	server_retire(responder->server);
	responder->retired = true;
	steer_retire(responder->steer);
}

/* Has a retired one nothing left to do?  Accepted connections may still be on their way: twice. */
static bool has_finished(struct responder *responder)
{
	if (!responder->retired)
		return false;
	responder->idle_rounds = server_is_idle(responder->server) ? responder->idle_rounds + 1 : 0;
	return responder->idle_rounds > 2;
}

/* --- the main loop ----------------------------------------------------------------- */

enum { POLLED_SIGNALS, POLLED_MONITOR, POLLED_FAILURE, POLLED };

static void set_polled(const struct responder *responder, struct pollfd polled[POLLED])
{
	const int fds[POLLED] = {
		[POLLED_SIGNALS] = responder->signal_fd,
		[POLLED_MONITOR] = steer_monitor_fd(responder->steer),
		[POLLED_FAILURE] = server_failure_fd(responder->server),
	};

	for (int i = 0; i < POLLED; i++)
		polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
}

/* Handle a message from the monitor, or its end, which ends the responder: -errno, logged. */
static int hear_monitor(struct responder *responder)
{
	switch (steer_receive_message(responder->steer)) {
	case MONITOR_RETIRE:
		retire(responder);
		return 0;
	case MONITOR_NETNS_ENDED:
		log_error("the network namespace %s has ended: nobody else is left who listens "
			  "there. Ending, too, for who stays in it keeps its addresses. When the "
			  "container runs again, start again with the --netns that it has then",
			  responder->netns->path);
		return -ENONET;
	default:
		log_error(
			"the monitor process was killed, so steering has stopped: the responder ends; start it again");
		return -ECHILD;
	}
}

/* 0 to continue, 1 to end, or -errno, logged. */
static int handle_polled(struct responder *responder, const struct pollfd polled[POLLED])
{
	int err = polled[POLLED_MONITOR].revents ? hear_monitor(responder) : 0;

	if (err)
		return err;
	if (polled[POLLED_FAILURE].revents) {
		log_error(
			"a thread has ended, see the error above: the responder ends; start it again");
		return -EIO;
	}
	return (polled[POLLED_SIGNALS].revents && handle_signals(responder)) ||
	       has_finished(responder);
}

/* Wait until a signal says to end, or a successor has taken over (0), or something fails (-errno). */
static int wait_for_end(struct responder *responder)
{
	struct pollfd polled[POLLED];
	int result;

	for (;;) {
		heartbeat(responder);
		write_conn_stats(responder);
		set_polled(responder, polled);
		if (poll(polled, POLLED, HEARTBEAT_MS) < 0) {
			if (errno == EINTR)
				continue;
			result = -errno;
			log_error("cannot wait for signals: %s", strerror(errno));
			return result;
		}
		result = handle_polled(responder, polled);
		if (result)
			return result < 0 ? result : 0;
	}
}

/* --- a responder's life ------------------------------------------------------------ */

/* Whether another responder listens on the same sockets. */
static bool shares_listeners(const struct responder *responder)
{
	return responder->retired || responder->waits;
}

/* Detach first: new connections go to production while the server finishes the open ones. */
static void close_all(struct responder *responder)
{
	const int fds[] = {responder->signal_fd, responder->predecessor_fd,
			   responder->conn_stats_fd};

	steer_free(responder->steer);
	server_free(responder->server);
	if (shares_listeners(responder))
		listeners_leave(&responder->handover.listeners);
	else
		listeners_close(&responder->handover.listeners);
	handover_close(&responder->handover);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void say_ending(const struct responder *responder)
{
	int err = notify_send("STOPPING=1");

	if (err)
		log_warning("cannot notify the service manager by NOTIFY_SOCKET: %s",
			    strerror(-err));
	log_results(responder);
}

int responder_run(const struct options *options, const struct paths *paths,
		  const struct netns *netns)
{
	struct responder responder = {
		.options = options,
		.paths = paths,
		.netns = netns,
		.signal_fd = -1,
		.conn_stats_fd = -1,
		.predecessor_fd = -1,
		.handover = {.lock_fd = -1, .control_fd = -1, .alive_fd = -1},
		.waits = options->replace,
	};
	bool background = !options->foreground && !notify_is_wanted();
	int err;

	err = background ? daemon_start() : 0;
	if (err) {
		log_error("cannot go into the background: %s", strerror(-err));
		return err;
	}
	err = startup_prepare(&responder);
	if (err)
		goto out;
	err = startup_open(&responder);
	if (!err)
		err = startup_say_ready(&responder, background);
	if (!err) {
		if (responder.waits)
			steer_take_over(responder.steer);
		responder.waits = false;
		err = wait_for_end(&responder);
		say_ending(&responder);
	}
out:
	close_all(&responder);
	return err;
}
