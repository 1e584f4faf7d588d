// SPDX-License-Identifier: GPL-3.0-or-later
/* The kernel and the host read every ClientHello vector, and every beginning of it, alike. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tests/hello_vectors.h"
/* Needs struct client_hello. */
#include "tests/bpf/client_hello.skel.h"

static struct client_hello_bpf *bpf;
static struct hello_vectors vectors;

/* Walk over what lies in bpf->bss->data, in the kernel. */
static enum client_hello_verdict parse_in_kernel(uint32_t size)
{
	char frame[64] = {0}; /* a packet must be given, and is not looked at */
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));

	bpf->bss->data_size = size;
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(bpf->progs.parse), &opts), 0);
	return opts.retval;
}

static void compare(const struct hello_vector *vector, size_t size)
{
	struct client_hello host;
	enum client_hello_verdict in_kernel, on_host;

	in_kernel = parse_in_kernel((uint32_t)size);
	on_host = client_hello_parse(bpf->bss->data, (uint32_t)size, &host);
	if (in_kernel != on_host || memcmp(&host, &bpf->bss->hello, sizeof(host)))
		fail_msg("%s, first %zu bytes: %s in the kernel, %s on the host", vector->name,
			 size, hello_verdict_name(in_kernel), hello_verdict_name(on_host));
	if (size == vector->size && in_kernel != vector->verdict)
		fail_msg("%s: %s instead of %s", vector->name, hello_verdict_name(in_kernel),
			 hello_verdict_name(vector->verdict));
}

static void test_every_beginning(void **state)
{
	(void)state;
	assert_true(vectors.count > 0);
	for (size_t i = 0; i < vectors.count; i++) {
		const struct hello_vector *vector = &vectors.list[i];
		size_t seen =
			vector->size < CLIENT_HELLO_WINDOW ? vector->size : CLIENT_HELLO_WINDOW;

		memset(bpf->bss->data, 0, sizeof(bpf->bss->data));
		memcpy(bpf->bss->data, vector->data, seen);
		for (size_t size = 0; size <= seen; size++)
			compare(vector, size);
		compare(vector, vector->size);
	}
}

static int set_up(void **state)
{
	(void)state;
	hello_vectors_load(&vectors);
	bpf = client_hello_bpf__open_and_load();
	return bpf ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	client_hello_bpf__destroy(bpf);
	hello_vectors_free(&vectors);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_beginning),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
