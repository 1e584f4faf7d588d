// SPDX-License-Identifier: GPL-3.0-or-later
/* State and disk are compared: what is gone or damaged is ordered, and what is lost is restored. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "acme/net/loop.h"
#include "acme/renewal/compare.h"
#include "acme/renewal/rebuild.h"
#include "acme/store/state.h"
#include "acme/store/state_deploy.h"
#include "acme/store/store.h"
#include "acme/store/store_history.h"
#include "acme/util/failure.h"
#include "common/clock.h"
#include "common/paths.h"
#include "tests/unit/acme/renewal/issued_fixture.h"
#include "tests/unit/fixture.h"

#define NAME  "a.example"
#define DAY_S 86400

struct compare_test {
	char root[32];
	struct paths paths;
	struct state *state;
	struct loop *loop;
	struct compare_options options;
	char found[1024]; /* a line each */
};

static void on_found(void *context, const char *name, const struct failure *failure)
{
	struct compare_test *test = context;
	size_t length = strlen(test->found);

	snprintf(test->found + length, sizeof(test->found) - length, "%s: %s\n",
		 name ? name : "all", failure->cause);
}

static void on_done(void *context)
{
	struct compare_test *test = context;

	loop_stop(test->loop);
}

static void open_state(struct compare_test *test)
{
	struct failure failure = {0};

	if (state_open(&test->state, &test->paths, &failure))
		fail_msg("%s", failure.cause);
	test->options.state = test->state;
}

static int open_test(void **context)
{
	struct compare_test *test = calloc(1, sizeof(*test));

	strcpy(test->root, "/tmp/sidestep-XXXXXX");
	if (!mkdtemp(test->root) || paths_init(&test->paths, test->root) || loop_new(&test->loop))
		return -1;
	test->options = (struct compare_options){.loop = test->loop,
						 .paths = &test->paths,
						 .found = on_found,
						 .done = on_done,
						 .context = test};
	open_state(test);
	*context = test;
	return 0;
}

static int close_test(void **context)
{
	struct compare_test *test = *context;

	loop_free(test->loop);
	state_free(test->state);
	free(fixture_run(NULL, "rm -rf %s", test->root));
	free(test);
	return 0;
}

/* Its hooks have run. */
static int64_t issue(struct compare_test *test, const struct certificate_settings *settings)
{
	const char *const names[] = {NAME, "b.example"};
	struct certificate_spec spec = {.name = NAME, .account = "work", .tenant = "shop"};
	int64_t id;

	if (settings)
		spec.settings = *settings;
	id = issued_new(test->state, &test->paths, &spec, names, 2);
	assert_int_equal(state_deployed(test->state, id, store_generation(&test->paths, NAME)), 0);
	return id;
}

static void compare(struct compare_test *test)
{
	struct compare *compare;

	test->found[0] = '\0';
	assert_int_equal(compare_new(&compare, &test->options), 0);
	compare_start(compare);
	assert_int_equal(loop_run(test->loop), 0);
	compare_free(compare);
}

/* Its texts are gone. */
static struct state_lineage read_lineage(struct compare_test *test, int64_t id)
{
	struct state_lineage lineage, numbers;

	assert_int_equal(state_lineage_read(test->state, id, &lineage), 0);
	numbers = lineage;
	state_lineage_done(&lineage);
	return numbers;
}

static void run(struct compare_test *test, const char *command)
{
	int status;

	free(fixture_run(&status, "cd %s && %s", test->paths.state, command));
	assert_int_equal(status, 0);
}

