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
		{"mkdir a.example_ecc && echo \"Le_Domain='a.example'\" "
		 ">a.example_ecc/a.example.conf",
		 &import_acmesh},
		/* Any program may have a file of this name. */
		{"mkdir mariadb && echo port=3306 >mariadb/mariadb.conf", NULL},
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
		size = snprintf(text, sizeof(text),
				"Le_Domain='a.example'\nLe_API='https://'\nLe_ReloadCmd='%s'\n",
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

static void check_left_out(const struct import_list *list, const char *const *expected,
			   size_t count)
{
	size_t i;

	for (i = 0; i < count && i < list->left_out.count; i++)
		if (!strstr(list->left_out.items[i], expected[i]))
			fail_msg("%s\n-- not: %s", list->left_out.items[i], expected[i]);
	assert_int_equal(list->left_out.count, count);
}

/* Row A37.  What certbot did and sidestep will not do is said, one by one. */
static void test_left_out(void **state)
{
	static const char *const expected[] = {
		"a.example: its pre_hook is not imported: systemctl stop ?x",
		"a.example: its post_hook is not imported: systemctl start x",
		"a.example: must_staple is not imported",
		"a.example: autorenew = False is not imported: sidestep renews it",
		"/renewal-hooks/pre/stop is not imported; sidestep stops no server",
		"/renewal-hooks/deploy/copy is not imported; if it is needed, link it into ",
		"/cli.ini: pre-hook is not imported",
		"/cli.ini: dns-token is not imported",
	};
	struct import_list list = {0};

	(void)state;
	free(fixture_run(
		NULL,
		"cd %s && mkdir -p live/a.example live/b.example renewal renewal-hooks/pre "
		"renewal-hooks/deploy && touch live/a.example/fullchain.pem "
		"live/b.example/fullchain.pem renewal-hooks/pre/stop renewal-hooks/deploy/copy && "
		"printf 'pre_hook = systemctl stop \\033x\\npost_hook = systemctl start x\\n"
		"must_staple = True\\nautorenew = False\\n# renew_before_expiry = 30 days\\n"
		"server = https://acme-v01.api.letsencrypt.org/directory\\n' "
		">renewal/a.example.conf && echo 'pre_hook = None' >renewal/b.example.conf && "
		"printf '# mine\\nmax-log-backups = 0\\npre-hook = x\\n dns-token=secret\\n' "
		">cli.ini",
		tree));
	assert_int_equal(import_certbot.read(tree, &list), 0);
	check_left_out(&list, expected, sizeof(expected) / sizeof(*expected));
	/* Row B7.  A CA's address that is gone. */
	assert_string_equal(list.found[0].server, "https://acme-v02.api.letsencrypt.org/directory");
	import_list_done(&list);
}

/* Row B7.  acme.sh names a directory as it was asked to: an internationalized name is in UTF-8. */
static void test_unicode(void **state)
{
	struct import_list list = {0};

	(void)state;
	free(fixture_run(NULL,
			 "cd %s && for d in b\303\274cher.example b\303\274cher.example_ecc; do "
			 "n=b\303\274cher.example; mkdir $d; echo \"Le_Domain='$n'\" >$d/$n.conf; "
			 "touch $d/$n.cer; done",
			 tree));
	assert_true(import_acmesh.is_of(tree));
	assert_int_equal(import_acmesh.read(tree, &list), 0);
	assert_int_equal(list.count, 2);
	assert_string_equal(list.found[0].name, "xn--bcher-kva.example");
	assert_string_equal(list.found[1].name, "xn--bcher-kva.example_ecc");
	assert_non_null(strstr(list.found[0].key, "b\303\274cher.example.key"));
	import_list_done(&list);
}

/* Row B7.  An account at an old address of a CA; one at the present address comes first. */
static void test_old_address(void **state)
{
	struct import_list list = {0};
	int status;

	(void)state;
	free(fixture_run(
		NULL,
		"cd %s && mkdir -p certs/a.example accounts && touch certs/a.example/fullchain.pem && "
		"printf 'CA=\"https://acme-v01.api.letsencrypt.org/directory\"\\n"
		"PRIVATE_KEY_RENEW=\"no\"\\n' >config && for v in 02 01; do "
		"d=accounts/$(echo https://acme-v$v.api.letsencrypt.org/directory | base64 -w0 | "
		"tr '+/' '-_' | tr -d =); mkdir $d; echo $v >$d/account_key.pem; done",
		tree));
	assert_int_equal(import_dehydrated.read(tree, &list), 0);
	assert_int_equal(list.count, 1);
	assert_string_equal(list.found[0].server, "https://acme-v02.api.letsencrypt.org/directory");
	assert_true(list.found[0].settings.reuse_key);
	free(fixture_run(&status, "grep -q 02 %s", list.found[0].account));
	assert_int_equal(status, 0);
	import_list_done(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_things_that_are_no_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recognised, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_settings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_left_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unicode, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old_address, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
