// SPDX-License-Identifier: GPL-3.0-or-later
/* Files that are written whole, whatever was left behind and whatever the file system lacks. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "acme/util/file.h"
#include "tests/unit/fixture.h"

#define NAME "key.pem"

static char root[32];
static int directory;

static int setup(void **context)
{
	(void)context;
	strcpy(root, "/tmp/sidestep-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	directory = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return directory < 0;
}

static int teardown(void **context)
{
	(void)context;
	close(directory);
	free(fixture_run(NULL, "rm -rf %s", root));
	return 0;
}

static int create_file(const char *text)
{
	const struct file_access access = file_access_own(0600);

	return file_create_atomically(directory, NAME, &access, text, strlen(text));
}

static int replace_file(const char *text)
{
	const struct file_access access = file_access_own(0600);

	return file_replace(directory, NAME, &access, text, strlen(text));
}

static bool has_content(const char *text)
{
	char *found;
	size_t size;
	bool is;

	assert_int_equal(file_read(directory, NAME, 100, &found, &size), 0);
	is = strcmp(found, text) == 0;
	free(found);
	return is;
}

static size_t count_files(void)
{
	char *text = fixture_run(NULL, "ls -A %s | wc -l", root);
	size_t count = strtoul(text, NULL, 10);

	free(text);
	return count;
}

/*
 * In a container every start has the same process id.  What a killed one left is in nobody's way, and
 * does not stay: it may hold a key.  Row A30.
 */
static void test_remnants(void **context)
{
	(void)context;
	free(fixture_run(NULL, "echo key >%s/.%s.%d; echo key >%s/.%s.0123456789abcdef", root, NAME,
			 (int)getpid(), root, NAME));
	assert_int_equal(create_file("first"), 0);
	assert_int_equal(create_file("second"), -EEXIST);
	assert_int_equal(replace_file("third"), 0);
	assert_true(has_content("third"));
	/* They are new: perhaps another process is writing them just now. */
	assert_int_equal(count_files(), 3);
	free(fixture_run(NULL, "touch -d '3 hours ago' %s/.%s.*; touch -d '3 hours ago' %s/.%s.x1",
			 root, NAME, root, NAME));
	assert_int_equal(replace_file("fourth"), 0);
	assert_true(has_content("fourth"));
	assert_int_equal(count_files(), 2);
	free(fixture_run(NULL, "rm %s/.%s.x1", root, NAME));
}

#define CALL_FAILS(number, err)                            \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (err))

/* As on CIFS and FUSE: no hard links, no RENAME_NOREPLACE, no fsync of this directory. */
static int lose_abilities(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		CALL_FAILS(SYS_linkat, EPERM),
		CALL_FAILS(SYS_renameat2, EINVAL),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsync, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)directory, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {.len = sizeof(code) / sizeof(*code), .filter = code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* Row B12. */
static void test_poor_file_system(void **context)
{
	int status;
	pid_t pid;

	(void)context;
	pid = fork();
	if (pid == 0) {
		if (lose_abilities() || fsync(directory) == 0)
			_exit(1);
		if (create_file("first"))
			_exit(2);
		if (create_file("second") != -EEXIST)
			_exit(3);
		_exit(replace_file("third") ? 4 : 0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(has_content("third"));
	assert_int_equal(count_files(), 1);
	assert_int_equal(fsync(directory), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_remnants, setup, teardown),
		cmocka_unit_test_setup_teardown(test_poor_file_system, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
