// SPDX-License-Identifier: GPL-3.0-or-later
/* Hooks as processes: what they inherit, and how they end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acme/net/loop.h"
#include "acme/renewal/hook_process.h"
#include "tests/unit/fixture.h"

struct run {
	struct loop *loop;
	struct hook_process *process;
	struct hook_process_end end;
};

static void on_end(void *context, const struct hook_process_end *end)
{
	struct run *run = context;

	run->end = *end;
	loop_stop(run->loop);
}

/* Run a shell's script with these variables until it ends.  0 or -errno: it could not be started. */
static int run_script(struct run *run, const char *script, char *const *variables)
{
	char *const arguments[] = {"sh", "-c", (char *)script, NULL};
	struct hook_process_options options = {.program = "/bin/sh",
					       .arguments = arguments,
					       .variables = variables,
					       .time_max_s = 1,
					       .ended = on_end,
					       .context = run};
	int err;

	*run = (struct run){0};
	assert_int_equal(loop_new(&run->loop), 0);
	options.loop = run->loop;
	err = hook_process_start(&run->process, &options);
	if (!err)
		assert_int_equal(loop_run(run->loop), 0);
	loop_free(run->loop);
	return err;
}

static void test_ends(void **context)
{
	char *none[] = {NULL};
	struct run run;

	(void)context;
	assert_int_equal(run_script(&run, "exit 7", none), 0);
	assert_int_equal(run.end.status, 7);
	assert_int_equal(run_script(&run, "kill -9 $$", none), 0);
	assert_int_equal(run.end.signal, SIGKILL);
	assert_false(run.end.is_late);
	/* Its children end with it. */
	assert_int_equal(run_script(&run, "sleep 100 & wait", none), 0);
	assert_int_equal(run.end.signal, SIGTERM);
	assert_true(run.end.is_late);
}

/* What systemd told this process, and what it has open, are no business of a hook's.  Row A31. */
static void test_inherits_nothing(void **context)
{
	char root[] = "/tmp/sidestep-XXXXXX", script[512], *text;
	char *variables[] = {"RENEWED_DOMAINS=a.example b.example", "FAILED_DOMAINS", NULL};
	int open_fd = dup(STDERR_FILENO); /* without O_CLOEXEC */
	struct run run;

	(void)context;
	assert_non_null(mkdtemp(root));
	assert_int_equal(setenv("NOTIFY_SOCKET", "/run/systemd/notify", 1), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "60000000", 1), 0);
	assert_int_equal(setenv("FAILED_DOMAINS", "of another", 1), 0);
	snprintf(script, sizeof(script), "ls -1 /proc/self/fd >%s/fds; env >%s/env", root, root);
	assert_int_equal(run_script(&run, script, variables), 0);
	assert_int_equal(run.end.status, 0);
	/* ls has opened the directory as 3; the shell's redirection is 1. */
	text = fixture_run(NULL, "cat %s/fds", root);
	assert_string_equal(text, "0\n1\n2\n3\n");
	free(text);
	text = fixture_run(NULL, "grep -E 'NOTIFY|WATCHDOG|DOMAINS|^PATH=' %s/env | sort", root);
	assert_null(strstr(text, "NOTIFY"));
	assert_null(strstr(text, "WATCHDOG"));
	assert_null(strstr(text, "FAILED"));
	assert_non_null(strstr(text, "PATH="));
	assert_non_null(strstr(text, "RENEWED_DOMAINS=a.example b.example\n"));
	free(text);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("FAILED_DOMAINS");
	close(open_fd);
	free(fixture_run(NULL, "rm -r %s", root));
}

static void test_too_long(void **context)
{
	char *text = malloc(256 * 1024), *variables[] = {text, NULL};
	struct run run;

	(void)context;
	memset(text, 'x', 256 * 1024);
	memcpy(text, "A=", 2);
	text[256 * 1024 - 1] = '\0';
	assert_int_equal(run_script(&run, "exit 0", variables), -E2BIG);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_inherits_nothing),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
