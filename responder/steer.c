// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/steer.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/steer_abi.h"
#include "common/challenge_table.h"
#include "common/instance.h"
#include "common/log.h"
#include "common/paths.h"
#include "responder/attachment.h"
#include "responder/interfaces.h"
#include "responder/monitor.h"
#include "responder/netns.h"
#include "responder/pins.h"
#include "responder/programs.h"

struct steer {
	enum takeover takeover;
	struct bpf_object *object; /* NULL once all is attached */
	uint64_t hash_key[2], netns;
	uint64_t *heartbeat; /* the map's memory; NULL before steer_attach() */
	unsigned int threads;
	int *send_fds,
		*receive_fds; /* of adopted sockets, one pair a thread; NULL: not this takeover */
	struct monitor monitor;
	struct interfaces interfaces; /* as they were at the start: the monitor's count */
	bool monitored, succeeds;
};

static int map_fd(const struct steer *steer, const char *name)
{
	return bpf_object__find_map_fd_by_name(steer->object, name);
}

/* Close all descriptors of maps and programs. */
static void close_object(struct steer *steer)
{
	bpf_object__close(steer->object);
	steer->object = NULL;
}

/* A descriptor that outlives the object.  -1 without one, which its user finds out. */
static int copy_map_fd(const struct steer *steer, const char *name)
{
	return fcntl(map_fd(steer, name), F_DUPFD_CLOEXEC, 0);
}

static int copy_program_fd(const struct steer *steer, const char *name)
{
	const struct bpf_program *program = bpf_object__find_program_by_name(steer->object, name);

	return fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 0);
}

int steer_check(FILE *out)
{
	return programs_check(out);
}

/* --- loading and attaching ----------------------------------------------------- */

static int refuse_handover(void)
{
	log_error("this version needs other maps than those of the responder that runs: end that "
		  "one, and start without --replace");
	return -ESTALE;
}

int steer_open_maps(const struct steer_options *options, const uint64_t hash_key[2],
		    struct steer **ret_steer)
{
	struct steer *steer = calloc(1, sizeof(*steer));
	bool reuse;
	int err;

	if (!steer)
		return -ENOMEM;
	programs_prepare();
	memcpy(steer->hash_key, hash_key, sizeof(steer->hash_key));
	steer->takeover = programs_choose_takeover(options->takeover);
	steer->object = programs_open(steer->takeover);
	err = steer->object ? pins_mount(options->paths) : -errno;
	if (err)
		goto out;
	reuse = pins_fit_table(options->paths, hash_key, steer->object);
	if (!reuse && options->succeeds)
		err = refuse_handover();
	else if (!reuse)
		err = attachment_detach_all(options->paths);
	if (!err)
		err = pins_open_table(options->paths, reuse, steer->object);
out:
	if (err) {
		steer_free(steer);
		return err;
	}
	*ret_steer = steer;
	return 0;
}

/* The maps of steering itself, with what an earlier responder left attached, or without. */
static int open_steering_maps(struct steer *steer, const struct steer_options *options)
{
	enum pins_reuse reuse = PINS_NONE;
	bool fits;
	int err;

	err = netns_inode(&steer->netns);
	if (err) {
		log_error("cannot identify the network namespace: %s", strerror(-err));
		return err;
	}
	fits = pins_fit_steering(options->paths, steer->netns, steer->object);
	if (fits)
		reuse = options->succeeds ? PINS_RUNNING : PINS_CONNECTIONS;
	else if (options->succeeds)
		err = refuse_handover();
	else
		err = attachment_detach_all(options->paths);
	return err ? err : pins_open_steering(options->paths, reuse, steer->object);
}

/* The port a listener is bound to, in host order; 0 for none. */
static uint16_t listener_port(int fd)
{
	struct sockaddr_storage address = {0};
	socklen_t size = sizeof(address);

	if (fd < 0 || getsockname(fd, (struct sockaddr *)&address, &size))
		return 0;
	if (address.ss_family == AF_INET)
		return ntohs(((struct sockaddr_in *)&address)->sin_port);
	return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
}

/* Give the programs the listeners. */
static int set_listeners(struct steer *steer, const int listener_fds[STEER_FAMILIES])
{
	int err;

	for (__u32 family = 0; family < STEER_FAMILIES; family++) {
		__u64 fd = (__u64)listener_fds[family];

		if (listener_fds[family] < 0)
			continue;
		err = bpf_map_update_elem(map_fd(steer, "listeners"), &family, &fd, BPF_ANY);
		if (err) {
			log_error("the kernel does not take the listener for steering: %s",
				  strerror(-err));
			return err;
		}
	}
	return 0;
}

static int add_addresses(int addresses_fd, const struct steer_options *options)
{
	const __u8 present = 1;
	int err = 0;

	for (size_t i = 0; !err && i < options->address_count; i++)
		err = bpf_map_update_elem(addresses_fd, &options->addresses[i], &present, BPF_ANY);
	if (err)
		log_error("the kernel does not take the addresses to watch: %s", strerror(-err));
	return err;
}

