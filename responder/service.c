// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/service.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/challenge_table.h"
#include "common/evidence.h"
#include "common/instance.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/paths.h"
#include "common/version.h"
#include "responder/check.h"
#include "responder/daemon.h"
#include "responder/listener.h"
#include "responder/options.h"
#include "responder/privileges.h"
#include "responder/server.h"
#include "responder/status_file.h"
#include "responder/steer.h"
#include "responder/handover.h"

/*
 * How often the heartbeat is renewed, and how long the classifier steers to a responder
 * after the last sign of life of its slowest thread.
 */
#define HEARTBEAT_MS 250
#define ALIVE_NS     UINT64_C(5000000000)

struct responder {
	const struct options *options;
	const struct paths *paths;
	struct identity identity;
	int signal_fd;
	struct handover handover; /* the lock and the sockets */
	struct steer *steer;
	struct server *server;
	int conn_stats_fd; /* the file that status reads */
	bool conn_stats_failed; /* to be written, the last time */
	int predecessor_fd, successor_fd; /* channels to them; -1: none */
	bool retired;
	unsigned int idle_rounds; /* since it is retired and has no connection open */
};

/* --- before anything is changed ------------------------------------------------ */

static int find_identity(struct responder *responder)
{
	const char *user = responder->options->user, *group = responder->options->group;
	struct identity *identity = &responder->identity;
	int err;

	err = privileges_find_user(user, &identity->uid, &identity->gid);
	if (err == -ENOENT)
		log_error("there is no user %s to run as: make one with 'adduser --system --group "
			  "%s', or name another with --user",
			  user, user);
	else if (err)
		log_error("cannot look up user %s: %s", user, strerror(-err));
	if (err)
		return err;
	err = privileges_find_group(group, &identity->shared_gid);
	if (err == -ENOENT)
		log_error("there is no group %s to share the challenges with: make one with "
			  "'addgroup --system %s', or name another with --group",
			  group, group);
	else if (err)
		log_error("cannot look up group %s: %s", group, strerror(-err));
	return err;
}

static int require_root(void)
{
	if (!geteuid())
		return 0;
	log_error("must start as root, to load BPF programs, which it then gives up");
	return -EPERM;
}

static int require_syncookies(const struct options *options)
{
	int err = options->standalone ? 0 : check_syncookies();

	if (err == -ENOTSUP) {
		log_error("net.ipv4.tcp_syncookies is 0, with which the kernel refuses every "
			  "steered connection: 'sysctl -w net.ipv4.tcp_syncookies=1' in this "
			  "network namespace, then start again");
		return err;
	}
	if (err)
		log_warning("cannot tell whether net.ipv4.tcp_syncookies is on: %s",
			    strerror(-err));
	return 0;
}

/*
 * From here on these signals wait to be read, in all threads.  One that comes
 * before the responder is ready ends it as soon as it is.
 */
static int open_signals(struct responder *responder)
{
	sigset_t signals;
	int err;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGUSR1);
	signal(SIGPIPE, SIG_IGN);
	if (!sigprocmask(SIG_BLOCK, &signals, NULL))
		responder->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (responder->signal_fd >= 0)
		return 0;
	err = -errno;
	log_error("cannot open a signalfd: %s", strerror(errno));
	return err;
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		log_warning("the limit of open files stays: %s", strerror(errno));
}

/* --- the instance and what it keeps ---------------------------------------------- */

/* Make paths->run and the directories above it. */
static int make_run_directory(const struct paths *paths)
{
	char path[PATHS_MAX];
	int err = 0;

	strcpy(path, paths->run);
	for (char *s = path + 1; !err; s++) {
		char c = *s;

		if (c && c != '/')
			continue;
		*s = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			err = -errno;
		*s = c;
		if (!c)
			break;
	}
	/* Everyone may ask whether a responder runs, whatever the umask says. */
	if (!err && chmod(path, 0755))
		err = -errno;
	if (err)
		log_error("cannot make %s: %s", paths->run, strerror(-err));
	return err;
}

/* Become the instance's responder, or the one that removes it.  The lock, or -errno, logged. */
static int lock_instance(const struct paths *paths)
{
	int fd = instance_lock(paths);

	if (fd == -EBUSY)
		log_error("another responder runs: it holds %s; end it first, take over from it "
			  "by --replace, or use another --root for another instance",
			  paths->lock);
	else if (fd < 0)
		log_error("cannot lock %s: %s", paths->lock, strerror(-fd));
	return fd;
}

