// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/steer.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "bpf/steer.skel.h"
#include "bpf/steer_repair.skel.h"
#include "bpf/steer_abi.h"
#include "common/challenge_table.h"
#include "common/log.h"
#include "common/paths.h"
#include "responder/attachment.h"
#include "responder/keeper.h"
#include "responder/pins.h"

#define ASSIGN_KFUNC "bpf_sk_assign_tcp_reqsk" /* since 6.9 */

struct steer {
	enum steer_way way;
	struct bpf_object *object;
	uint64_t hash_key[2];
	struct steer_control *control; /* the map's memory; NULL before steer_attach() */
	unsigned int threads;
	int *send_fds, *receive_fds; /* of adopted sockets, one pair a thread; NULL: not this way */
	struct keeper keeper;
	struct attachments attachments; /* as they were at the start: the keeper's count */
	bool attached;
};

static const char *way_name(enum steer_way way)
{
	return way == STEER_WAY_REPAIR ? "repair" : "sk_lookup";
}

/* --- what the kernel has ------------------------------------------------------- */

/* libbpf's own words are for who debugs the programs; errors are told by the caller. */
static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[1024];
	size_t length;

	if (level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(line, sizeof(line), format, args);
	length = strcspn(line, "\n");
	log_debug("%.*s", (int)length, line);
	return 0;
}

/* Does the kernel export the kfunc?  -ENOENT when not, -EOPNOTSUPP without any BTF. */
static int find_assign_kfunc(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int id;

	if (!btf)
		return -EOPNOTSUPP;
	id = btf__find_by_name_kind(btf, ASSIGN_KFUNC, BTF_KIND_FUNC);
	btf__free(btf);
	return id < 0 ? -ENOENT : 0;
}

/* The way that this kernel can go, where the user leaves it open. */
static enum steer_way choose_way(enum steer_way wanted)
{
	if (wanted != STEER_WAY_AUTO)
		return wanted;
	return find_assign_kfunc() ? STEER_WAY_REPAIR : STEER_WAY_SK_LOOKUP;
}

/* The programs of a way, not yet loaded.  NULL with errno. */
static struct bpf_object *open_object(enum steer_way way)
{
	size_t size;
	const void *bytes = way == STEER_WAY_REPAIR ? steer_repair_bpf__elf_bytes(&size)
						    : steer_bpf__elf_bytes(&size);
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "steer");

	return bpf_object__open_mem(bytes, size, &opts);
}

static int map_fd(const struct steer *steer, const char *name)
{
	return bpf_object__find_map_fd_by_name(steer->object, name);
}

/* -1 when the way has no such program. */
static int program_fd(const struct steer *steer, const char *name)
{
	const struct bpf_program *program = bpf_object__find_program_by_name(steer->object, name);

	return program ? bpf_program__fd(program) : -1;
}

static const char *kernel_release(struct utsname *name)
{
	return uname(name) ? "?" : name->release;
}

/* Before 5.11 BPF memory counts against this limit, which is small by default. */
static void raise_memlock_limit(void)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

	if (setrlimit(RLIMIT_MEMLOCK, &unlimited))
		log_debug("the limit of locked memory stays: %s", strerror(errno));
}

