// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file_lock.h"
#include "common/instance.h"
#include "common/local_socket.h"
#include "common/paths.h"

#define STRANGER 12345

static char directory[] = "/tmp/sidestep-XXXXXX";
static struct paths paths;

static int make_directory(void **state)
{
	char path[64];

	(void)state;
	if (!mkdtemp(directory) || chmod(directory, 0755) || paths_init(&paths, directory))
		return -1;
	snprintf(path, sizeof(path), "%s/run", directory);
	return mkdir(path, 0755) || mkdir(paths.run, 0755) ? -1 : 0;
}

static int remove_directory(void **state)
{
	char path[64];

	(void)state;
	unlink(paths.lock);
	unlink(paths.programs_lock);
	unlink(paths.alive);
	rmdir(paths.private);
	rmdir(paths.run);
	snprintf(path, sizeof(path), "%s/run", directory);
	rmdir(path);
	return rmdir(directory);
}

static mode_t mode_of(const char *path)
{
	struct stat status;

	assert_int_equal(lstat(path, &status), 0);
	return status.st_mode & 07777;
}

static void test_lock(void **state)
{
	mode_t mask = umask(0);
	int fd;

	(void)state;
	fd = instance_lock(&paths);
	umask(mask);
	assert_true(fd >= 0);
	assert_int_equal(mode_of(paths.private), 0700);
	assert_int_equal(mode_of(paths.lock), 0600);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(instance_lock(&paths), -EBUSY);
	close(fd);
	fd = instance_lock(&paths);
	assert_true(fd >= 0);
	close(fd);
}

static int ask_as_stranger(void)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(setgid(STRANGER) || setuid(STRANGER) ? 99 : instance_is_running(&paths));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void test_is_running(void **state)
{
	mode_t mask = umask(077);
	int fd;

	(void)state;
	assert_int_equal(instance_is_running(&paths), -ENOENT);
	fd = instance_announce(&paths);
	umask(mask);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(instance_is_running(&paths), 1);
	assert_int_equal(ask_as_stranger(), 1);
	close(fd);
	assert_int_equal(instance_is_running(&paths), 0);
	assert_int_equal(ask_as_stranger(), 0);
}

/* Whoever comes to the socket and stays hinders neither those who ask nor the next start. */
static void test_hindered(void **state)
{
	int fd = instance_announce(&paths), fds[8];

	(void)state;
	assert_true(fd >= 0);
	for (int i = 0; i < 8; i++)
		fds[i] = local_socket_connect(paths.alive, SOCK_STREAM);
	assert_int_equal(fds[7], -EAGAIN);
	assert_int_equal(instance_is_running(&paths), 1);
	close(fd);
	assert_int_equal(instance_is_running(&paths), 0);
	fd = instance_announce(&paths);
	assert_true(fd >= 0);
	assert_int_equal(instance_is_running(&paths), 1);
	close(fd);
	for (int i = 0; i < 8; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* The lock goes with its holder, however that ends, and so does the word that it runs. */
static void test_killed(void **state)
{
	int ready[2];
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		if (instance_lock(&paths) < 0 || instance_announce(&paths) < 0 ||
		    write(ready[1], "r", 1) != 1)
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
}

static void test_programs(void **state)
{
	int fd = instance_lock_programs(&paths);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(mode_of(paths.programs_lock), 0600);
	close(fd);
	fd = instance_lock_programs(&paths);
	assert_true(fd >= 0);
	close(fd);
}

/* A lock that is not given back is waited for, and not without end. */
static void test_patience(void **state)
{
	int holder = open(paths.programs_lock, O_RDONLY | O_CREAT, 0600);
	int other = open(paths.programs_lock, O_RDONLY);

	(void)state;
	assert_int_equal(flock(holder, LOCK_EX), 0);
	assert_int_equal(file_lock(other, 20), -ETIMEDOUT);
	assert_int_equal(flock(holder, LOCK_UN), 0);
	assert_int_equal(file_lock(other, 20), 0);
	close(holder);
	close(other);
	assert_int_equal(file_lock(-1, 20), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lock),     cmocka_unit_test(test_is_running),
		cmocka_unit_test(test_hindered), cmocka_unit_test(test_killed),
		cmocka_unit_test(test_programs), cmocka_unit_test(test_patience),
		cmocka_unit_test(test_symlink),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