static int open_feed(struct responder *responder, const struct steer_options *steer_options)
{
	uint64_t hash_key[2];
	int err;

	err = challenge_table_create(responder->paths->table, responder->identity.shared_gid,
				     STEER_CHALLENGES_MAX, hash_key);
	if (err) {
		log_error("cannot make the challenge table %s: %s", responder->paths->table,
			  strerror(-err));
		return err;
	}
	/* Beside a predecessor there are two that write. */
	err = evidence_create(responder->paths->evidence, responder->identity.shared_gid,
			      !responder->options->replace);
	if (err) {
		log_error("cannot make %s: %s", responder->paths->evidence, strerror(-err));
		return err;
	}
	responder->conn_stats_fd =
		conn_stats_create(responder->paths->conn_stats, responder->identity.shared_gid);
	if (responder->conn_stats_fd < 0) {
		log_error("cannot make %s: %s", responder->paths->conn_stats,
			  strerror(-responder->conn_stats_fd));
		return responder->conn_stats_fd;
	}
	return steer_open_maps(steer_options, hash_key, &responder->steer);
}

static int write_status(const struct responder *responder)
{
	int err = status_file_write(responder->paths, responder->options);

	if (err)
		log_error("cannot write %s: %s", responder->paths->status, strerror(-err));
	return err;
}

static int drop_privileges(const struct responder *responder)
{
	int err = privileges_drop(&responder->identity);

	if (err == -ENOTRECOVERABLE)
		log_error("root's rights were given up and could be taken back: not going on");
	else if (err)
		log_error("cannot become user %s: %s", responder->options->user, strerror(-err));
	return err;
}

/* --- opening ----------------------------------------------------------------------- */

/* What the one who goes leaves, or what a first one opens. */
static int open_handover(struct responder *responder)
{
	const struct options *options = responder->options;

	responder->handover.lock_fd = lock_instance(responder->paths);
	if (responder->handover.lock_fd < 0)
		return responder->handover.lock_fd;
	responder->handover.control_fd = handover_listen(responder->paths);
	if (responder->handover.control_fd < 0) {
		log_error("cannot listen at %s: %s", responder->paths->control,
			  strerror(-responder->handover.control_fd));
		return responder->handover.control_fd;
	}
	responder->handover.alive_fd = instance_announce(responder->paths);
	if (responder->handover.alive_fd < 0) {
		log_error("cannot listen at %s: %s", responder->paths->alive,
			  strerror(-responder->handover.alive_fd));
		return responder->handover.alive_fd;
	}
	if (options->standalone)
		responder->handover.standalone_port = options->ports[0];
	return listeners_open(&responder->handover.listeners, options->threads,
			      responder->handover.standalone_port);
}

static int check_handover(const struct handover *handover, const struct options *options)
{
	if (handover->listeners.threads != options->threads)
		log_error("the responder that runs has %u threads, which --replace cannot change: "
			  "give --threads %u, or end it first",
			  handover->listeners.threads, handover->listeners.threads);
	else if (handover->standalone_port != (options->standalone ? options->ports[0] : 0))
		log_error("--replace cannot change --standalone, or its port: end the responder "
			  "that runs first");
	else
		return 0;
	return -EINVAL;
}

static int inherit_handover(struct responder *responder)
{
	int channel_fd = handover_claim(responder->paths, &responder->handover);

	if (channel_fd == -ENOENT || channel_fd == -ECONNREFUSED)
		log_error("no responder runs that could be replaced: start without --replace");
	else if (channel_fd < 0)
		log_error("cannot take over from the responder that runs: %s; end it first, and "
			  "start without --replace",
			  strerror(-channel_fd));
	if (channel_fd < 0)
		return channel_fd;
	responder->predecessor_fd = channel_fd;
	return check_handover(&responder->handover, responder->options);
}

/* Open all that needs root, up to and including the attachments. */
static int open_all(struct responder *responder)
{
	const struct options *options = responder->options;
	struct steer_options steer_options = {
		.paths = responder->paths,
		.interfaces = options->interfaces,
		.interface_count = options->interface_count,
		.takeover = options->takeover,
		.threads = options->threads,
		.attach_mode = options->attach_mode,
		.ports = options->ports,
		.port_count = options->port_count,
		.addresses = options->addresses,
		.address_count = options->address_count,
		.group = responder->identity.shared_gid,
		.succeeds = options->replace,
	};
	int err;

	err = make_run_directory(responder->paths);
	if (!err)
		err = options->replace ? inherit_handover(responder) : open_handover(responder);
	if (!err)
		err = open_feed(responder, &steer_options);
	if (!err && !options->standalone)
		err = steer_attach(responder->steer, &steer_options,
				   responder->handover.listeners.fds[0]);
	return err;
}

