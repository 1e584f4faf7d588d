// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/startup.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/challenge_table.h"
#include "common/clock.h"
#include "common/conn_stats.h"
#include "common/evidence.h"
#include "common/instance.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/paths.h"
#include "common/version.h"
#include "responder/daemon.h"
#include "responder/handover.h"
#include "responder/listener.h"
#include "responder/options.h"
#include "responder/privileges.h"
#include "responder/responder.h"
#include "responder/sandbox.h"
#include "responder/server.h"
#include "responder/status_file.h"
#include "responder/steer.h"

/* --- before anything is changed ------------------------------------------------ */

static int find_identity(struct responder *responder)
{
	const char *user = responder->options->user, *group = responder->options->group;
	struct identity *identity = &responder->identity;
	const char *objection;
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
	if (err)
		return err;
	objection = privileges_objection(identity);
	if (objection)
		log_error("cannot run as user %s for group %s: %s", user, group, objection);
	return objection ? -EINVAL : 0;
}

static int require_root(void)
{
	if (!geteuid())
		return 0;
	log_error("must start as root to load BPF programs; it drops root afterwards");
	return -EPERM;
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
		log_warning(
			"cannot raise the limit of open files: %s; raise it with LimitNOFILE= or 'ulimit -n'",
			strerror(errno));
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

int startup_lock_instance(const struct paths *paths)
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

/*
 * The table and the evidence, which agents and responders share: made, or kept when they fit.  Those
 * of a responder that runs must fit, and nothing is changed here.
 */
static int open_shared(struct responder *responder, uint64_t ret_hash_key[2])
{
	const struct paths *paths = responder->paths;
	gid_t group = responder->identity.shared_gid;
	bool replace = responder->options->replace;
	int err;

	err = replace ? challenge_table_check(paths->table, STEER_CHALLENGES_MAX, ret_hash_key)
		      : challenge_table_create(paths->table, group, STEER_CHALLENGES_MAX,
					       ret_hash_key);
	if (!err)
		err = replace ? evidence_check(paths->evidence)
			      : evidence_create(paths->evidence, group, true);
	if (err && replace)
		log_error("cannot take over the challenge table and the evidence of the responder "
			  "that runs (%s, %s): %s; end that one, and start without --replace",
			  paths->table, paths->evidence,
			  err == -EPROTO ? "they are of another version" : strerror(-err));
	else if (err)
		log_error("cannot make %s and %s: %s", paths->table, paths->evidence,
			  strerror(-err));
	return err;
}

/* Everything works: write the files of this responder. */
static int write_files(struct responder *responder)
{
	const struct paths *paths = responder->paths;
	gid_t group = responder->identity.shared_gid;
	uint64_t hash_key[2];
	int err = 0;

	if (responder->options->replace) {
		err = challenge_table_create(paths->table, group, STEER_CHALLENGES_MAX, hash_key);
		/* Beside a predecessor there are two that write. */
		if (!err)
			err = evidence_create(paths->evidence, group, false);
	}
	if (!err) {
		responder->conn_stats_fd = conn_stats_create(paths->conn_stats, group);
		err = responder->conn_stats_fd < 0 ? responder->conn_stats_fd : 0;
	}
	if (!err)
		err = status_file_write(paths, responder->options,
					server_engine(responder->server));
	if (err)
		log_error("cannot write the files in %s: %s", paths->run, strerror(-err));
	return err;
}

static int drop_privileges(const struct responder *responder)
{
	int err = privileges_drop(&responder->identity);

	if (err == -ENOTRECOVERABLE)
		log_error(
			"root was dropped but could be regained, so the start stops: check the kernel and its security modules");
	else if (err)
		log_error("cannot become user %s: %s", responder->options->user, strerror(-err));
	return err;
}

static int enter_sandbox(void)
{
	int err = sandbox_enter(SANDBOX_RESPONDER);

	if (err)
		log_error("cannot limit the system calls (seccomp): %s; the kernel needs "
			  "CONFIG_SECCOMP_FILTER",
			  strerror(-err));
	return err;
}

static int open_notify(void)
{
	int err = notify_open();

	if (err)
		log_error("cannot open NOTIFY_SOCKET, to tell the service manager: %s",
			  strerror(-err));
	return err;
}

/* --- opening ----------------------------------------------------------------------- */

/* Take over the sockets of the predecessor, or open new ones. */
static int open_handover(struct responder *responder)
{
	const struct options *options = responder->options;

	responder->handover.lock_fd = startup_lock_instance(responder->paths);
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

/* Open everything that needs root, including the attachments. */
static int open_all(struct responder *responder)
{
	const struct options *options = responder->options;
	struct steer_options steer_options = {
		.paths = responder->paths,
		.netns = responder->netns,
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
		.handover = &responder->handover,
	};
	uint64_t hash_key[2];
	int err;

	err = make_run_directory(responder->paths);
	if (!err)
		err = options->replace ? inherit_handover(responder) : open_handover(responder);
	steer_options.predecessor_fd = responder->predecessor_fd;
	if (!err)
		err = open_shared(responder, hash_key);
	if (!err)
		err = steer_open_maps(&steer_options, hash_key, &responder->steer);
	if (!err && !options->standalone)
		err = steer_attach(responder->steer, &steer_options,
				   responder->handover.listeners.fds[0]);
	else if (!err)
		err = steer_not(responder->steer, &steer_options);
	if (err)
		return err;
	/* The monitor owns these descriptors now. */
	handover_close(&responder->handover);
	if (responder->predecessor_fd >= 0)
		close(responder->predecessor_fd);
	responder->predecessor_fd = -1;
	return 0;
}

static int start_server(struct responder *responder)
{
	struct server_options server_options = {
		.paths = responder->paths,
		.standalone = responder->options->standalone,
		.threads = responder->options->threads,
		.engine = responder->options->engine,
		.connections = responder->options->connections,
		.connections_per_source = responder->options->connections_per_source,
		.listener_fds = (const int(*)[STEER_FAMILIES])responder->handover.listeners.fds,
		.adoption_fds = steer_adoption_fds(responder->steer),
	};
	int err;

	err = server_new(&server_options, &responder->server);
	if (!err)
		err = write_files(responder);
	if (!err)
		err = open_notify();
	if (!err)
		err = drop_privileges(responder);
	if (!err)
		err = enter_sandbox();
	if (!err)
		err = server_start(responder->server);
	/* The threads have not gone round yet, and whoever hears of readiness may arm at once. */
	if (!err)
		steer_heartbeat(responder->steer, clock_boottime_ns() + ALIVE_NS);
	return err;
}

int startup_say_ready(const struct responder *responder, bool background)
{
	const struct options *options = responder->options;
	struct options_ports ports = options_ports(options);
	char state[64];
	int err;

	log_info("ready: version %s, %s port %s, %u threads on %s, as user %s", SIDESTEP_VERSION,
		 options->standalone ? "listening on" : "steering on", ports.text, options->threads,
		 ring_engine_name(server_engine(responder->server)), options->user);
	/* A successor is another process than the one that the service manager started. */
	snprintf(state, sizeof(state), "MAINPID=%d\nREADY=1", (int)getpid());
	err = notify_send(state);
	if (err) {
		log_error("cannot notify the service manager by NOTIFY_SOCKET: %s", strerror(-err));
		return err;
	}
	err = background ? daemon_ready() : 0;
	if (err)
		log_error("cannot go into the background: %s", strerror(-err));
	return err;
}

int startup_prepare(struct responder *responder)
{
	int err = require_root();

	if (!err)
		err = find_identity(responder);
	if (!err)
		err = open_signals(responder);
	if (!err)
		raise_descriptor_limit();
	return err;
}

int startup_open(struct responder *responder)
{
	int err = open_all(responder);

	return err ? err : start_server(responder);
}
