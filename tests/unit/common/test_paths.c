// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "common/paths.h"

static void test_system(void **state)
{
	struct paths paths;

	(void)state;
	assert_int_equal(paths_init(&paths, ""), 0);
	assert_string_equal(paths.conf, "/etc/sidestep");
	assert_string_equal(paths.state, "/var/lib/sidestep");
	assert_string_equal(paths.run, "/run/sidestep");
	assert_string_equal(paths.pins, "/run/sidestep/bpf");
	assert_string_equal(paths.table, "/run/sidestep/challenges");
	assert_string_equal(paths.evidence, "/run/sidestep/evidence");
	assert_string_equal(paths.lock, "/run/sidestep/private/instance.lock");
	assert_string_equal(paths.status, "/run/sidestep/responder.json");
	assert_string_equal(paths.interfaces, "/run/sidestep/interfaces.json");
	assert_string_equal(paths.hindrances, "/run/sidestep/hindrances.json");
	assert_string_equal(paths.control, "/run/sidestep/private/handover.sock");
	assert_string_equal(paths.programs, "/run/sidestep/programs.json");
}

static void test_root(void **state)
{
	static const char *const roots[] = {"/srv/a", "/srv/a/", "/srv/a//"};
	struct paths paths;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		assert_int_equal(paths_init(&paths, roots[i]), 0);
		assert_string_equal(paths.conf, "/srv/a/etc/sidestep");
		assert_string_equal(paths.table, "/srv/a/run/sidestep/challenges");
	}
	assert_int_equal(paths_init(&paths, "/"), 0);
	assert_string_equal(paths.conf, "/etc/sidestep");
}

static void test_too_long(void **state)
{
	static const char longest_suffix[] = "/run/sidestep/private/instance.lock";
	struct paths paths, before;
	char root[2 * PATHS_MAX];
	size_t fits = PATHS_MAX - sizeof(longest_suffix);

	(void)state;
	memset(&before, 'x', sizeof(before));
	paths = before;
	memset(root, 'r', sizeof(root));
	root[0] = '/';
	root[sizeof(root) - 1] = '\0';
	assert_int_equal(paths_init(&paths, root), -ENAMETOOLONG);
	root[fits + 1] = '\0';
	assert_int_equal(paths_init(&paths, root), -ENAMETOOLONG);
	assert_memory_equal(&paths, &before, sizeof(paths));
	root[fits] = '\0';
	assert_int_equal(paths_init(&paths, root), 0);
	assert_int_equal(strlen(paths.lock), PATHS_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_system),
		cmocka_unit_test(test_root),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
