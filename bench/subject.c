// SPDX-License-Identifier: GPL-3.0-or-later
#include "bench/subject.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bench/frames.h"
#include "bpf/name_hash.h"
#include "bpf/steer.skel.h"
#include "bpf/steer_repair.skel.h"

#define RESPONDER_PORT 44300
#define BACKLOG        4096
#define HASH_KEY                             \
	{                                    \
		0x736964657374, 0x62656e6368 \
	}

static int map_fd(const struct subject *subject, const char *name)
{
	return bpf_object__find_map_fd_by_name(subject->object, name);
}

/* --- loading --------------------------------------------------------------------- */

/* "return TCX_NEXT;": what a test run costs without any program of ours. */
static int load_empty(void)
{
	const struct bpf_insn program[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = SUBJECT_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "empty", "GPL", program,
			     sizeof(program) / sizeof(program[0]), NULL);
}

static int load(struct subject *subject)
{
	size_t size;
	const void *bytes = subject->takeover == SUBJECT_REPAIR ? steer_repair_bpf__elf_bytes(&size)
								: steer_bpf__elf_bytes(&size);
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "steer");
	struct bpf_program *classifier;
	int err;

	subject->object = bpf_object__open_mem(bytes, size, &opts);
	if (!subject->object)
		return -errno;
	err = bpf_object__load(subject->object);
	if (err)
		return err;
	classifier = bpf_object__find_program_by_name(subject->object, "steer_ethernet");
	if (!classifier)
		return -ENOENT;
	subject->classifier_fd = bpf_program__fd(classifier);
	subject->empty_fd = load_empty();
	return subject->empty_fd < 0 ? subject->empty_fd : 0;
}

static int ignore_adoption(void *context, void *adoption, size_t size)
{
	(void)context;
	(void)adoption;
	(void)size;
	return 0;
}

/* --- what is pending ------------------------------------------------------------- */

static int add_challenge(const struct subject *subject, uint64_t key, uint32_t slot)
{
	const struct steer_challenge challenge = {.expires_ns = UINT64_MAX, .slot = slot};

	return bpf_map_update_elem(map_fd(subject, "challenges"), &key, &challenge, BPF_ANY);
}

/* `names` entries under keys like any hash, then the one that a ClientHello will ask for. */
static int add_challenges(const struct subject *subject, const char *server_name,
			  unsigned int names)
{
	const uint64_t hash_key[2] = HASH_KEY;
	uint64_t name[NAME_BUFFER_SIZE / sizeof(uint64_t)] = {0};
	int err = 0;

	for (unsigned int i = 0; !err && i < names; i++) {
		name[0] = i;
		err = add_challenge(subject, name_hash((const __u64 *)hash_key, (__u64 *)name), i);
	}
	if (err)
		return err;
	if (strlen(server_name) > NAME_LENGTH_MAX)
		return -ENAMETOOLONG;
	memset(name, 0, sizeof(name));
	memcpy(name, server_name, strlen(server_name));
	return add_challenge(subject, name_hash((const __u64 *)hash_key, (__u64 *)name), names);
}

int subject_arm(const struct subject *subject, bool armed)
{
	const struct steer_armed until = {.until_ns = armed ? UINT64_MAX : 0};
	const __u32 zero = 0;

	return bpf_map_update_elem(map_fd(subject, "armed"), &zero, &until, BPF_ANY);
}

/* --- listeners ------------------------------------------------------------------- */

