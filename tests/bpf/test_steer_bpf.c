// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The real programs by test run, of the sk_lookup takeover here and of the second where
 * test_steer_repair_bpf.c includes this file: what they cost the verifier, and which packets
 * they take for a SYN to the watched port while a name is armed.  What they do
 * with real connections is shown in tests/net.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include <stdlib.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#ifdef STEER_BY_REPAIR
#include "bpf/steer_repair.skel.h"
#define steer_elf_bytes steer_repair_bpf__elf_bytes
#define STEER_PROGRAMS  4
#else
#include "bpf/steer.skel.h"
#define steer_elf_bytes steer_bpf__elf_bytes
#define STEER_PROGRAMS  4
#endif
#include "bpf/steer_abi.h"

#define VERIFIED_INSNS_MAX 50000
#define PASS               ((__u32)-1) /* TCX_NEXT */
/* A test run takes no frame without a whole IPv4 header, and says so by an error. */
#define TEST_RUN_FRAME_MIN (ETH_HLEN + 20)
#define FRAME_MAX          256

static struct bpf_object *object;

static int map_fd(const char *name)
{
	return bpf_object__find_map_fd_by_name(object, name);
}

struct frame {
	uint8_t bytes[FRAME_MAX];
	size_t size;
};

/* --- frames ------------------------------------------------------------------------- */

static void append(struct frame *frame, const void *bytes, size_t size)
{
	assert_true(frame->size + size <= FRAME_MAX);
	memcpy(frame->bytes + frame->size, bytes, size);
	frame->size += size;
}

static void append_ethernet(struct frame *frame, uint16_t protocol)
{
	const uint8_t addresses[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
	uint16_t type = htons(protocol);

	append(frame, addresses, sizeof(addresses));
	append(frame, &type, sizeof(type));
}

/* `option_words` of four NOPs each; `fragment` in host order; lengths for what `after` follows. */
static void append_ipv4(struct frame *frame, unsigned int option_words, uint16_t fragment,
			uint16_t after)
{
	uint8_t header[60] = {0};
	size_t size = 20 + 4 * option_words;

	header[0] = (uint8_t)(0x40 | size / 4);
	header[2] = (uint8_t)((size + after) >> 8);
	header[3] = (uint8_t)(size + after);
	header[6] = (uint8_t)(fragment >> 8);
	header[7] = (uint8_t)fragment;
	header[8] = 64;
	header[9] = IPPROTO_TCP;
	memcpy(header + 12, (uint8_t[]){192, 0, 2, 1, 192, 0, 2, 2}, 8);
	memset(header + 20, 1, 4 * option_words);
	append(frame, header, size);
}

static void append_ipv6(struct frame *frame, uint8_t next_header, uint16_t after)
{
	uint8_t header[40] = {0x60};

	header[4] = (uint8_t)(after >> 8);
	header[5] = (uint8_t)after;
	header[6] = next_header;
	header[7] = 64;
	header[8] = header[24] = 0x20;
	header[23] = 1;
	header[39] = 2;
	append(frame, header, sizeof(header));
}

/* An IPv6 extension header of 8 bytes. */
static void append_extension(struct frame *frame, uint8_t next_header)
{
	const uint8_t header[8] = {next_header, 0, 1, 4, 0, 0, 0, 0};

	append(frame, header, sizeof(header));
}

/* A SYN to `port`, `data_offset` in words as it is to be stated. */
static void append_syn(struct frame *frame, uint16_t port, unsigned int data_offset)
{
	uint8_t header[20] = {0xc0, 0x01, (uint8_t)(port >> 8), (uint8_t)port};

	header[12] = (uint8_t)(data_offset << 4);
	header[13] = 0x02;
	append(frame, header, sizeof(header));
}

/* A plain SYN to the watched port, by IPv4. */
static struct frame plain_syn(void)
{
	struct frame frame = {.size = 0};

	append_ethernet(&frame, ETH_P_IP);
	append_ipv4(&frame, 0, 0, 20);
	append_syn(&frame, 443, 5);
	return frame;
}

/* --- running ------------------------------------------------------------------------ */

static uint64_t counter(enum steer_counter which)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *values, sum = 0;
	__u32 key = which;

	assert_true(cpus > 0);
	values = calloc((size_t)cpus, sizeof(*values));
	assert_non_null(values);
	assert_int_equal(bpf_map_lookup_elem(map_fd("counters"), &key, values), 0);
	for (int i = 0; i < cpus; i++)
		sum += values[i];
	free(values);
	return sum;
}