/* A certificate that servers cannot load any more is ordered, with a message.  Row A14. */
static void test_lost_certificates(void **context)
{
	static const struct {
		const char *command, *fault;
	} cases[] = {
		{"rm -r live/" NAME " archive/" NAME, "the certificate is gone"},
		{"rm -r archive", "the certificate is gone"},
		{"rm archive/" NAME "/current/privkey.pem", "privkey.pem is missing"},
		{"rm archive/" NAME "/current/chain.pem", "chain.pem is missing"},
		{"rm archive/" NAME "/current/cert.pem", "cert.pem is missing"},
		{"echo x >archive/" NAME "/current/cert.pem", "cert.pem is damaged"},
		{": >archive/" NAME "/current/privkey.pem", "privkey.pem is damaged"},
		{"truncate -s 300 archive/" NAME "/current/fullchain.pem",
		 "fullchain.pem is damaged"},
		{"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 "
		 "-out archive/" NAME "/current/privkey.pem 2>/dev/null",
		 "privkey.pem and fullchain.pem do not fit"},
	};
	struct compare_test *test = *context;
	struct state_lineage lineage;
	int64_t id;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		id = issue(test, NULL);
		compare(test);
		assert_string_equal(test->found, "");
		assert_true(read_lineage(test, id).issue_at_s > clock_now_s() + 30 * DAY_S);
		run(test, cases[i].command);
		compare(test);
		if (!strstr(test->found, cases[i].fault))
			fail_msg("%s: %s", cases[i].command, test->found);
		assert_non_null(strstr(test->found, "a new certificate is ordered"));
		lineage = read_lineage(test, id);
		/* As soon as the pause after the last issuance is over. */
		assert_true(lineage.issue_at_s <= clock_now_s() + 3600);
		assert_int_equal(lineage.priority, STATE_URGENT);
	}
}

static void test_lost_links(void **context)
{
	struct compare_test *test = *context;
	struct state_lineage lineage;
	int64_t id = issue(test, NULL);

	run(test, "rm -r live/" NAME);
	compare(test);
	assert_non_null(strstr(test->found, "they are there again"));
	lineage = read_lineage(test, id);
	assert_true(lineage.issue_at_s > clock_now_s() + 30 * DAY_S);
	run(test, "test -e live/" NAME "/privkey.pem");
	compare(test);
	assert_string_equal(test->found, "");
}

/*
 * A process that was killed while it went back, or between disk and state, leaves two that disagree: the
 * state follows the disk, and the hooks run.  Row A10.
 */
static void test_another_generation(void **context)
{
	struct compare_test *test = *context;
	struct failure failure = {0};
	struct state_lineage lineage;
	int64_t id;

	issue(test, NULL);
	id = issue(test, NULL);
	assert_int_equal(store_go_back(&test->paths, NAME, 2, &failure), 0);
	compare(test);
	assert_non_null(strstr(test->found, "archive/" NAME "/1 is in use, not 2"));
	lineage = read_lineage(test, id);
	assert_int_equal(lineage.generation, 1);
	assert_int_equal(lineage.deployed_generation, 2);
	compare(test);
	assert_string_equal(test->found, "");
	/* A state from before it knew generations is no reason to run all hooks. */
	assert_int_equal(state_set_generation(test->state, id, 0, true), 0);
	compare(test);
	lineage = read_lineage(test, id);
	assert_int_equal(lineage.generation, 1);
	assert_int_equal(lineage.deployed_generation, 1);
}

