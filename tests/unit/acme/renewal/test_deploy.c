// SPDX-License-Identifier: GPL-3.0-or-later
/* Hooks for new certificates, with real programs: which, when, with what, and what follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <cmocka.h>

#include "acme/config/settings.h"
#include "acme/net/loop.h"
#include "acme/renewal/deploy.h"
#include "acme/renewal/hooks.h"
#include "acme/store/state.h"
#include "acme/store/state_deploy.h"
#include "acme/store/store.h"
#include "acme/util/failure.h"
#include "common/clock.h"
#include "tests/unit/acme/renewal/issued_fixture.h"
#include "tests/unit/fixture.h"

#define DAY_S 86400

struct deploy_test {
	char root[32];
	struct paths paths;
	struct settings settings;
	struct state *state;
	struct loop *loop;
	struct deploy_options options;
	char failed[2048]; /* "name: cause" of each failure, a line each */
	char next_step[384]; /* of the last failure */
	size_t undeployed;
};

static void on_failed(void *context, const char *name, const struct failure *failure)
{
	struct deploy_test *test = context;
	size_t length = strlen(test->failed);

	snprintf(test->failed + length, sizeof(test->failed) - length, "%s: %s\n",
		 name ? name : "all", failure->cause);
	snprintf(test->next_step, sizeof(test->next_step), "%s", failure->next_step);
}

static void on_undeployed(void *context, const char *name, const struct failure *failure)
{
	struct deploy_test *test = context;

	(void)name;
	assert_true(failure_is_set(failure));
	test->undeployed++;
}

static void on_idle(void *context)
{
	struct deploy_test *test = context;

	loop_stop(test->loop);
}

static int open_test(void **context)
{
	struct deploy_test *test = calloc(1, sizeof(*test));
	struct failure failure = {0};

	strcpy(test->root, "/tmp/sidestep-XXXXXX");
	if (!mkdtemp(test->root) || paths_init(&test->paths, test->root))
		return -1;
	free(fixture_run(NULL,
			 "mkdir -p %s/renewal-hooks/deploy %s/renewal-hooks/reload "
			 "%s/renewal-hooks/post",
			 test->paths.conf, test->paths.conf, test->paths.conf));
	test->settings =
		(struct settings){.hook_timeout_s = 10, .keep_generations = 3, .keep_days = 90};
	test->options = (struct deploy_options){.paths = &test->paths,
						.settings = &test->settings,
						.failed = on_failed,
						.undeployed = on_undeployed,
						.idle = on_idle,
						.context = test};
	*context = test;
	if (state_open(&test->state, &test->paths, &failure) || loop_new(&test->loop))
		return -1;
	test->options.state = test->state;
	test->options.loop = test->loop;
	return 0;
}

static int close_test(void **context)
{
	struct deploy_test *test = *context;

	loop_free(test->loop);
	state_free(test->state);
	free(fixture_run(NULL, "rm -rf %s", test->root));
	free(test);
	return 0;
}

/* A program that notes its kind and what it is given, and then runs `rest`. */
static void add_hook(struct deploy_test *test, const char *path, const char *rest)
{
	free(fixture_run(NULL,
			 "cat >%s/renewal-hooks/%s <<'END'\n#!/bin/sh\n"
			 "echo \"%s|${RENEWED_LINEAGE##*/}|$RENEWED_DOMAINS|$FAILED_DOMAINS\" "
			 ">>%s/log\n%s\nEND\nchmod 755 %s/renewal-hooks/%s",
			 test->paths.conf, path, path, test->root, rest, test->paths.conf, path));
}

static void assert_log(struct deploy_test *test, const char *expected)
{
	char *log = fixture_run(NULL, "touch %s/log; cat %s/log; rm %s/log", test->root, test->root,
				test->root);

	assert_string_equal(log, expected);
	free(log);
}

static int64_t issue_for(struct deploy_test *test, const char *name, const char *const *names,
			 size_t count)
{
	const struct certificate_spec spec = {.name = name};

	return issued_new(test->state, &test->paths, &spec, names, count);
}

static int64_t issue(struct deploy_test *test, const char *name)
{
	return issue_for(test, name, &name, 1);
}

/* As a process does that begins after all orders have ended.  Whether there was anything to do. */
static bool run_hooks(struct deploy_test *test)
{
	struct deploy *deploy;
	bool has_run;

	test->failed[0] = '\0';
	test->undeployed = 0;
	assert_int_equal(deploy_new(&deploy, &test->options), 0);
	has_run = deploy_finish(deploy);
	if (has_run)
		assert_int_equal(loop_run(test->loop), 0);
	deploy_free(deploy);
	return has_run;
}

