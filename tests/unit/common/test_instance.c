/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/instance.h"
#include "common/paths.h"

static char directory[] = "/tmp/sidestep-XXXXXX";
static struct paths paths;

static int make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(paths.lock, sizeof(paths.lock), "%s/responder.lock", directory);
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	unlink(paths.lock);
	return rmdir(directory);
}

static void test_lock(void **state)
{
	mode_t mask = umask(077);
	struct stat status;
	int fd;

	(void)state;
	assert_int_equal(instance_is_running(&paths), -ENOENT);
	fd = instance_lock(&paths);
	umask(mask);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0644);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(instance_is_running(&paths), 1);
	assert_int_equal(instance_lock(&paths), -EBUSY);
	assert_int_equal(instance_is_running(&paths), 1);
	close(fd);
	assert_int_equal(instance_is_running(&paths), 0);
	fd = instance_lock(&paths);
	assert_true(fd >= 0);
	close(fd);
}

/* The lock goes with its holder, however that ends. */
static void test_killed(void **state)
{
	int ready[2];
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		if (instance_lock(&paths) < 0 || write(ready[1], "r", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(instance_is_running(&paths), 1);
	assert_int_equal(instance_lock(&paths), -EBUSY);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(instance_is_running(&paths), 0);
	close(ready[0]);
	close(ready[1]);
}

static void test_symlink(void **state)
{
	(void)state;
	unlink(paths.lock);
	assert_int_equal(symlink("elsewhere", paths.lock), 0);
	assert_int_equal(instance_lock(&paths), -ELOOP);
	assert_int_equal(instance_is_running(&paths), -ELOOP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_symlink),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