/* Say why loading failed, and what to do about it. */
static void log_load_failure(enum steer_way way, int err)
{
	struct utsname name;
	int kfunc = find_assign_kfunc();

	if (err == -EPERM || err == -EACCES)
		log_error("the kernel does not let this user load BPF programs: start as root, or "
			  "with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
	else if (kfunc == -EOPNOTSUPP)
		log_error(
			"kernel %s has no BTF (/sys/kernel/btf/vmlinux): steering needs one built "
			"with CONFIG_DEBUG_INFO_BTF",
			kernel_release(&name));
	else if (kfunc && way == STEER_WAY_SK_LOOKUP)
		log_error("kernel %s has no %s(), which needs Linux 6.9 or newer with "
			  "CONFIG_SYN_COOKIES: use --way repair, or leave --way out",
			  kernel_release(&name), ASSIGN_KFUNC);
	else
		log_error("cannot load the BPF programs: %s; --verbose shows the verifier's words",
			  strerror(-err));
}

/* Would the programs of this way load?  0 or -errno. */
static int try_way(enum steer_way way)
{
	struct bpf_object *object = open_object(way);
	int err = object ? bpf_object__load(object) : -errno;

	bpf_object__close(object);
	return err;
}

int steer_check(FILE *out)
{
	enum steer_way way = choose_way(STEER_WAY_AUTO);
	int err, kfunc = find_assign_kfunc();
	struct utsname name;

	libbpf_set_print(print_libbpf);
	raise_memlock_limit();
	fprintf(out, "kernel:        %s\n", kernel_release(&name));
	fprintf(out, "BTF:           %s\n", kfunc == -EOPNOTSUPP ? "missing" : "yes");
	fprintf(out, "%s(): %s\n", ASSIGN_KFUNC, kfunc ? "missing, needs Linux 6.9" : "yes");
	err = try_way(way);
	fprintf(out, "BPF programs:  %s\n", err ? strerror(-err) : "load");
	if (!err)
		fprintf(out, "steering:      the way '%s'\n", way_name(way));
	else if (err == -EPERM || err == -EACCES)
		fprintf(out, "steering:      start as root to try\n");
	else
		fprintf(out, "steering:      not on this kernel\n");
	if (!err)
		return 0;
	return err == -EPERM || err == -EACCES ? -EPERM : -ENOTSUP;
}

/* --- loading and attaching ----------------------------------------------------- */

int steer_open_maps(const struct steer_options *options, const uint64_t hash_key[2],
		    struct steer **ret_steer)
{
	struct steer *steer = calloc(1, sizeof(*steer));
	int err;

	if (!steer)
		return -ENOMEM;
	libbpf_set_print(print_libbpf);
	raise_memlock_limit();
	memcpy(steer->hash_key, hash_key, sizeof(steer->hash_key));
	steer->way = choose_way(options->way);
	steer->object = open_object(steer->way);
	if (!steer->object) {
		err = -errno;
		log_error("cannot read the built-in BPF object: %s", strerror(errno));
		goto out;
	}
	err = pins_mount(options->paths, options->group);
	if (!err)
		err = pins_open_maps(options->paths, options->group, hash_key, steer->object);
out:
	if (err) {
		steer_free(steer);
		return err;
	}
	*ret_steer = steer;
	return 0;
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

/* Tell the programs what they cannot know. */
static int configure(struct steer *steer, const struct steer_options *options,
		     const int listener_fds[STEER_FAMILIES])
{
	struct steer_control *control;
	int err;

	control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED,
		       map_fd(steer, "control_map"), 0);
	if (control == MAP_FAILED) {
		err = -errno;
		log_error("cannot configure the BPF programs: %s", strerror(errno));
		return err;
	}
	steer->control = control;
	*control = (struct steer_control){
		.hash_key = {steer->hash_key[0], steer->hash_key[1]},
		.responder_port = {listener_port(listener_fds[STEER_V4]),
				   listener_port(listener_fds[STEER_V6])},
		.watched_port = options->watched_port,
	};
	return steer->way == STEER_WAY_SK_LOOKUP ? set_listeners(steer, listener_fds) : 0;
}

/* The channels by which the second way hands sockets to the answering threads. */
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

/* The attachments go to the keeper, and in the second way the work of adopting. */
static int start_keeper(struct steer *steer, const struct steer_options *options,
			const struct attachment_programs *programs)
{
	bool adopts = steer->way == STEER_WAY_REPAIR;
	struct keeper_options keeper_options = {
		.programs = programs,
		.steer = options,
		.adoption_map_fd = adopts ? map_fd(steer, "adoptions") : -1,
		.adoption_fds = steer->send_fds,
	};
	int err = keeper_start(&steer->keeper, &steer->attachments, &keeper_options);

	if (err) {
		log_error("cannot start the keeper: %s", strerror(-err));
		return err;
	}
	/* The keeper's ends: so its death is seen. */
	close_descriptors(steer->send_fds, steer->threads);
	free(steer->send_fds);
	steer->send_fds = NULL;
	steer->attached = true;
	return 0;
}

int steer_attach(struct steer *steer, const struct steer_options *options,
		 const int listener_fds[STEER_FAMILIES])
{
	struct attachment_programs programs;
	int err;

	err = bpf_object__load(steer->object);
	if (err) {
		log_load_failure(steer->way, err);
		return err;
	}
	err = configure(steer, options, listener_fds);
	if (!err && steer->way == STEER_WAY_REPAIR)
		err = open_adoption_channels(steer, options->threads);
	if (err)
		return err;
	programs = (struct attachment_programs){
		.ethernet_fd = program_fd(steer, "steer_ethernet"),
		.bare_ip_fd = program_fd(steer, "steer_bare_ip"),
		.lookup_fd = program_fd(steer, "choose"),
	};
	err = attachments_make(&programs, options, &steer->attachments);
	if (err)
		return err;
	err = attachments_write(&steer->attachments, options->paths);
	if (err)
		log_error("cannot write %s: %s", options->paths->interfaces, strerror(-err));
	else
		err = start_keeper(steer, options, &programs);
	if (err)
		attachments_remove(&steer->attachments);
	return err;
}

const int *steer_adoption_fds(const struct steer *steer)
{
	return steer->receive_fds;
}

void steer_keep_alive(struct steer *steer, uint32_t for_ms)
{
	if (steer->attached)
		__atomic_store_n(&steer->control->alive_until_ns,
				 challenge_clock_ns() + (uint64_t)for_ms * 1000000u,
				 __ATOMIC_RELAXED);
}

int steer_keeper_fd(const struct steer *steer)
{
	return steer->attached ? steer->keeper.channel_fd : -1;
}

static void describe_programs(const struct steer *steer, FILE *out)
{
	struct bpf_program *program;
	const char *separator = "";

	bpf_object__for_each_program(program, steer->object)
	{
		struct bpf_prog_info info = {0};
		__u32 size = sizeof(info);

		if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size))
			continue;
		fprintf(out, "%s\"%s\": %u", separator, bpf_program__name(program), info.id);
		separator = ", ";
	}
}

void steer_describe(const struct steer *steer, FILE *out)
{
	fprintf(out, "\"way\": \"%s\", \"programs\": {",
		steer->attached ? way_name(steer->way) : "standalone");
	if (steer->attached)
		describe_programs(steer, out);
	fputc('}', out);
}

void steer_free(struct steer *steer)
{
	if (!steer)
		return;
	if (steer->attached) {
		keeper_stop(&steer->keeper);
		attachments_done(&steer->attachments);
	}
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
	return pins_remove(paths);
}