static int start_server(struct responder *responder)
{
	struct server_options server_options = {
		.paths = responder->paths,
		.standalone = responder->options->standalone,
		.threads = responder->options->threads,
		.connections = responder->options->connections,
		.connections_per_source = responder->options->connections_per_source,
		.listener_fds = (const int(*)[STEER_FAMILIES])responder->handover.listeners.fds,
		.adoption_fds = steer_adoption_fds(responder->steer),
	};
	int err;

	err = server_new(&server_options, &responder->server);
	if (!err)
		err = write_status(responder);
	if (!err)
		err = drop_privileges(responder);
	if (!err)
		err = server_start(responder->server);
	/* The threads have not gone round yet, and whoever hears of readiness may arm at once. */
	if (!err)
		steer_heartbeat(responder->steer, challenge_clock_ns() + ALIVE_NS);
	return err;
}

static int say_ready(const struct responder *responder, bool background)
{
	const struct options *options = responder->options;
	struct options_ports ports = options_ports(options);
	char state[64];
	int err;

	log_info("ready: version %s, %s port %s, %u threads, as user %s", SIDESTEP_VERSION,
		 options->standalone ? "listening on" : "steering on", ports.text, options->threads,
		 options->user);
	/* A successor is another process than the one that the service manager started. */
	snprintf(state, sizeof(state), "MAINPID=%d\nREADY=1", (int)getpid());
	err = notify_send(state);
	if (err) {
		log_error("cannot tell the service manager by NOTIFY_SOCKET: %s", strerror(-err));
		return err;
	}
	err = background ? daemon_ready() : 0;
	if (err)
		log_error("cannot go into the background: %s", strerror(-err));
	return err;
}

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

/* For who asks by `sidestep status`; what cannot be written now is written the next time. */
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
	uint64_t now_ns = challenge_clock_ns();
	uint64_t silence_ns = server_silence_ns(responder->server);

	if (!responder->retired && silence_ns < ALIVE_NS)
		steer_heartbeat(responder->steer, now_ns + ALIVE_NS - silence_ns);
}

/* --- handover -------------------------------------------------------------------- */

/* We answer: the predecessor, if there is one, is to retire. */
static void succeed(struct responder *responder)
{
	int err;

	if (responder->predecessor_fd < 0)
		return;
	err = handover_complete(responder->predecessor_fd);
	close(responder->predecessor_fd);
	responder->predecessor_fd = -1;
	/* The lock and all else is ours in any case. */
	if (err)
		log_warning("the responder before did not say that it retires: %s", strerror(-err));
	steer_take_over(responder->steer);
}

/* A successor answers already: finish what we have begun. */
static void retire(struct responder *responder)
{
	int err;

	log_info("another responder takes over: ending when the open connections have");
	steer_leave(responder->steer);
	server_retire(responder->server);
	responder->retired = true;
	close(responder->handover.lock_fd);
	responder->handover.lock_fd = -1;
	close(responder->handover.alive_fd);
	responder->handover.alive_fd = -1;
	err = handover_say_retired(responder->successor_fd);
	if (err)
		log_warning("cannot tell the successor: %s", strerror(-err));
}

static void leave_successor(struct responder *responder)
{
	close(responder->successor_fd);
	responder->successor_fd = -1;
}

/* It wants the handover. */
static void meet_successor(struct responder *responder)
{
	int channel_fd = handover_offer(&responder->handover);

	if (channel_fd >= 0)
		responder->successor_fd = channel_fd;
	else
		log_warning("could not hand over to another responder: %s", strerror(-channel_fd));
}

/* It says something, or is gone. */
static void hear_successor(struct responder *responder)
{
	int heard = handover_hear(responder->successor_fd);

	if (heard > 0)
		retire(responder);
	else if (heard < 0)
		log_warning("the responder that was to take over is gone: going on");
	if (heard)
		leave_successor(responder);
}

/* Has a retired one nothing left to do?  Accepted connections may still be on their way: twice. */
static bool has_finished(struct responder *responder)
{
	if (!responder->retired)
		return false;
	responder->idle_rounds = server_is_idle(responder->server) ? responder->idle_rounds + 1 : 0;
	return responder->idle_rounds > 2;
}

/* --- until the end ----------------------------------------------------------------- */

enum { POLLED_SIGNALS, POLLED_MONITOR, POLLED_FAILURE, POLLED_CONTROL, POLLED_SUCCESSOR, POLLED };

