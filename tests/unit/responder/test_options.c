// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <getopt.h>

#include "responder/limits.h"
#include "responder/options.h"

/* Up to two words. */
static int parse(struct options *options, const char *first, const char *second)
{
	char *words[] = {"sidestep-responder", (char *)first, (char *)second, NULL};

	optind = 0; /* GNU: start again */
	return options_parse(options, first ? second ? 3 : 2 : 1, words);
}

static void test_limits_connections(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(&options, NULL, NULL), 0);
	assert_int_equal(options.connections, LIMITS_CONNECTIONS);
	assert_int_equal(options.connections_per_source, LIMITS_CONNECTIONS / LIMITS_SOURCE_PART);
	options_done(&options);
	/* Also of few a source may have some. */
	assert_int_equal(parse(&options, "--connections=1", NULL), 0);
	assert_int_equal(options.connections_per_source, 1);
	options_done(&options);
	assert_int_equal(parse(&options, "--connections=100000", "--connections-per-source=70"), 0);
	assert_int_equal(options.connections, 100000);
	assert_int_equal(options.connections_per_source, 70);
	options_done(&options);
}

static void test_takes_an_engine(void **state)
{
	const char *const words[] = {
		[RING_AUTO] = "auto", [RING_IO_URING] = "io_uring", [RING_EPOLL] = "epoll"};
	struct options options;

	(void)state;
	assert_int_equal(parse(&options, NULL, NULL), 0);
	assert_int_equal(options.engine, RING_AUTO);
	options_done(&options);
	for (int engine = RING_AUTO; engine <= RING_EPOLL; engine++) {
		assert_int_equal(parse(&options, "--engine", words[engine]), 0);
		assert_int_equal(options.engine, engine);
		options_done(&options);
	}
	assert_int_equal(parse(&options, "--engine", "uring"), -EINVAL);
}

static void test_refuses_what_is_no_number_of_connections(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(&options, "--connections=0", NULL), -EINVAL);
	assert_int_equal(parse(&options, "--connections=1048577", NULL), -EINVAL);
	assert_int_equal(parse(&options, "--connections=1k", NULL), -EINVAL);
	assert_int_equal(parse(&options, "--connections-per-source=-1", NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_takes_an_engine),
		cmocka_unit_test(test_limits_connections),
		cmocka_unit_test(test_refuses_what_is_no_number_of_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