/* Its texts are gone. */
static struct state_lineage read_lineage(struct deploy_test *test, int64_t id)
{
	struct state_lineage lineage, numbers;

	assert_int_equal(state_lineage_read(test->state, id, &lineage), 0);
	numbers = lineage;
	state_lineage_done(&lineage);
	return numbers;
}

/* --- what runs ---------------------------------------------------------------------------------- */

/* A process that died between the issuance and the hooks leaves them to the next.  Row A9. */
static void test_left_by_a_dead_process(void **context)
{
	static const char *const names[] = {"a.example", "b.example"};
	struct deploy_test *test = *context;
	struct state_lineage lineage;
	int64_t id;

	add_hook(test, "deploy/copy", "");
	add_hook(test, "reload/server", "");
	add_hook(test, "post/mail", "");
	id = issue_for(test, "a.example", names, 2);
	assert_true(run_hooks(test));
	assert_log(test, "deploy/copy|a.example|a.example b.example|\n"
			 "reload/server||a.example b.example|\n"
			 "post/mail||a.example b.example|\n");
	lineage = read_lineage(test, id);
	assert_int_equal(lineage.deployed_generation, 1);
	assert_false(run_hooks(test));
	assert_log(test, "");
}

/* What a package manager or an editor leaves is no hook.  Row B9. */
static void test_names_of_programs(void **context)
{
	static const char *const names[] = {"10-copy", "10-copy~", "20-x.dpkg-old", "30-x.rpmsave",
					    "#40-x#",  ".50-x",    "60-x.bak",      "70-x.sh"};
	struct deploy_test *test = *context;
	char path[64];
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "deploy/%s", names[i]);
		add_hook(test, path, "");
	}
	issue(test, "a.example");
	assert_true(run_hooks(test));
	assert_log(test,
		   "deploy/10-copy|a.example|a.example|\ndeploy/70-x.sh|a.example|a.example|\n");
}

/* More names than the kernel takes: they are in a file, and all hooks run.  Row A2. */
static void test_many_names(void **context)
{
	struct deploy_test *test = *context;
	char name[32], texts[300][80], *found;
	const char *names[300];
	size_t i, j;

	free(fixture_run(NULL,
			 "cat >%s/renewal-hooks/reload/x <<'END'\n#!/bin/sh\n"
			 "echo \"${RENEWED_DOMAINS+set} $(wc -l <$RENEWED_DOMAINS_FILE) "
			 "$(tail -1 $RENEWED_DOMAINS_FILE | cut -c 1-3)\" >>%s/log\nEND\n"
			 "chmod 755 %s/renewal-hooks/reload/x; cp -a %s/renewal-hooks/reload/x "
			 "%s/renewal-hooks/post/x",
			 test->paths.conf, test->root, test->paths.conf, test->paths.conf,
			 test->paths.conf));
	for (i = 0; i < 8; i++) {
		for (j = 0; j < 300; j++) {
			snprintf(texts[j], sizeof(texts[j]), "%03zu.%060zu.example", j, i);
			names[j] = texts[j];
		}
		snprintf(name, sizeof(name), "c%zu.example", i);
		issue_for(test, name, names, 300);
	}
	assert_true(run_hooks(test));
	assert_string_equal(test->failed, "");
	/* The last line has no line feed. */
	assert_log(test, " 2399 299\n 2399 299\n");
	found = fixture_run(NULL, "ls -A %s | grep -c DOMAINS", test->paths.state);
	assert_string_equal(found, "0\n");
	free(found);
}

/* The moment has come to try the refused one again. */
static void certificate_is_tried_again(struct deploy_test *test, int64_t id)
{
	struct state_lineage lineage = read_lineage(test, id);
	struct state_certificate present = {.not_before_s = lineage.not_before_s,
					    .not_after_s = lineage.not_after_s,
					    .renew_at_s = lineage.renew_at_s};
	int64_t first = lineage.generation, refused = lineage.refused_generation;

	present.generation = refused;
	assert_int_equal(state_deploy_found(test->state, id, &present), 0);
	present.generation = first;
	assert_int_equal(
		state_deploy_refused(test->state, id, refused, "before", &present, clock_now_s()),
		0);
	assert_int_equal(state_deployed(test->state, id, first), 0);
}

/* --- what fails --------------------------------------------------------------------------------- */

