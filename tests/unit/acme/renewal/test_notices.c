// SPDX-License-Identifier: GPL-3.0-or-later
/* What the operator hears of, and how often, with a real command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "acme/net/loop.h"
#include "acme/renewal/notices.h"
#include "acme/store/state.h"
#include "acme/util/failure.h"
#include "common/clock.h"
#include "common/paths.h"
#include "tests/unit/fixture.h"

#define CA  "https://ca.example/directory"
#define DAY 86400

struct test {
	char root[sizeof("/tmp/sidestep-XXXXXX")];
	struct paths paths;
	struct state *state;
	struct loop *loop;
	struct notices *notices;
};

static void on_idle(void *context)
{
	struct test *test = context;

	loop_stop(test->loop);
}

static int open_test(void **context)
{
	struct test *test = calloc(1, sizeof(*test));
	struct failure failure = {0};
	char command[256];

	strcpy(test->root, "/tmp/sidestep-XXXXXX");
	*context = test;
	if (!mkdtemp(test->root) || paths_init(&test->paths, test->root))
		return -1;
	snprintf(command, sizeof(command),
		 "echo \"$SIDESTEP_EVENT $SIDESTEP_NAME: $SIDESTEP_REASON\" >>%s/told", test->root);
	return state_open(&test->state, &test->paths, &failure) || loop_new(&test->loop) ||
	       notices_new(&test->notices, test->loop, command, on_idle, test);
}

static int close_test(void **context)
{
	struct test *test = *context;

	notices_free(test->notices);
	loop_free(test->loop);
	state_free(test->state);
	free(fixture_run(NULL, "rm -rf %s", test->root));
	free(test);
	return 0;
}

/* What was told since the last call; the caller's to free. */
static char *told(struct test *test)
{
	if (notices_are_busy(test->notices))
		assert_int_equal(loop_run(test->loop), 0);
	return fixture_run(NULL, "cat %s/told 2>&1; rm -f %s/told", test->root, test->root);
}

static void assert_told(struct test *test, const char *wanted, const char *unwanted)
{
	char *text = told(test);

	assert_non_null(strstr(text, wanted));
	assert_null(strstr(text, unwanted));
	free(text);
}

static int64_t want(struct test *test, const char *name, int64_t left_s)
{
	const struct certificate_spec spec = {.name = name,
					      .identifiers = STRING_LIST(name),
					      .cas = STRING_LIST(CA),
					      .source = "config"};
	const int64_t now_s = clock_now_s();
	const struct state_certificate certificate = {.server = CA,
						      .not_before_s = now_s + left_s - 90 * DAY,
						      .not_after_s = now_s + left_s,
						      .renew_at_s = 1};
	int64_t id;

	assert_int_equal(state_set_spec(test->state, &spec, &id), 0);
	assert_int_equal(state_set_certificate(test->state, id, &certificate), 0);
	return id;
}

/* The first failure in a row, the fourth, and each seventh from then on. */
static void test_failures(void **context)
{
	static char *items[] = {"a.example"};
	struct state_lineage lineage = {
		.spec = {.name = "a.example", .identifiers = {.items = items, .count = 1}}};
	struct test *test = *context;
	struct failure failure = {0};
	char *text;

	failure_set(&failure, "do this", "no luck");
	for (lineage.failures = 0; lineage.failures < 18; lineage.failures++)
		notices_of_failure(test->notices, &lineage, &failure, 0);
	text = told(test);
	assert_string_equal(text, "failed a.example: no luck\nfailed a.example: no luck\n"
				  "failed a.example: no luck\nfailed a.example: no luck\n");
	free(text);
	/* Without a command nobody hears of it. */
	assert_int_equal(notices_set_command(test->notices, NULL), 0);
	lineage.failures = 0;
	notices_of_failure(test->notices, &lineage, &failure, 0);
	assert_false(notices_are_busy(test->notices));
}

/* What ends soon: not what has time, and not again at once. */
static void test_endings(void **context)
{
	struct test *test = *context;

	want(test, "soon.example", 5 * DAY);
	want(test, "later.example", 29 * DAY);
	assert_int_equal(state_correct(test->state, clock_now_s()), 0);
	assert_int_equal(notices_look(test->notices, test->state, true), 0);
	assert_told(test, "expires soon.example: ", "later");
	assert_int_equal(notices_look(test->notices, test->state, true), 0);
	assert_false(notices_are_busy(test->notices));
}

/* A process that stays tells of each certificate when a day of its life has passed. */
static void test_once_a_day(void **context)
{
	struct test *test = *context;

	want(test, "crossed.example", 3 * DAY - 60);
	want(test, "uncrossed.example", 3 * DAY + DAY / 2);
	assert_int_equal(state_correct(test->state, clock_now_s()), 0);
	assert_int_equal(notices_look(test->notices, test->state, false), 0);
	assert_told(test, "expires crossed.example", "uncrossed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_failures, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_endings, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_once_a_day, open_test, close_test),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
