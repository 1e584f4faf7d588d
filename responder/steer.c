// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/steer.h"

#include <errno.h>
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
	struct bpf_object *object;
	uint64_t hash_key[2], netns;
	struct steer_control *control; /* the map's memory; NULL before steer_attach() */
	unsigned int threads;
	int *send_fds,
		*receive_fds; /* of adopted sockets, one pair a thread; NULL: not this takeover */
	struct monitor monitor;
	struct interfaces interfaces; /* as they were at the start: the monitor's count */
	bool attached, succeeds;
};

static int map_fd(const struct steer *steer, const char *name)
{
	return bpf_object__find_map_fd_by_name(steer->object, name);
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
	err = steer->object ? pins_mount(options->paths, options->group) : -errno;
	if (err)
		goto out;
	reuse = pins_fit_feed(options->paths, hash_key, steer->object);
	if (!reuse && options->succeeds)
		err = refuse_handover();
	else if (!reuse)
		err = attachment_detach_all(options->paths);
	if (!err)
		err = pins_open_feed(options->paths, options->group, hash_key, reuse,
				     steer->object);
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
		log_error("cannot tell the network namespaces apart: %s", strerror(-err));
		return err;
	}
	fits = pins_fit_steering(options->paths, steer->netns, steer->object);
	if (fits)
		reuse = options->succeeds ? PINS_ALL : PINS_CONNECTIONS;
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

static bool is_wanted(const struct steer_options *options, const struct steer_address *address)
{
	for (size_t i = 0; i < options->address_count; i++)
		if (!memcmp(&options->addresses[i], address, sizeof(*address)))
			return true;
	return false;
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

/* Those that a predecessor watched. */
static void remove_other_addresses(int addresses_fd, const struct steer_options *options)
{
	struct steer_address address, next;
	bool more = !bpf_map_get_next_key(addresses_fd, NULL, &address);

	while (more) {
		more = !bpf_map_get_next_key(addresses_fd, &address, &next);
		if (!is_wanted(options, &address))
			bpf_map_delete_elem(addresses_fd, &address);
		address = next;
	}
}

static int map_control(struct steer *steer)
{
	int err;

	steer->control = mmap(NULL, sizeof(*steer->control), PROT_READ | PROT_WRITE, MAP_SHARED,
			      map_fd(steer, "control_map"), 0);
	if (steer->control != MAP_FAILED)
		return 0;
	err = -errno;
	steer->control = NULL;
	log_error("cannot configure the BPF programs: %s", strerror(errno));
	return err;
}

/*
 * Tell the programs what they cannot know.  Those of a predecessor may be at work with it
 * all: each word changes at once, and to what is true already.
 */
static int configure(struct steer *steer, const struct steer_options *options,
		     const int listener_fds[STEER_FAMILIES])
{
	struct steer_control *control;
	int err;

	err = map_control(steer);
	if (err)
		return err;
	control = steer->control;
	if (!options->succeeds)
		__atomic_store_n(&control->alive_until_ns, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&control->netns, steer->netns, __ATOMIC_RELAXED);
	for (size_t i = 0; i < STEER_PORTS_MAX; i++)
		__atomic_store_n(&control->watched_port[i],
				 options->ports[i < options->port_count ? i : 0], __ATOMIC_RELAXED);
	err = add_addresses(map_fd(steer, "addresses"), options);
	if (err)
		return err;
	__atomic_store_n(&control->address_count, (__u32)options->address_count, __ATOMIC_RELAXED);
	remove_other_addresses(map_fd(steer, "addresses"), options);
	for (int family = 0; family < STEER_FAMILIES; family++)
		__atomic_store_n(&control->responder_port[family],
				 listener_port(listener_fds[family]), __ATOMIC_RELAXED);
	/* A successor's are its predecessor's, and in the map. */
	if (steer->takeover == TAKEOVER_SK_LOOKUP && !options->succeeds)
		err = set_listeners(steer, listener_fds);
	return err;
}

/* The channels by which the repair takeover hands sockets to the answering threads. */
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
		close(fds[i]);
}

/* The interfaces are the monitor's from now on, and in the repair takeover so is the work of adopting. */
static int start_monitor(struct steer *steer, const struct steer_options *options)
{
	bool adopts = steer->takeover == TAKEOVER_REPAIR;
	struct monitor_options monitor_options = {
		.steer = options,
		.control = steer->control,
		.waits = options->succeeds,
		.tcp_repair_maps = {.adoptions_fd = adopts ? map_fd(steer, "adoptions") : -1,
				    .flows_fd = adopts ? map_fd(steer, "flows") : -1},
		.adoption_fds = steer->send_fds,
	};
	int err = monitor_start(&steer->monitor, &steer->interfaces, &monitor_options);

	if (err) {
		log_error("cannot start the monitor: %s", strerror(-err));
		return err;
	}
	/* The monitor's ends: so its death is seen. */
	close_descriptors(steer->send_fds, steer->threads);
	free(steer->send_fds);
	steer->send_fds = NULL;
	steer->attached = true;
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
		err = programs_load(steer->object, steer->takeover);
	if (!err)
		err = configure(steer, options, listener_fds);
	if (!err && steer->takeover == TAKEOVER_REPAIR)
		err = open_adoption_channels(steer, options->threads);
	if (!err)
		err = attach_and_tell(steer, options);
	if (!err)
		err = start_monitor(steer, options);
	/* A predecessor can go on with this build's programs, as all maps are its own. */
	if (err && !options->succeeds)
		attachment_detach_all(options->paths);
	steer->succeeds = options->succeeds;
	return err;
}

void steer_take_over(struct steer *steer)
{
	steer->succeeds = false;
	if (steer->attached)
		monitor_take_over(&steer->monitor);
}

void steer_leave(struct steer *steer)
{
	if (steer->attached)
		monitor_stop(&steer->monitor, false);
	steer->attached = false;
}

const int *steer_adoption_fds(const struct steer *steer)
{
	return steer->receive_fds;
}

void steer_heartbeat(struct steer *steer, uint64_t until_ns)
{
	if (steer->attached)
		__atomic_store_n(&steer->control->alive_until_ns, until_ns, __ATOMIC_RELAXED);
}

bool steer_netns_has_ended(struct steer *steer)
{
	return monitor_hear(&steer->monitor) == MONITOR_NETNS_ENDED;
}

int steer_monitor_fd(const struct steer *steer)
{
	return steer->attached ? steer->monitor.channel_fd : -1;
}

void steer_free(struct steer *steer)
{
	if (!steer)
		return;
	/* Should the monitor be dead, nothing is detached: then this makes everything pass. */
	if (steer->attached && !steer->succeeds)
		__atomic_store_n(&steer->control->alive_until_ns, 0, __ATOMIC_RELAXED);
	if (steer->attached)
		monitor_stop(&steer->monitor, !steer->succeeds);
	interfaces_done(&steer->interfaces);
	if (steer->control)
		munmap(steer->control, sizeof(*steer->control));
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