/*
 * A hook that fails, or takes too long, is no verdict: the certificate stays, it is counted once, and
 * the hooks run again later.  Rows A3 and A32.
 */
static void test_failing_is_no_verdict(void **context)
{
	static const char *const ways[] = {"exit 1", "exit 127", "kill -9 $$", "sleep 100"};
	struct deploy_test *test = *context;
	struct state_lineage lineage;
	int64_t id;
	size_t i;

	test->settings.hook_timeout_s = 1;
	add_hook(test, "post/mail", "");
	issue(test, "a.example");
	assert_true(run_hooks(test));
	assert_log(test, "post/mail||a.example|\n");
	id = issue(test, "a.example");
	for (i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		add_hook(test, "reload/server", ways[i]);
		assert_true(run_hooks(test));
		assert_log(test, "reload/server||a.example|\npost/mail||a.example|\n");
		assert_non_null(strstr(test->failed, "all: the hook "));
		assert_int_equal(test->undeployed, 1);
		lineage = read_lineage(test, id);
		assert_int_equal(lineage.generation, 2);
		assert_int_equal(lineage.deployed_generation, 0);
		assert_int_equal(lineage.refused_generation, 0);
		assert_int_equal(lineage.deploy_failures, 2 * i + 1);
		assert_true(lineage.deploy_next_s > clock_now_s() + 30);
		/* Not before that. */
		assert_false(run_hooks(test));
		assert_int_equal(state_deploy_failed(test->state, id, 2, "again", 0), 0);
		assert_int_equal(store_generation(&test->paths, "a.example"), 2);
	}
	add_hook(test, "reload/server", "");
	assert_true(run_hooks(test));
	lineage = read_lineage(test, id);
	assert_int_equal(lineage.deployed_generation, 2);
	assert_int_equal(lineage.deploy_failures, 0);
}

/* Only a refusal goes back, and the hooks run for the previous certificate, too.  Row A3. */
static void test_refused(void **context)
{
	struct deploy_test *test = *context;
	struct state_lineage lineage;
	int64_t id;

	id = issue(test, "a.example");
	assert_true(run_hooks(test));
	add_hook(test, "deploy/copy", "");
	/* It refuses the second. */
	add_hook(test, "reload/server",
		 "[ \"$(readlink ${0%%/etc/*}/var/lib/sidestep/archive/a.example/"
		 "current)\" = 1 ] || exit 78");
	issue(test, "a.example");
	assert_true(run_hooks(test));
	assert_log(test, "deploy/copy|a.example|a.example|\nreload/server||a.example|\n"
			 "deploy/copy|a.example|a.example|\nreload/server||a.example|\n");
	assert_int_equal(test->undeployed, 1);
	assert_non_null(
		strstr(test->failed, "a.example: the previous certificate is in use again"));
	assert_null(strstr(test->failed, "all:"));
	lineage = read_lineage(test, id);
	assert_int_equal(lineage.generation, 1);
	assert_int_equal(lineage.deployed_generation, 1);
	assert_int_equal(lineage.refused_generation, 2);
	assert_true(lineage.issue_at_s > clock_now_s() + DAY_S);
	assert_int_equal(store_generation(&test->paths, "a.example"), 1);
	assert_false(run_hooks(test));
	assert_true(lineage.refused_next_s > clock_now_s() + 1800);
	/* It is tried again, later and later. */
	certificate_is_tried_again(test, id);
	assert_true(run_hooks(test));
	assert_log(test, "deploy/copy|a.example|a.example|\nreload/server||a.example|\n"
			 "deploy/copy|a.example|a.example|\nreload/server||a.example|\n");
	assert_int_equal(store_generation(&test->paths, "a.example"), 1);
	certificate_is_tried_again(test, id);
	add_hook(test, "reload/server", "");
	assert_true(run_hooks(test));
	lineage = read_lineage(test, id);
	assert_int_equal(lineage.generation, 2);
	assert_int_equal(lineage.deployed_generation, 2);
	assert_true(lineage.issue_at_s > clock_now_s() + 30 * DAY_S);
	/* The next one is accepted. */
	free(fixture_run(NULL, "rm %s/renewal-hooks/reload/server", test->paths.conf));
	issue(test, "a.example");
	assert_true(run_hooks(test));
	lineage = read_lineage(test, id);
	assert_int_equal(lineage.generation, 3);
	assert_int_equal(lineage.deployed_generation, 3);
}

/*
 * A configuration that is refused with the previous certificate, too, is not the certificate's fault: the
 * new one is used, nothing is ordered again, and the hooks run until the configuration is sound.  Row A3.
 */