static int listen_on(uint16_t port, int *ret_fd)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(FRAMES_ADDRESS),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) || listen(fd, BACKLOG)) {
		err = -errno;
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

/* As the responder configures them. */
static int configure(const struct subject *subject)
{
	const struct steer_control control = {
		.hash_key = HASH_KEY,
		.responder_port = {RESPONDER_PORT, RESPONDER_PORT},
		.watched_port = {FRAMES_PORT, FRAMES_PORT, FRAMES_PORT, FRAMES_PORT},
	};
	const __u64 listener = (__u64)subject->responder_fd, alive_until_ns = UINT64_MAX;
	const __u32 zero = 0, family = STEER_V4;
	int err;

	err = bpf_map_update_elem(map_fd(subject, "control_map"), &zero, &control, BPF_ANY);
	if (!err)
		err = bpf_map_update_elem(map_fd(subject, "heartbeat"), &zero, &alive_until_ns,
					  BPF_ANY);
	if (!err && subject->takeover == SUBJECT_ASSIGN)
		err = bpf_map_update_elem(map_fd(subject, "listeners"), &family, &listener,
					  BPF_ANY);
	return err;
}

/* --- the whole ------------------------------------------------------------------- */

int subject_open(enum subject_takeover takeover, const char *server_name, unsigned int names,
		 struct subject *ret_subject)
{
	struct subject subject = {
		.takeover = takeover,
		.classifier_fd = -1,
		.empty_fd = -1,
		.production_fd = -1,
		.responder_fd = -1,
	};
	int err;

	err = load(&subject);
	if (!err)
		err = listen_on(FRAMES_PORT, &subject.production_fd);
	if (!err)
		err = listen_on(RESPONDER_PORT, &subject.responder_fd);
	if (!err)
		err = configure(&subject);
	if (!err)
		err = add_challenges(&subject, server_name, names);
	if (!err && takeover == SUBJECT_REPAIR) {
		subject.adoptions = ring_buffer__new(map_fd(&subject, "adoptions"), ignore_adoption,
						     NULL, NULL);
		err = subject.adoptions ? 0 : -errno;
	}
	if (err)
		subject_close(&subject);
	else
		*ret_subject = subject;
	return err;
}

void subject_close(struct subject *subject)
{
	const int fds[] = {subject->empty_fd, subject->production_fd, subject->responder_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	ring_buffer__free(subject->adoptions);
	bpf_object__close(subject->object);
}

int subject_forget(const struct subject *subject)
{
	const struct bpf_map *map = bpf_object__find_map_by_name(subject->object, ".bss");
	void *nothing = calloc(1, bpf_map__value_size(map));
	const __u32 zero = 0;
	int err;

	if (!nothing)
		return -ENOMEM;
	err = bpf_map_update_elem(bpf_map__fd(map), &zero, nothing, BPF_ANY);
	free(nothing);
	return err;
}

int subject_run(int program_fd, const struct frames_tap *tap, const struct frame *frame,
		uint32_t repeat, uint32_t *ret_ns, int *ret_action)
{
	struct __sk_buff context = {.ifindex = tap->ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame->bytes,
		    .data_size_in = (__u32)frame->size, .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = (int)repeat);
	int err = bpf_prog_test_run_opts(program_fd, &opts);

	if (err)
		return err;
	*ret_ns = opts.duration;
	*ret_action = (int)opts.retval;
	return 0;
}

void subject_drain(const struct subject *subject)
{
	if (subject->adoptions)
		ring_buffer__consume(subject->adoptions);
}

int subject_counters(const struct subject *subject, uint64_t ret_values[STEER_COUNTERS])
{
	int cpus = libbpf_num_possible_cpus(), err = 0;
	uint64_t *values;

	if (cpus < 0)
		return cpus;
	values = calloc((size_t)cpus, sizeof(*values));
	if (!values)
		return -ENOMEM;
	for (__u32 key = 0; !err && key < STEER_COUNTERS; key++) {
		err = bpf_map_lookup_elem(map_fd(subject, "counters"), &key, values);
		ret_values[key] = 0;
		for (int cpu = 0; !err && cpu < cpus; cpu++)
			ret_values[key] += values[cpu];
	}
	free(values);
	return err;
}

int subject_describe(const struct subject *subject,
		     void (*visit)(void *context, const struct bpf_prog_info *info), void *context)
{
	struct bpf_program *program;
	int err;

	bpf_object__for_each_program(program, subject->object)
	{
		struct bpf_prog_info info = {0};
		__u32 size = sizeof(info);

		err = bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size);
		if (err)
			return err;
		visit(context, &info);
	}
	return 0;
}