static void arm_until(uint64_t until_ns)
{
	const struct steer_armed armed = {.until_ns = until_ns};
	__u32 zero = 0;

	assert_int_equal(bpf_map_update_elem(map_fd("armed"), &zero, &armed, BPF_ANY), 0);
}

/* Does rule 0 take its short way? */
static bool is_nothing_armed(void)
{
	struct steer_armed armed;
	__u32 zero = 0;

	assert_int_equal(bpf_map_lookup_elem(map_fd("armed"), &zero, &armed), 0);
	return armed.until_ns == armed.spent_ns;
}

/* Run a program on the frame, which must pass; was it taken for the SYN of a new connection? */
static bool is_marked_to(const char *name, struct frame *frame)
{
	const struct bpf_program *program = bpf_object__find_program_by_name(object, name);
	uint64_t before = counter(STEER_SYN_MARKED);
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame->bytes,
		    .data_size_in = (__u32)frame->size);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(program), &opts), 0);
	assert_int_equal(opts.retval, PASS);
	return counter(STEER_SYN_MARKED) > before;
}

static bool is_marked(struct frame *frame)
{
	return is_marked_to("steer_ethernet", frame);
}

/* --- tests -------------------------------------------------------------------------- */

static void test_verifier_budget(void **state)
{
	struct bpf_program *program;
	int programs = 0;

	(void)state;
	bpf_object__for_each_program(program, object)
	{
		struct bpf_prog_info info = {0};
		__u32 size = sizeof(info);

		assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size), 0);
		/* Older kernels do not tell: tests/kernels/verify.c reads the verifier's log. */
		if (size <
		    offsetof(struct bpf_prog_info, verified_insns) + sizeof(info.verified_insns))
			skip();
		assert_true(info.verified_insns > 0);
		if (info.verified_insns >= VERIFIED_INSNS_MAX)
			fail_msg("%s: the verifier processed %u instructions", info.name,
				 info.verified_insns);
		programs++;
	}
	assert_int_equal(programs, STEER_PROGRAMS);
}

static void test_ipv4(void **state)
{
	struct frame frame = plain_syn();

	(void)state;
	assert_true(is_marked(&frame));
}

static void test_ipv4_options(void **state)
{
	(void)state;
	for (unsigned int words = 1; words <= 10; words++) {
		struct frame frame = {.size = 0};

		append_ethernet(&frame, ETH_P_IP);
		append_ipv4(&frame, words, 0, 20);
		append_syn(&frame, 443, 5);
		assert_true(is_marked(&frame));
	}
}

static void test_ipv6(void **state)
{
	struct frame frame = {.size = 0};

	(void)state;
	append_ethernet(&frame, ETH_P_IPV6);
	append_ipv6(&frame, IPPROTO_TCP, 20);
	append_syn(&frame, 443, 5);
	assert_true(is_marked(&frame));
}

static void test_ipv6_extension_headers(void **state)
{
	struct frame frame = {.size = 0};

	(void)state;
	append_ethernet(&frame, ETH_P_IPV6);
	append_ipv6(&frame, IPPROTO_HOPOPTS, 44);
	append_extension(&frame, IPPROTO_ROUTING);
	append_extension(&frame, IPPROTO_DSTOPTS);
	append_extension(&frame, IPPROTO_TCP);
	append_syn(&frame, 443, 5);
	assert_true(is_marked(&frame));
}

static void test_ipv6_fragment_passes(void **state)
{
	struct frame frame = {.size = 0};

	(void)state;
	append_ethernet(&frame, ETH_P_IPV6);
	append_ipv6(&frame, IPPROTO_FRAGMENT, 28);
	append_extension(&frame, IPPROTO_TCP);
	append_syn(&frame, 443, 5);
	assert_false(is_marked(&frame));
}

static void test_ipv4_fragment_passes(void **state)
{
	const uint16_t fragments[] = {0x2000, 0x0001, 0x2001, 0x1fff};

	(void)state;
	for (size_t i = 0; i < sizeof(fragments) / sizeof(fragments[0]); i++) {
		struct frame frame = {.size = 0};

		append_ethernet(&frame, ETH_P_IP);
		append_ipv4(&frame, 0, fragments[i], 20);
		append_syn(&frame, 443, 5);
		assert_false(is_marked(&frame));
	}
}