static void test_refused_for_another_reason(void **context)
{
	struct deploy_test *test = *context;
	struct state_lineage lineage;
	int64_t id;

	id = issue(test, "a.example");
	assert_true(run_hooks(test));
	add_hook(test, "reload/server", "exit 78");
	issue(test, "a.example");
	assert_true(run_hooks(test));
	assert_log(test, "reload/server||a.example|\nreload/server||a.example|\n");
	assert_non_null(strstr(test->failed, "the new one is in use again"));
	lineage = read_lineage(test, id);
	assert_int_equal(lineage.generation, 2);
	assert_int_equal(lineage.deployed_generation, 0);
	assert_int_equal(store_generation(&test->paths, "a.example"), 2);
	assert_true(lineage.issue_at_s > clock_now_s() + 30 * DAY_S);
	assert_true(lineage.deploy_next_s > clock_now_s() + 30);
	/* It is tried again, and stays. */
	assert_int_equal(state_deploy_failed(test->state, id, 2, "before", 0), 0);
	assert_true(run_hooks(test));
	assert_log(test, "reload/server||a.example|\n");
	lineage = read_lineage(test, id);
	assert_int_equal(lineage.generation, 2);
	assert_int_equal(state_deploy_failed(test->state, id, 2, "before", 0), 0);
	add_hook(test, "reload/server", "");
	assert_true(run_hooks(test));
	lineage = read_lineage(test, id);
	assert_int_equal(lineage.deployed_generation, 2);
	assert_int_equal(lineage.refused_generation, 0);
}

/* The first certificate has none before it.  A process that dies while going back leaves two that agree. */
static void test_nothing_to_go_back_to(void **context)
{
	struct deploy_test *test = *context;
	struct state_lineage lineage;
	int64_t id;

	add_hook(test, "reload/server", "exit 78");
	id = issue(test, "a.example");
	assert_true(run_hooks(test));
	assert_non_null(strstr(test->failed, "no certificate before this one"));
	assert_log(test, "reload/server||a.example|\n");
	lineage = read_lineage(test, id);
	assert_int_equal(lineage.generation, 1);
	assert_int_equal(lineage.deploy_failures, 1);
	assert_false(run_hooks(test));
}

/* Under the shipped unit a hook may do little: that is no verdict, and the message says so.  Row B11. */
static void test_forbidden(void **context)
{
	struct deploy_test *test = *context;
	struct state_lineage lineage;
	int64_t id;

	add_hook(test, "reload/server", "exit 1");
	id = issue(test, "a.example");
	assert_true(run_hooks(test));
	assert_null(strstr(test->next_step, "ReadWritePaths="));
	assert_int_equal(state_redeploy(test->state, id), 0);
	assert_int_equal(setenv("INVOCATION_ID", "1", 1), 0);
	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_true(run_hooks(test));
	assert_non_null(strstr(test->next_step, "`systemctl edit sidestep`, [Service]"));
	assert_non_null(strstr(test->next_step, "The hooks run again later"));
	lineage = read_lineage(test, id);
	assert_int_equal(lineage.generation, 1);
	unsetenv("INVOCATION_ID");
}

/* A hook that cannot be run is known before the order.  Row A32. */
static void test_judging(void **context)
{
	static const struct {
		const char *command, *fault;
	} cases[] = {
		{"systemctl reload nginx", NULL},
		{"/bin/true a b", NULL},
		{"/bin/true;false", NULL},
		{"A=/x b", NULL},
		{"$HOME/x", NULL},
		{"cd /tmp && ./x", NULL},
		{"hooks/x", "relative"},
		{"./x y", "relative"},
		{"/nowhere/x", "does not exist"},
		{"/etc/passwd now", "cannot be run"},
	};
	struct failure failure;
	size_t i;

	(void)context;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		failure = (struct failure){0};
		assert_int_equal(hooks_judge(cases[i].command, &failure), cases[i].fault ? -1 : 0);
		if (cases[i].fault)
			assert_non_null(strstr(failure.cause, cases[i].fault));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_left_by_a_dead_process, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_names_of_programs, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_many_names, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_failing_is_no_verdict, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_refused, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_refused_for_another_reason, open_test,
						close_test),
		cmocka_unit_test_setup_teardown(test_nothing_to_go_back_to, open_test, close_test),
		cmocka_unit_test(test_judging),
		cmocka_unit_test_setup_teardown(test_forbidden, open_test, close_test),
	};

	return cmocka_run_group_tests(tests, issued_enter_namespace, NULL);
}