static int set_control(const struct steer *steer, const struct steer_control *control)
{
	const __u32 zero = 0;
	int err = bpf_map_update_elem(map_fd(steer, "control_map"), &zero, control, BPF_ANY);

	if (err)
		log_error("cannot configure the BPF programs: %s", strerror(-err));
	return err;
}

/*
 * Tell the programs what they cannot know, in maps that nobody can change afterwards.  The programs
 * of a predecessor have maps of their own for that.
 */
static int configure(struct steer *steer, const struct steer_options *options,
		     const int listener_fds[STEER_FAMILIES])
{
	struct steer_control control = {
		.abi_version = STEER_ABI_VERSION,
		.address_count = (__u32)options->address_count,
		.hash_key = {steer->hash_key[0], steer->hash_key[1]},
		.netns = steer->netns,
	};
	int err;

	for (size_t i = 0; i < STEER_PORTS_MAX; i++)
		control.watched_port[i] = options->ports[i < options->port_count ? i : 0];
	for (int family = 0; family < STEER_FAMILIES; family++)
		control.responder_port[family] = listener_port(listener_fds[family]);
	err = pins_make_configuration(options->paths, steer->object);
	if (!err)
		err = set_control(steer, &control);
	if (!err)
		err = add_addresses(map_fd(steer, "addresses"), options);
	if (!err && steer->takeover == TAKEOVER_ASSIGN)
		err = set_listeners(steer, listener_fds);
	return err ? err : pins_freeze_configuration(steer->object);
}

/* The one map that the responder keeps, as memory.  A predecessor may be at work with it. */
static int map_heartbeat(struct steer *steer, bool running)
{
	void *memory = mmap(NULL, sizeof(*steer->heartbeat), PROT_READ | PROT_WRITE, MAP_SHARED,
			    map_fd(steer, "heartbeat"), 0);
	int err;

	if (memory == MAP_FAILED) {
		err = -errno;
		log_error("cannot map the heartbeat into memory: %s", strerror(errno));
		return err;
	}
	steer->heartbeat = memory;
	if (!running)
		__atomic_store_n(steer->heartbeat, 0, __ATOMIC_RELAXED);
	return 0;
}

/* The channels by which the monitor hands adopted sockets to the answering threads. */
static int open_adoption_channels(struct steer *steer, unsigned int threads)
{
	int err, fds[2];

	steer->send_fds = calloc(threads, sizeof(*steer->send_fds));
	steer->receive_fds = calloc(threads, sizeof(*steer->receive_fds));
	if (!steer->send_fds || !steer->receive_fds)
		return -ENOMEM;
	for (; steer->threads < threads; steer->threads++) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds)) {
			err = -errno;
			log_error("cannot open a socket pair: %s", strerror(errno));
			return err;
		}
		steer->send_fds[steer->threads] = fds[0];
		steer->receive_fds[steer->threads] = fds[1];
	}
	return 0;
}