static void test_vlan_tag_passes(void **state)
{
	struct frame frame = {.size = 0};
	uint16_t tag[2] = {htons(7), htons(ETH_P_IP)};

	(void)state;
	append_ethernet(&frame, ETH_P_8021Q);
	append(&frame, tag, sizeof(tag));
	append_ipv4(&frame, 0, 0, 20);
	append_syn(&frame, 443, 5);
	assert_false(is_marked(&frame));
}

static void test_other_protocols_pass(void **state)
{
	struct frame frame = {.size = 0};
	const uint8_t payload[28] = {0};

	(void)state;
	append_ethernet(&frame, ETH_P_ARP);
	append(&frame, payload, sizeof(payload));
	assert_false(is_marked(&frame));
}

static void test_other_port_passes(void **state)
{
	struct frame frame = {.size = 0};

	(void)state;
	append_ethernet(&frame, ETH_P_IP);
	append_ipv4(&frame, 0, 0, 20);
	append_syn(&frame, 444, 5);
	assert_false(is_marked(&frame));
}

/* Every frame that is too short for what it says passes. */
static void test_runts_pass(void **state)
{
	struct frame whole = plain_syn();

	(void)state;
	for (size_t size = TEST_RUN_FRAME_MIN; size < whole.size; size++) {
		struct frame runt = whole;

		runt.size = size;
		assert_false(is_marked(&runt));
	}
}

static void test_contradicting_lengths_pass(void **state)
{
	(void)state;
	for (unsigned int data_offset = 0; data_offset < 16; data_offset++) {
		struct frame frame = {.size = 0};

		append_ethernet(&frame, ETH_P_IP);
		append_ipv4(&frame, 0, 0, 20);
		append_syn(&frame, 443, data_offset);
		assert_int_equal(is_marked(&frame), data_offset == 5);
	}
}

/* Frames of minimal size carry padding, which is not payload. */
static void test_padding(void **state)
{
	struct frame frame = plain_syn();
	const uint8_t padding[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	(void)state;
	append(&frame, padding, sizeof(padding));
	assert_true(is_marked(&frame));
}

/* Row P6. */
static void test_nothing_armed(void **state)
{
	struct frame frame = plain_syn();

	(void)state;
	arm_until(0);
	assert_false(is_marked(&frame));
	arm_until(1); /* long past */
	assert_false(is_marked(&frame));
	assert_true(is_nothing_armed());
	arm_until(UINT64_MAX);
	assert_true(is_marked(&frame));
}

static void set_alive_until(uint64_t until_ns)
{
	const struct steer_control control = {.watched_port = {443}};
	const __u32 zero = 0;

	assert_int_equal(bpf_map_update_elem(map_fd("control_map"), &zero, &control, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(map_fd("heartbeat"), &zero, &until_ns, BPF_ANY), 0);
}

static void test_hung_responder(void **state)
{
	struct frame frame = plain_syn();

	(void)state;
	set_alive_until(1); /* long past */
	assert_false(is_marked(&frame));
	set_alive_until(UINT64_MAX);
	assert_true(is_marked(&frame));
}

static void test_wrong_link_layer_passes(void **state)
{
	struct frame frame = plain_syn();

	(void)state;
	/* An Ethernet header is no IP header.  With the right frames: test_interfaces.py. */
	assert_false(is_marked_to("steer_bare_ip", &frame));
}

/* --- the group ---------------------------------------------------------------------- */

static int set_up(void **state)
{
	size_t size;
	const void *bytes = steer_elf_bytes(&size);

	(void)state;
	object = bpf_object__open_mem(bytes, size, NULL);
	if (!object || bpf_object__load(object))
		return -1;
	arm_until(UINT64_MAX);
	set_alive_until(UINT64_MAX);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	bpf_object__close(object);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verifier_budget),
		cmocka_unit_test(test_ipv4),
		cmocka_unit_test(test_ipv4_options),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_ipv6_extension_headers),
		cmocka_unit_test(test_ipv6_fragment_passes),
		cmocka_unit_test(test_ipv4_fragment_passes),
		cmocka_unit_test(test_vlan_tag_passes),
		cmocka_unit_test(test_other_protocols_pass),
		cmocka_unit_test(test_other_port_passes),
		cmocka_unit_test(test_runts_pass),
		cmocka_unit_test(test_contradicting_lengths_pass),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_nothing_armed),
		cmocka_unit_test(test_hung_responder),
		cmocka_unit_test(test_wrong_link_layer_passes),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
