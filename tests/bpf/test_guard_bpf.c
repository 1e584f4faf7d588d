// SPDX-License-Identifier: GPL-3.0-or-later
/* The guard alone: which searches for a listener end at once, and that none gets a socket of its. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/steer.skel.h"
#include "bpf/steer_abi.h"

#define WATCHED      443
#define RESPONDER_V4 40001
#define RESPONDER_V6 40002

static struct bpf_object *object;

static int set_up(void **state)
{
	const struct steer_control control = {
		.watched_port = {WATCHED, WATCHED, WATCHED, WATCHED},
		.responder_port = {RESPONDER_V4, RESPONDER_V6},
	};
	const __u32 zero = 0;
	size_t size;
	const void *bytes = steer_bpf__elf_bytes(&size);

	(void)state;
	object = bpf_object__open_mem(bytes, size, NULL);
	if (!object || bpf_object__load(object))
		return -1;
	return bpf_map_update_elem(bpf_object__find_map_fd_by_name(object, "control_map"), &zero,
				   &control, BPF_ANY);
}

static int tear_down(void **state)
{
	(void)state;
	bpf_object__close(object);
	return 0;
}

/* Does the search go on as without us? */
static bool passes(__u32 family, __u32 protocol, __u32 port)
{
	struct bpf_sk_lookup context = {.family = family,
					.protocol = protocol,
					.remote_port = htons(1024),
					.local_port = port};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &context, .ctx_size_in = sizeof(context),
		    .ctx_out = &context, .ctx_size_out = sizeof(context));
	const struct bpf_program *program = bpf_object__find_program_by_name(object, "guard");

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(program), &opts), 0);
	assert_int_equal(context.cookie, 0); /* no socket is ever chosen */
	return opts.retval == SK_PASS;
}

/* Row W8.  Nobody gets through to the responder's own listeners. */
static void test_own_listeners(void **state)
{
	(void)state;
	assert_false(passes(AF_INET, IPPROTO_TCP, RESPONDER_V4));
	assert_false(passes(AF_INET6, IPPROTO_TCP, RESPONDER_V6));
}

/* Row W1.  All other traffic is as without us. */
static void test_other_traffic(void **state)
{
	(void)state;
	assert_true(passes(AF_INET, IPPROTO_TCP, WATCHED));
	assert_true(passes(AF_INET6, IPPROTO_TCP, WATCHED));
	assert_true(passes(AF_INET, IPPROTO_TCP, 22));
	assert_true(passes(AF_INET, IPPROTO_TCP, RESPONDER_V6));
	assert_true(passes(AF_INET6, IPPROTO_TCP, RESPONDER_V4));
	assert_true(passes(AF_INET, IPPROTO_UDP, RESPONDER_V4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_listeners),
		cmocka_unit_test(test_other_traffic),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