/* A database that is made again has what was wanted of the certificates.  Row A15. */
static void test_lost_state(void **context)
{
	const struct certificate_settings settings = {.key_type = "rsa2048",
						      .reuse_key = true,
						      .bundle = true,
						      .deploy_hook = "systemctl reload x"};
	struct certificate_settings later = settings;
	struct compare_test *test = *context;
	struct certificate_spec spec = {.name = NAME,
					.identifiers = STRING_LIST(NAME, "b.example"),
					.cas = STRING_LIST(ISSUED_SERVER, "https://b.example/"),
					.source = "cli"};
	struct failure failure = {0};
	struct state_lineage lineage;

	issue(test, &settings);
	state_free(test->state);
	run(test, "rm state.db*");
	open_state(test);
	assert_int_equal(rebuild(test->state, &test->paths, &failure), 0);
	assert_int_equal(state_lineage_find(test->state, NAME, &lineage), 0);
	assert_string_equal(lineage.spec.settings.key_type, "rsa2048");
	assert_string_equal(lineage.spec.settings.deploy_hook, "systemctl reload x");
	assert_true(lineage.spec.settings.reuse_key && lineage.spec.settings.bundle);
	assert_string_equal(lineage.spec.account, "work");
	assert_string_equal(lineage.spec.tenant, "shop");
	assert_string_equal(lineage.spec.source, "cli");
	assert_int_equal(lineage.spec.identifiers.count, 2);
	assert_true(lineage.issue_at_s > clock_now_s() + 30 * DAY_S);
	assert_int_equal(lineage.generation, lineage.deployed_generation);
	state_lineage_done(&lineage);
	/* What was changed without an order is there after the next comparison. */
	later.deploy_hook = NULL;
	spec.settings = later;
	assert_int_equal(state_set_spec(test->state, &spec, NULL), 0);
	compare(test);
	state_free(test->state);
	run(test, "rm state.db*");
	open_state(test);
	assert_int_equal(rebuild(test->state, &test->paths, &failure), 0);
	assert_int_equal(state_lineage_find(test->state, NAME, &lineage), 0);
	assert_null(lineage.spec.settings.deploy_hook);
	assert_null(lineage.spec.account);
	assert_int_equal(lineage.spec.cas.count, 2);
	assert_string_equal(lineage.spec.cas.items[1], "https://b.example/");
	state_lineage_done(&lineage);
}

/* Damaged pages are found, and are no reason to say that nothing is due.  Row A14. */
static void test_damaged_state(void **context)
{
	struct compare_test *test = *context;
	struct failure failure;
	char name[32], command[160], *text;
	long page, pages;
	int i, found = 0;

	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "%03d.example", i);
		assert_int_equal(
			state_set_spec(test->state,
				       &(struct certificate_spec){.name = name,
								  .identifiers = STRING_LIST(name),
								  .cas = STRING_LIST(ISSUED_SERVER),
								  .source = "cli"},
				       NULL),
			0);
	}
	compare(test);
	assert_string_equal(test->found, "");
	assert_false(state_is_damaged(test->state));
	state_free(test->state);
	text = fixture_run(NULL, "stat -c %%s %s/state.db", test->paths.state);
	pages = strtol(text, NULL, 10) / 4096;
	free(text);
	run(test, "cp state.db whole.db");
	for (page = 1; page < pages; page++) {
		snprintf(
			command, sizeof(command),
			"cp whole.db state.db && head -c 4096 /dev/urandom | dd of=state.db bs=4096 "
			"conv=notrunc seek=%ld 2>/dev/null",
			page);
		run(test, command);
		failure = (struct failure){0};
		/* What the start needs is found by it. */
		if (state_open(&test->state, &test->paths, &failure)) {
			assert_non_null(strstr(failure.cause, "is damaged"));
			continue;
		}
		test->options.state = test->state;
		compare(test);
		found += state_is_damaged(test->state);
		assert_true(state_is_damaged(test->state) ==
			    (strstr(test->found, "is damaged") != NULL));
		state_free(test->state);
	}
	assert_true(found > 3);
	run(test, "mv whole.db state.db");
	open_state(test);
}

/* Once a day, whoever does it. */
static void test_once_a_day(void **context)
{
	struct compare_test *test = *context;
	struct compare *one;

	assert_int_equal(compare_new(&one, &test->options), 0);
	assert_true(compare_is_due(one));
	compare(test);
	assert_false(compare_is_due(one));
	assert_int_equal(state_fingerprint_write(test->state, "compared-at", "4000000000"), 0);
	assert_true(compare_is_due(one));
	compare_free(one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, open_test, close_test)
		T(test_lost_certificates), T(test_lost_links),    T(test_another_generation),
		T(test_lost_state),        T(test_damaged_state), T(test_once_a_day),
	};

	return cmocka_run_group_tests(tests, issued_enter_namespace, NULL);
}
