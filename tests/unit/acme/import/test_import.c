// SPDX-License-Identifier: GPL-3.0-or-later
/* Reading other clients' trees: settings as they spell them, and files that are none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "acme/import/layouts.h"
#include "acme/util/file.h"
#include "acme/import/tree.h"
#include "tests/unit/fixture.h"

static char tree[32];

static int setup(void **state)
{
	(void)state;
	strcpy(tree, "/tmp/sidestep-XXXXXX");
	return mkdtemp(tree) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(fixture_run(NULL, "rm -rf %s", tree));
	return 0;
}

static void check_value(const char *text, const char *key, const char *expected)
{
	char *value = import_value(text, key);

	if (expected)
		assert_string_equal(value, expected);
	else
		assert_null(value);
	free(value);
}

static void test_values(void **state)
{
	const char *text = "# server = no\n"
			   "server_name = no\n"
			   "server = https://ca.example/directory \r\n"
			   "server = later\n"
			   "single='it''s'\n"
			   "\tdouble = \"two words\"\n"
			   "open='\n"
			   "one='\n"
			   "empty=\n"
			   "word\n"
			   "last = end";

	(void)state;
	check_value(text, "server", "https://ca.example/directory");
	check_value(text, "single", "it''s");
	check_value(text, "double", "two words");
	check_value(text, "open", "'");
	check_value(text, "empty", "");
	check_value(text, "last", "end");
	check_value(text, "word", NULL);
	check_value(text, "serv", NULL);
	check_value("", "server", NULL);
	check_value("\n\n", "server", NULL);
}

static void test_names(void **state)
{
	size_t count;
	char **names;

	(void)state;
	free(fixture_run(NULL, "cd %s && touch b a .hidden && ln -s nowhere link", tree));
	assert_int_equal(import_names(&names, &count, "%s", tree), 0);
	assert_int_equal(count, 3);
	assert_string_equal(names[0], "a");
	assert_string_equal(names[1], "b");
	assert_string_equal(names[2], "link");
	file_list_free(names, count);
	assert_int_equal(import_names(&names, &count, "%s/none", tree), 0);
	assert_int_equal(count, 0);
	file_list_free(names, count);
	assert_int_equal(import_names(&names, &count, "%s/a", tree), -ENOTDIR);
}

static void test_things_that_are_no_files(void **state)
{
	char path[64], *text;

	(void)state;
	snprintf(path, sizeof(path), "%s/fifo", tree);
	assert_int_equal(mkfifo(path, 0600), 0);
	free(fixture_run(NULL,
			 "cd %s && mkdir directory && ln -s loop loop && ln -s no dangling && "
			 "head -c 65536 /dev/zero >fits && head -c 65537 /dev/zero >large",
			 tree));
	text = import_text("%s/fits", tree);
	assert_non_null(text);
	free(text);
	assert_null(import_text("%s/large", tree));
	assert_null(import_text("%s/directory", tree));
	assert_null(import_text("%s/loop", tree));
	assert_null(import_text("%s/dangling", tree));
	/* Nobody writes into it: it is empty, and not waited for. */
	text = import_text("%s/fifo", tree);
	assert_string_equal(text, "");
	free(text);
	assert_true(import_is_there("%s/dangling", tree));
	assert_false(import_is_there("%s/no", tree));
	assert_false(import_is_directory("%s/dangling", tree));
	assert_false(import_is_directory("%s/fits", tree));
	assert_true(import_is_directory("%s/directory", tree));
	assert_null(import_path_if_there("%s/no", tree));
}

/* A tree of one is not taken for another's, and an empty one for nobody's. */
static void test_recognised(void **state)
{
	static const struct {
		const char *make; /* the smallest tree of its kind */
		const struct import_layout *layout;
	} kinds[] = {
		{"mkdir live renewal", &import_certbot},
		{"mkdir certificates accounts", &import_lego},
		{"mkdir a.example_ecc && touch a.example_ecc/a.example.conf", &import_acmesh},
		{"mkdir certs accounts", &import_dehydrated},
		{"mkdir live archive accounts", NULL}, /* ours */
		{"true", NULL},
	};
	const struct import_layout *const layouts[] = {&import_certbot, &import_lego,
						       &import_acmesh, &import_dehydrated};
	size_t kind, i;
	char *path;

	(void)state;
	for (kind = 0; kind < sizeof(kinds) / sizeof(*kinds); kind++) {
		path = import_path("%s/%zu", tree, kind);
		free(fixture_run(NULL, "mkdir %s && cd %s && %s", path, path, kinds[kind].make));
		for (i = 0; i < sizeof(layouts) / sizeof(*layouts); i++)
			assert_int_equal(layouts[i]->is_of(path), layouts[i] == kinds[kind].layout);
		free(path);
	}
}

/* What a tree may have in it that is not meant for anyone: read to the end, without a fault. */
static void test_odd_settings(void **state)
{
	static const char *const values[] = {
		"__ACME_BASE64__START___ACME_BASE64__END_",
		"__ACME_BASE64__START_=__ACME_BASE64__END_",
		"__ACME_BASE64__START_!!!!__ACME_BASE64__END_",
		"__ACME_BASE64__START_bHM=",
		"__ACME_BASE64__END_",
		"__ACME_BASE64__START_bHM=__ACME_BASE64__END_",
	};
	static const char *const expected[] = {
		NULL, NULL, NULL, "__ACME_BASE64__START_bHM=", "__ACME_BASE64__END_", "ls"};
	struct import_list list;
	char path[80], text[128];
	size_t i;
	int size;

	(void)state;
	free(fixture_run(NULL, "mkdir %s/a.example && touch %s/a.example/a.example.cer", tree,
			 tree));
	snprintf(path, sizeof(path), "%s/a.example/a.example.conf", tree);
	for (i = 0; i < sizeof(values) / sizeof(*values); i++) {
		size = snprintf(text, sizeof(text), "Le_API='https://'\nLe_ReloadCmd='%s'\n",
				values[i]);
		fixture_write_file(path, text, (size_t)size);
		list = (struct import_list){0};
		assert_int_equal(import_acmesh.read(tree, &list), 0);
		assert_int_equal(list.count, 1);
		assert_string_equal(list.found[0].name, "a.example");
		if (expected[i])
			assert_string_equal(list.found[0].hook, expected[i]);
		else
			assert_null(list.found[0].hook);
		assert_null(list.found[0].account);
		import_list_done(&list);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_things_that_are_no_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recognised, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_settings, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