static void set_polled(const struct responder *responder, struct pollfd polled[POLLED])
{
	bool meets = responder->successor_fd < 0 && !responder->retired;
	const int fds[POLLED] = {
		[POLLED_SIGNALS] = responder->signal_fd,
		[POLLED_MONITOR] = steer_monitor_fd(responder->steer),
		[POLLED_FAILURE] = server_failure_fd(responder->server),
		[POLLED_CONTROL] = meets ? responder->handover.control_fd : -1,
		[POLLED_SUCCESSOR] = responder->successor_fd,
	};

	for (int i = 0; i < POLLED; i++)
		polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
}

/* 0 when it is to go on, 1 when it is to end, or -errno, logged. */
static int handle_polled(struct responder *responder, const struct pollfd polled[POLLED])
{
	if (polled[POLLED_MONITOR].revents) {
		log_error("the monitor was killed, and with it the steering: ending; start again");
		return -ECHILD;
	}
	if (polled[POLLED_FAILURE].revents) {
		log_error("a thread has ended, as said above: ending; start again");
		return -EIO;
	}
	if (polled[POLLED_CONTROL].revents)
		meet_successor(responder);
	if (polled[POLLED_SUCCESSOR].revents)
		hear_successor(responder);
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
	return responder->retired || responder->predecessor_fd >= 0;
}

/* Detach first: while the server still answers what came before, new ones are production's. */
static void close_all(struct responder *responder)
{
	const int fds[] = {
		responder->signal_fd,           responder->predecessor_fd,
		responder->successor_fd,        responder->handover.lock_fd,
		responder->handover.control_fd, responder->handover.alive_fd,
		responder->conn_stats_fd,
	};

	steer_free(responder->steer);
	server_free(responder->server);
	if (shares_listeners(responder))
		listeners_leave(&responder->handover.listeners);
	else
		listeners_close(&responder->handover.listeners);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void say_ending(const struct responder *responder)
{
	int err = notify_send("STOPPING=1");

	if (err)
		log_warning("cannot tell the service manager by NOTIFY_SOCKET: %s", strerror(-err));
	log_results(responder);
}

int service_run(const struct options *options, const struct paths *paths)
{
	struct responder responder = {
		.options = options,
		.paths = paths,
		.handover.lock_fd = -1,
		.signal_fd = -1,
		.conn_stats_fd = -1,
		.handover.control_fd = -1,
		.handover.alive_fd = -1,
		.predecessor_fd = -1,
		.successor_fd = -1,
	};
	bool background = !options->foreground && !notify_is_wanted();
	int err;

	err = background ? daemon_start() : 0;
	if (err) {
		log_error("cannot go into the background: %s", strerror(-err));
		return err;
	}
	err = require_root();
	if (!err)
		err = find_identity(&responder);
	if (!err)
		err = require_syncookies(options);
	if (!err)
		err = open_signals(&responder);
	if (err)
		goto out;
	raise_descriptor_limit();
	err = open_all(&responder);
	if (!err)
		err = start_server(&responder);
	if (!err)
		err = say_ready(&responder, background);
	if (!err) {
		succeed(&responder);
		err = wait_for_end(&responder);
		say_ending(&responder);
	}
out:
	close_all(&responder);
	return err;
}

/* --- afterwards --------------------------------------------------------------------- */

static int remove_file(const char *path)
{
	int err = unlink(path) && errno != ENOENT ? -errno : 0;

	if (err)
		log_error("cannot remove %s: %s", path, strerror(-err));
	return err;
}

/* Locks and the socket for successors; the instance's lock last. */
static int remove_private(const struct paths *paths)
{
	int err;

	err = remove_file(paths->control);
	if (!err)
		err = remove_file(paths->programs_lock);
	if (!err)
		err = remove_file(paths->lock);
	if (!err && rmdir(paths->private)) {
		err = -errno;
		log_error("cannot remove %s: %s", paths->private, strerror(-err));
	}
	return err;
}

/* Remove what responders leave for their successors; the lock last, while it is held. */
int service_unload(const struct paths *paths)
{
	int err, lock_fd;

	if (access(paths->lock, F_OK)) {
		log_info("there is nothing to unload");
		return 0;
	}
	lock_fd = lock_instance(paths);
	if (lock_fd < 0)
		return lock_fd;
	err = steer_unload(paths);
	if (!err)
		err = remove_file(paths->table);
	if (!err)
		err = remove_file(paths->evidence);
	if (!err)
		err = remove_file(paths->conn_stats);
	if (!err)
		err = remove_file(paths->status);
	if (!err)
		err = remove_file(paths->interfaces);
	if (!err)
		err = remove_file(paths->programs);
	if (!err)
		err = remove_file(paths->alive);
	if (!err)
		err = remove_private(paths);
	close(lock_fd);
	return err;
}