static void close_descriptors(const int *fds, unsigned int count)
{
	for (unsigned int i = 0; fds && i < count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* From now on the monitor does everything except answering. */
static int start_monitor(struct steer *steer, const struct steer_options *options)
{
	bool adopts = steer->send_fds;
	struct monitor_options monitor_options = {
		.steer = options,
		.handover = options->handover,
		.predecessor_fd = options->predecessor_fd,
		.heartbeat = steer->heartbeat,
		.tcp_repair_maps = {.adoptions_fd = adopts ? copy_map_fd(steer, "adoptions") : -1,
				    .flows_fd = adopts ? copy_map_fd(steer, "flows") : -1},
		.adoption_fds = steer->send_fds,
		.held_acks_fds = {.held_fd = adopts ? copy_map_fd(steer, "held") : -1,
				  .release_fd = adopts ? copy_program_fd(steer, "release") : -1},
	};
	const int fds[] = {monitor_options.tcp_repair_maps.adoptions_fd,
			   monitor_options.tcp_repair_maps.flows_fd,
			   monitor_options.held_acks_fds.held_fd,
			   monitor_options.held_acks_fds.release_fd};
	int err;

	/* Neither the responder nor its monitor is to have more of it. */
	close_object(steer);
	err = monitor_start(&steer->monitor, &steer->interfaces, &monitor_options);
	close_descriptors(fds, sizeof(fds) / sizeof(fds[0]));
	if (err) {
		log_error("cannot start the monitor: %s", strerror(-err));
		return err;
	}
	/* The monitor's ends: so its death is seen. */
	close_descriptors(steer->send_fds, steer->threads);
	free(steer->send_fds);
	steer->send_fds = NULL;
	steer->monitored = true;
	steer->succeeds = options->succeeds;
	return 0;
}

/* Pin the loaded programs, and attach them everywhere.  0 or -errno, logged. */
static int attach_programs(struct steer *steer, const struct steer_options *options)
{
	const struct attachment_programs programs = attachment_programs_of(steer->object);
	int err;

	err = attachment_programs_put(options->paths, &programs);
	if (err) {
		log_error("cannot pin the BPF programs: %s", strerror(-err));
		return err;
	}
	err = attachment_attach_lookup(options->paths, &programs);
	if (err) {
		log_error("cannot attach to the network namespace's sk_lookup hook: %s",
			  strerror(-err));
		return err;
	}
	return interfaces_attach(options, &steer->interfaces);
}

/* The same, and tell of it; a predecessor's monitor, or an upgrade, has to wait meanwhile. */
static int attach_and_tell(struct steer *steer, const struct steer_options *options)
{
	int err, lock_fd = instance_lock_programs(options->paths);

	if (lock_fd < 0) {
		log_error("cannot lock %s: %s", options->paths->programs_lock, strerror(-lock_fd));
		return lock_fd;
	}
	err = pins_put_configuration(options->paths, steer->object, options->group);
	if (!err)
		err = attach_programs(steer, options);
	if (!err)
		err = programs_write(steer->object, steer->takeover, options->paths);
	if (!err)
		err = interfaces_write(&steer->interfaces, options->paths);
	close(lock_fd);
	return err;
}

int steer_attach(struct steer *steer, const struct steer_options *options,
		 const int listener_fds[STEER_FAMILIES])
{
	int err;

	err = open_steering_maps(steer, options);
	if (!err)
		err = configure(steer, options, listener_fds);
	if (!err)
		err = map_heartbeat(steer, options->succeeds);
	if (!err)
		err = programs_load(steer->object, steer->takeover);
	if (!err)
		err = open_adoption_channels(steer, options->threads);
	if (!err)
		err = attach_and_tell(steer, options);
	if (!err)
		err = start_monitor(steer, options);
	/* A predecessor can go on with this build's programs, as all maps are its own. */
	if (err && !options->succeeds)
		attachment_detach_all(options->paths);
	return err;
}

/* The maps of the agent are all there is, and the control map by which they are known. */
int steer_not(struct steer *steer, const struct steer_options *options)
{
	const struct steer_control control = {
		.abi_version = STEER_ABI_VERSION,
		.hash_key = {steer->hash_key[0], steer->hash_key[1]},
	};
	int err = pins_make_configuration(options->paths, steer->object);

	if (!err)
		err = set_control(steer, &control);
	if (!err)
		err = pins_freeze_configuration(steer->object);
	if (!err)
		err = pins_put_configuration(options->paths, steer->object, options->group);
	return err ? err : start_monitor(steer, options);
}

void steer_take_over(struct steer *steer)
{
	steer->succeeds = false;
	monitor_take_over(&steer->monitor);
}

void steer_retire(struct steer *steer)
{
	monitor_retire(&steer->monitor);
	steer->monitored = false;
}

const int *steer_adoption_fds(const struct steer *steer)
{
	return steer->receive_fds;
}

void steer_heartbeat(struct steer *steer, uint64_t until_ns)
{
	if (steer->monitored && steer->heartbeat)
		__atomic_store_n(steer->heartbeat, until_ns, __ATOMIC_RELAXED);
}

enum monitor_message steer_receive_message(const struct steer *steer)
{
	return monitor_receive(&steer->monitor);
}

int steer_monitor_fd(const struct steer *steer)
{
	return steer->monitored ? steer->monitor.channel_fd : -1;
}

void steer_free(struct steer *steer)
{
	if (!steer)
		return;
	/* Should the monitor be dead, nothing is detached: then this makes everything pass. */
	if (steer->monitored && steer->heartbeat && !steer->succeeds)
		__atomic_store_n(steer->heartbeat, 0, __ATOMIC_RELAXED);
	if (steer->monitored)
		monitor_stop(&steer->monitor);
	interfaces_done(&steer->interfaces);
	if (steer->heartbeat)
		munmap(steer->heartbeat, sizeof(*steer->heartbeat));
	close_descriptors(steer->send_fds, steer->threads);
	close_descriptors(steer->receive_fds, steer->threads);
	free(steer->send_fds);
	free(steer->receive_fds);
	bpf_object__close(steer->object);
	free(steer);
}

int steer_unload(const struct paths *paths)
{
	uint64_t netns, steered = pins_netns(paths);
	int err;

	err = netns_inode(&netns);
	if (!err && steered && steered != netns && attachment_any(paths)) {
		log_error("the last responder steered another network namespace: give the same "
			  "--netns");
		return -EXDEV;
	}
	if (!err)
		err = attachment_detach_all(paths);
	return err ? err : pins_remove(paths);
}
