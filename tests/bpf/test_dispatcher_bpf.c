/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The dispatcher alone, even where it is asked when it should not be. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "bpf/steer.skel.h"
#include "bpf/steer_abi.h"

#define WATCHED 443

static struct bpf_object *object;
static int listener = -1;

static int map_fd(const char *name)
{
	return bpf_object__find_map_fd_by_name(object, name);
}

/* Where the word lies in the programs' scratch memory. */
static size_t asking_offset(void)
{
	const struct btf *btf = bpf_object__btf(object);
	const struct btf_type *type = btf__type_by_id(
		btf, (__u32)btf__find_by_name_kind(btf, "scratch", BTF_KIND_STRUCT));
	const struct btf_member *members = btf_members(type);

	for (__u16 i = 0; i < btf_vlen(type); i++)
		if (!strcmp(btf__name_by_offset(btf, members[i].name_off), "asking"))
			return btf_member_bit_offset(type, i) / 8;
	fail_msg("struct scratch has no member asking");
	return 0;
}

/* As if the classifier asked, on every CPU and for ever. */
static void set_asking(__u32 asking)
{
	const struct bpf_map *map = bpf_object__find_map_by_name(object, "scratches");
	size_t size = (bpf_map__value_size(map) + 7) / 8 * 8, offset = asking_offset();
	int cpus = libbpf_num_possible_cpus();
	uint8_t *values = calloc((size_t)cpus, size);
	const __u32 zero = 0;

	assert_non_null(values);
	for (int cpu = 0; cpu < cpus; cpu++)
		memcpy(values + (size_t)cpu * size + offset, &asking, sizeof(asking));
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &zero, values, BPF_ANY), 0);
	free(values);
}

static void set_up_maps(void)
{
	const struct steer_control control = {.watched_port = {WATCHED, WATCHED, WATCHED, WATCHED}};
	const struct sockaddr_in address = {.sin_family = AF_INET,
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const __u32 zero = 0, family = STEER_V4;
	__u64 fd;

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	fd = (__u64)listener;
	assert_int_equal(bpf_map_update_elem(map_fd("control_map"), &zero, &control, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(map_fd("listeners"), &family, &fd, BPF_ANY), 0);
}

static int set_up(void **state)
{
	size_t size;
	const void *bytes = steer_bpf__elf_bytes(&size);

	(void)state;
	object = bpf_object__open_mem(bytes, size, NULL);
	if (!object || bpf_object__load(object))
		return -1;
	set_up_maps();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(listener);
	bpf_object__close(object);
	return 0;
}

/* Does the program choose a socket for this search? */
static bool chooses(__u32 protocol, __u32 port)
{
	struct bpf_sk_lookup context = {.family = AF_INET,
					.protocol = protocol,
					.remote_ip4 = htonl(0xc0000201),
					.remote_port = htons(1024),
					.local_ip4 = htonl(0xc0000202),
					.local_port = port};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &context, .ctx_size_in = sizeof(context),
		    .ctx_out = &context, .ctx_size_out = sizeof(context));
	const struct bpf_program *program = bpf_object__find_program_by_name(object, "choose");

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(program), &opts), 0);
	return context.cookie;
}

static void test_asked(void **state)
{
	(void)state;
	set_asking(1);
	assert_true(chooses(IPPROTO_TCP, WATCHED));
}

static void test_not_asked(void **state)
{
	(void)state;
	set_asking(0);
	assert_false(chooses(IPPROTO_TCP, WATCHED));
}

/* Row W1.  A word that stays set cannot redirect what is not watched. */
static void test_other_traffic(void **state)
{
	(void)state;
	set_asking(1);
	assert_false(chooses(IPPROTO_UDP, WATCHED));
	assert_false(chooses(IPPROTO_TCP, 22));
	assert_false(chooses(IPPROTO_TCP, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_asked),
		cmocka_unit_test(test_not_asked),
		cmocka_unit_test(test_other_traffic),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
