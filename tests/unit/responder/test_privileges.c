// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "responder/privileges.h"

#define USER  10321
#define GROUP 10322
#define SHARE 10323

/* The whole of /proc/self/status, in static storage. */
static const char *process_status(void)
{
	static char text[8192];
	int fd = open("/proc/self/status", O_RDONLY);
	ssize_t size = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[size > 0 ? size : 0] = '\0';
	return text;
}

/* Does /proc/self/status have this text? */
static bool has_line(const char *line)
{
	if (strstr(process_status(), line))
		return true;
	fprintf(stderr, "/proc/self/status has no \"%s\"\n", line);
	return false;
}

/* Run `act` in a child; what it returns. */
static int in_child(int (*act)(const struct identity *), const struct identity *identity)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(act(identity));
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static bool nothing_is_left(void)
{
	struct rlimit core;

	return has_line("\nCapInh:\t0000000000000000\n") &&
	       has_line("\nCapPrm:\t0000000000000000\n") &&
	       has_line("\nCapEff:\t0000000000000000\n") &&
	       has_line("\nCapBnd:\t0000000000000000\n") &&
	       has_line("\nCapAmb:\t0000000000000000\n") && has_line("\nNoNewPrivs:\t1\n") &&
	       !prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) && !getrlimit(RLIMIT_CORE, &core) &&
	       !core.rlim_cur && !core.rlim_max;
}

static int drop_to_user(const struct identity *identity)
{
	if (privileges_drop(identity))
		return 1;
	if (!has_line("\nUid:\t10321\t10321\t10321\t10321\n") ||
	    !has_line("\nGid:\t10322\t10322\t10322\t10322\n") || !has_line("\nGroups:\t \n") ||
	    !nothing_is_left())
		return 2;
	if (!setuid(0) || !seteuid(0) || !setgid(0) || !setgroups(0, NULL))
		return 3;
	return 0;
}

/* A privilege that cannot be given up is an error. */
static int drop_twice(const struct identity *identity)
{
	struct identity other = {.uid = USER + 1, .gid = GROUP, .shared_gid = SHARE};

	if (privileges_drop(identity))
		return 1;
	return privileges_drop(&other) == -EPERM ? 0 : 2;
}

static void test_drop(void **state)
{
	const struct identity identity = {.uid = USER, .gid = GROUP, .shared_gid = SHARE};

	(void)state;
	assert_int_equal(in_child(drop_to_user, &identity), 0);
}

/* Neither what the monitor is, nor what may publish. */
static void test_objections(void **state)
{
	static const struct identity root = {.uid = 0, .gid = GROUP, .shared_gid = SHARE},
				     member = {.uid = USER, .gid = SHARE, .shared_gid = SHARE},
				     good = {.uid = USER, .gid = GROUP, .shared_gid = SHARE};

	(void)state;
	assert_non_null(strstr(privileges_objection(&root), "--user"));
	assert_non_null(strstr(privileges_objection(&member), "--group"));
	assert_null(privileges_objection(&good));
	assert_int_equal(privileges_drop(&root), -EINVAL);
}

static void test_without_rights(void **state)
{
	const struct identity identity = {.uid = USER, .gid = GROUP, .shared_gid = SHARE};

	(void)state;
	assert_int_equal(in_child(drop_twice, &identity), 0);
}

static void test_names(void **state)
{
	uid_t uid = 1;
	gid_t gid = 1;

	(void)state;
	assert_int_equal(privileges_find_user("sidestep-nobody-has-this", &uid, &gid), -ENOENT);
	assert_int_equal(privileges_find_group("sidestep-nobody-has-this", &gid), -ENOENT);
	assert_int_equal(uid, 1);
	assert_int_equal(gid, 1);
	assert_int_equal(privileges_find_user("root", &uid, &gid), 0);
	assert_int_equal(uid, 0);
	assert_int_equal(gid, 0);
	gid = 1;
	assert_int_equal(privileges_find_group("root", &gid), 0);
	assert_int_equal(gid, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_objections),
		cmocka_unit_test(test_without_rights),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
