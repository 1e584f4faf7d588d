// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * sidestep-responder: opens everything as root, gives root up, answers until it
 * is told to end.  This file knows the order in which things happen.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/challenge_table.h"
#include "common/instance.h"
#include "common/log.h"
#include "common/paths.h"
#include "common/version.h"
#include "responder/check.h"
#include "responder/daemon.h"
#include "responder/listener.h"
#include "responder/netns.h"
#include "responder/notify.h"
#include "responder/options.h"
#include "responder/privileges.h"
#include "responder/server.h"
#include "responder/status_file.h"
#include "responder/steer.h"
#include "responder/upgrade.h"

#define PROGRAM "sidestep-responder"

/* How often the responder is vouched for, and for how long: a hung one steers no longer. */
#define VOUCH_MS 250
#define ALIVE_MS 2000

enum exit_status { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

struct responder {
	const struct options *options;
	const struct paths *paths;
	struct identity identity;
	int lock_fd, signal_fd;
	struct steer *steer;
	struct listeners listeners;
	struct server *server;
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

/* Become the instance's responder, or the one that removes it. */
static int lock_instance(const struct paths *paths)
{
	int fd = instance_lock(paths);

	if (fd == -EBUSY)
		log_error("another responder runs: it holds %s; end it first, or use another "
			  "--root for another instance",
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

/* --- a responder's life ------------------------------------------------------------ */

/* Open all that needs root, up to and including the attachments. */
static int open_all(struct responder *responder)
{
	const struct options *options = responder->options;
	struct steer_options steer_options = {
		.paths = responder->paths,
		.interfaces = options->interfaces,
		.interface_count = options->interface_count,
		.way = options->way,
		.threads = options->threads,
		.attach_way = options->attach_way,
		.ports = options->ports,
		.port_count = options->port_count,
		.addresses = options->addresses,
		.address_count = options->address_count,
		.group = responder->identity.shared_gid,
	};
	int err;

	err = make_run_directory(responder->paths);
	if (err)
		return err;
	responder->lock_fd = lock_instance(responder->paths);
	if (responder->lock_fd < 0)
		return responder->lock_fd;
	err = open_feed(responder, &steer_options);
	if (!err)
		err = listeners_open(&responder->listeners, options->threads,
				     options->standalone ? options->ports[0] : 0);
	if (!err && !options->standalone)
		err = steer_attach(responder->steer, &steer_options, responder->listeners.fds[0]);
	return err;
}

static int start_server(struct responder *responder)
{
	struct server_options server_options = {
		.paths = responder->paths,
		.threads = responder->options->threads,
		.listener_fds = (const int(*)[STEER_FAMILIES])responder->listeners.fds,
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
		steer_keep_alive(responder->steer, ALIVE_MS);
	return err;
}

static int say_ready(const struct responder *responder, bool background)
{
	const struct options *options = responder->options;
	struct options_ports ports = options_ports(options);
	int err;

	log_info("ready: version %s, %s port %s, %u threads, as user %s", SIDESTEP_VERSION,
		 options->standalone ? "listening on" : "steering on", ports.text, options->threads,
		 options->user);
	err = notify_send("READY=1");
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
	uint64_t counts[SERVER_RESULTS];
	char line[512] = "";
	size_t used = 0;

	server_results(responder->server, counts);
	for (int result = 0; result < SERVER_RESULTS && used < sizeof(line); result++)
		used += (size_t)snprintf(line + used, sizeof(line) - used, "%s%s %llu",
					 used ? ", " : "", server_result_name(result),
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

/* As long as all threads work, say so to the classifier. */
static void vouch(const struct responder *responder)
{
	if (server_makes_progress(responder->server))
		steer_keep_alive(responder->steer, ALIVE_MS);
}

/* Wait until a signal says to end (0), or something has failed (-errno, logged). */
static int wait_for_end(const struct responder *responder)
{
	struct pollfd polled[] = {
		{.fd = responder->signal_fd, .events = POLLIN},
		{.fd = steer_keeper_fd(responder->steer), .events = POLLIN},
		{.fd = server_failure_fd(responder->server), .events = POLLIN},
	};
	int err;

	for (;;) {
		vouch(responder);
		if (poll(polled, sizeof(polled) / sizeof(polled[0]), VOUCH_MS) < 0) {
			if (errno == EINTR)
				continue;
			err = -errno;
			log_error("cannot wait for signals: %s", strerror(errno));
			return err;
		}
		if (polled[1].revents) {
			log_error("the keeper was killed, and with it the steering: ending; start "
				  "again");
			return -ECHILD;
		}
		if (polled[2].revents) {
			log_error("a thread has ended, as said above: ending; start again");
			return -EIO;
		}
		if (polled[0].revents && handle_signals(responder))
			return 0;
	}
}

/* Detach first: while the server still answers what came before, new ones are production's. */
static void close_all(struct responder *responder)
{
	steer_free(responder->steer);
	server_free(responder->server);
	listeners_close(&responder->listeners);
	if (responder->signal_fd >= 0)
		close(responder->signal_fd);
	if (responder->lock_fd >= 0)
		close(responder->lock_fd);
}

static void say_ending(const struct responder *responder)
{
	int err = notify_send("STOPPING=1");

	if (err)
		log_warning("cannot tell the service manager by NOTIFY_SOCKET: %s", strerror(-err));
	log_results(responder);
}

static int run(const struct options *options, const struct paths *paths)
{
	struct responder responder = {
		.options = options,
		.paths = paths,
		.lock_fd = -1,
		.signal_fd = -1,
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
		err = wait_for_end(&responder);
		say_ending(&responder);
	}
out:
	close_all(&responder);
	return err;
}

/* --- the other actions --------------------------------------------------------------- */

static int remove_file(const char *path)
{
	int err = unlink(path) && errno != ENOENT ? -errno : 0;

	if (err)
		log_error("cannot remove %s: %s", path, strerror(-err));
	return err;
}

/* Remove what responders leave for their successors; the lock last, while it is held. */
static int unload(const struct paths *paths)
{
	int err, lock_fd;

	if (instance_is_running(paths) == -ENOENT) {
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
		err = remove_file(paths->status);
	if (!err)
		err = remove_file(paths->interfaces);
	if (!err)
		err = remove_file(paths->programs);
	if (!err)
		err = remove_file(paths->lock);
	close(lock_fd);
	return err;
}

static int enter_netns(const char *name)
{
	int err = netns_enter(name);

	if (err == -ENOENT)
		log_error("there is no network namespace %s; 'ip netns' lists those with names",
			  name);
	else if (err == -EPERM || err == -EACCES)
		log_error("only root may enter network namespace %s", name);
	else if (err)
		log_error("cannot enter network namespace %s: %s", name, strerror(-err));
	return err;
}

/* Absolute, as the daemon leaves the directory in which it was started.  To be freed; NULL: logged. */
static char *resolve_root(const char *root)
{
	char *resolved = *root ? realpath(root, NULL) : strdup("");

	if (!resolved)
		log_error("cannot use --root %s: %s", root, strerror(errno));
	return resolved;
}

static int act(const struct options *options)
{
	char *root = resolve_root(options->root);
	struct paths paths;
	int err;

	if (!root)
		return -ENOENT;
	err = paths_init(&paths, root);
	free(root);
	if (err) {
		log_error("the path given with --root is too long");
		return err;
	}
	if (options->netns) {
		err = enter_netns(options->netns);
		if (err)
			return err;
	}
	switch (options->action) {
	case OPTIONS_CHECK:
		return check_print(options, stdout);
	case OPTIONS_UPGRADE:
		return upgrade_programs(&paths);
	case OPTIONS_UNLOAD:
		return unload(&paths);
	default:
		return run(options, &paths);
	}
}

/* No file of ours may become a descriptor that messages are written to. */
static int open_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	struct options options;
	int err;

	if (open_standard_descriptors())
		return EXIT_FAILED;
	err = options_parse(&options, argc, argv);
	if (err)
		return err == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
	log_init(PROGRAM, options.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	umask(022);
	err = options.action == OPTIONS_EXIT ? 0 : act(&options);
	options_done(&options);
	return err ? EXIT_FAILED : EXIT_DONE;
}
