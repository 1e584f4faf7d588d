// SPDX-License-Identifier: GPL-3.0-or-later
/* Certificates on disk: whole at any moment, whenever the writer dies. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "acme/crypto/certificate.h"
#include "acme/util/failure.h"
#include "acme/util/file.h"
#include "acme/crypto/key.h"
#include "acme/store/state.h"
#include "acme/store/store_history.h"
#include "acme/store/store_writer.h"
#include "acme/store/store.h"
#include "tests/unit/fixture.h"

#define NAME "a.example"

static char root[32];
static struct paths paths;

/* What the tests mount is nobody else's, and gone when they end. */
static int enter_namespace(void **state)
{
	(void)state;
	/* Memory instead of a disk, which other programs may keep busy. */
	return unshare(CLONE_NEWNS) || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) ||
	       mount("none", "/tmp", "tmpfs", 0, NULL);
}

static int setup(void **state)
{
	(void)state;
	strcpy(root, "/tmp/sidestep-XXXXXX");
	return mkdtemp(root) ? paths_init(&paths, root) : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(fixture_run(NULL, "rm -rf %s", root));
	return 0;
}

/* --- generations with contents of the tests' own ---------------------------------------------- */

/* What a generation consists of; the certificates are no certificates: nothing here reads them. */
struct generation {
	struct key *key;
	char key_pem[KEY_PEM_MAX];
	const char *leaf, *rest;
};

static struct generation make_generation(const char *leaf, const char *rest)
{
	struct generation generation = {.leaf = leaf, .rest = rest};

	assert_int_equal(key_generate(&generation.key, KEY_P256), 0);
	assert_true(key_to_pem(generation.key, generation.key_pem) > 0);
	return generation;
}

static void fill_chain(struct chain *chain, char text[256], const struct generation *generation)
{
	int size = snprintf(text, 256, "%s%s", generation->leaf, generation->rest);

	*chain = (struct chain){.text = text, .count = generation->rest[0] ? 2 : 1};
	chain->certificates[0].size = strlen(generation->leaf);
	chain->certificates[1].offset = strlen(generation->leaf);
	chain->certificates[1].size = (size_t)size - strlen(generation->leaf);
}

/* The whole of a writer's work. */
static int write_chain(const char *name, struct key *key, const struct chain *chain,
		       struct failure *failure)
{
	json_t *origin = json_pack("{s:s}", "server", "https://ca.example/");
	struct store_writer *lineage;
	int err;

	err = store_writer_open(&lineage, &paths, name, key, failure);
	if (!err) {
		err = store_writer_commit(lineage, chain, origin, failure);
		store_writer_free(lineage);
	}
	json_decref(origin);
	return err;
}

static int write_generation(const char *name, const struct generation *generation,
			    struct failure *failure)
{
	struct chain chain;
	char text[256];

	fill_chain(&chain, text, generation);
	return write_chain(name, generation->key, &chain, failure);
}

static void write_well(const char *name, const struct generation *generation)
{
	struct failure failure = {0};

	if (write_generation(name, generation, &failure))
		fail_msg("%s", failure.cause);
}

static char *read_live(const char *name, enum store_file file)
{
	char path[STORE_PATH_MAX + 32], *text;
	size_t size;

	store_live_path(path, &paths, name);
	strcat(path, "/");
	strcat(path, store_file_names[file]);
	return file_read(AT_FDCWD, path, STORE_PEM_MAX, &text, &size) ? NULL : text;
}

static bool is_live(const char *name, const struct generation *generation)
{
	char full[256], *text[STORE_FILES];
	bool same = true;
	int file;

	snprintf(full, sizeof(full), "%s%s", generation->leaf, generation->rest);
	for (file = 0; file < STORE_FILES; file++) {
		text[file] = read_live(name, file);
		same = same && text[file];
	}
	same = same && strcmp(text[STORE_PRIVKEY], generation->key_pem) == 0 &&
	       strcmp(text[STORE_CERT], generation->leaf) == 0 &&
	       strcmp(text[STORE_CHAIN], generation->rest) == 0 &&
	       strcmp(text[STORE_FULLCHAIN], full) == 0;
	for (file = 0; file < STORE_FILES; file++)
		free(text[file]);
	return same;
}

/* Nothing at all below live/, under any name. */
static bool nothing_is_live(void)
{
	char **names;
	size_t count;

	assert_int_equal(store_names(&names, &count, &paths), 0);
	file_list_free(names, count);
	return count == 0;
}

/* Mode, or -1, of a file below the state directory. */
static int mode_of(const char *name)
{
	char path[STORE_PATH_MAX + 64];
	struct stat status;

	snprintf(path, sizeof(path), "%s/%s", paths.state, name);
	return lstat(path, &status) ? -1 : (int)(status.st_mode & 07777);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void test_first_and_next(void **state)
{
	struct generation first = make_generation("leaf 1\n", "root 1\n");
	struct generation next = make_generation("leaf 2\n", "");

	(void)state;
	write_well(NAME, &first);
	assert_true(is_live(NAME, &first));
	assert_int_equal(mode_of("live"), 0700);
	assert_int_equal(mode_of("archive"), 0700);
	assert_int_equal(mode_of("archive/" NAME "/1/privkey.pem"), 0600);
	assert_int_equal(mode_of("archive/" NAME "/1/cert.pem"), 0644);
	write_well(NAME, &next);
	assert_true(is_live(NAME, &next));
	assert_int_equal(mode_of("archive/" NAME "/1/privkey.pem"), 0600);
	assert_int_equal(mode_of("archive/" NAME "/2/privkey.pem"), 0600);
	assert_int_equal(mode_of("archive/" NAME "/staging"), -1);
	key_free(first.key);
	key_free(next.key);
}

static void test_line_feed_is_added(void **state)
{
	struct generation generation = make_generation("leaf", "root");
	char *text;

	(void)state;
	write_well(NAME, &generation);
	text = read_live(NAME, STORE_FULLCHAIN);
	assert_string_equal(text, "leaf\nroot\n");
	free(text);
	key_free(generation.key);
}

static void test_longest_name(void **state)
{
	struct generation generation = make_generation("leaf\n", "");
	char name[CERTIFICATE_NAME_MAX + 1];

	(void)state;
	memset(name, 'a', CERTIFICATE_NAME_MAX);
	name[CERTIFICATE_NAME_MAX] = '\0';
	assert_true(certificate_name_is_valid(name));
	write_well(name, &generation);
	assert_true(is_live(name, &generation));
	key_free(generation.key);
}

/* An administrator's doing outlives renewals. */
static void test_access_is_kept(void **state)
{
	struct generation generation = make_generation("leaf\n", "root\n");
	char path[STORE_PATH_MAX + 64];
	struct stat status;

	(void)state;
	write_well(NAME, &generation);
	snprintf(path, sizeof(path), "%s/archive/" NAME "/1/privkey.pem", paths.state);
	assert_int_equal(chown(path, 12, 34), 0);
	assert_int_equal(chmod(path, 0640), 0);
	write_well(NAME, &generation);
	snprintf(path, sizeof(path), "%s/live/" NAME "/privkey.pem", paths.state);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_uid, 12);
	assert_int_equal(status.st_gid, 34);
	assert_int_equal(status.st_mode & 07777, 0640);
	key_free(generation.key);
}

static void test_uncommitted_leaves_nothing(void **state)
{
	struct generation generation = make_generation("leaf\n", "");
	struct failure failure = {0};
	struct store_writer *lineage;

	(void)state;
	assert_int_equal(store_writer_open(&lineage, &paths, NAME, generation.key, &failure), 0);
	/* The key is on the disk before anything else happens. */
	assert_int_equal(mode_of("archive/" NAME "/staging/privkey.pem"), 0600);
	store_writer_free(lineage);
	assert_int_equal(mode_of("archive/" NAME), -1);
	assert_true(nothing_is_live());
	key_free(generation.key);
}

static void test_one_writer_at_a_time(void **state)
{
	struct generation generation = make_generation("leaf\n", "");
	struct failure failure = {0};
	struct store_writer *lineage;

	(void)state;
	assert_int_equal(store_writer_open(&lineage, &paths, NAME, generation.key, &failure), 0);
	assert_int_equal(write_generation(NAME, &generation, &failure), STORE_WRITER_BUSY);
	assert_non_null(strstr(failure.cause, "another sidestep"));
	write_well("b.example", &generation);
	store_writer_free(lineage);
	write_well(NAME, &generation);
	key_free(generation.key);
}

/* What others made is not touched. */
static void test_foreign_files(void **state)
{
	static const char *const commands[] = {
		"mkdir -p %s/live/a.example",
		"mkdir -p %s/live/a.example && echo mine >%s/live/a.example/cert.pem",
		"mkdir -p %s/live && ln -s /etc %s/live/a.example",
		"mkdir -p %s/live && echo mine >%s/live/a.example",
	};
	struct generation generation = make_generation("leaf\n", "");
	struct failure failure;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		free(fixture_run(NULL, "rm -rf %s", paths.state));
		free(fixture_run(NULL, commands[i], paths.state, paths.state));
		failure = (struct failure){0};
		assert_int_equal(write_generation(NAME, &generation, &failure), -1);
		assert_non_null(strstr(failure.cause, "not made by sidestep"));
		assert_int_equal(mode_of("archive/" NAME), -1);
	}
	key_free(generation.key);
}

static void test_full_disk(void **state)
{
	struct generation old = make_generation("old leaf\n", "old root\n");
	struct generation new = make_generation("leaf\n", "root\n");
	struct failure failure = {0};
	struct store_writer *lineage;
	struct chain chain;
	char text[256];

	(void)state;
	write_well(NAME, &old);
	/* Room for the key, but not for what comes later: known before the CA is asked. */
	free(fixture_run(NULL,
			 "cp -a %s %s/copy && mount -t tmpfs -o size=128k none %s && "
			 "cp -a %s/copy/. %s/",
			 paths.state, root, paths.state, root, paths.state));
	assert_int_equal(write_generation(NAME, &new, &failure), -1);
	assert_non_null(strstr(failure.cause, "No space left"));
	assert_true(is_live(NAME, &old));
	assert_int_equal(mode_of("archive/" NAME "/staging"), -1);

	/* The room vanishes between beginning and committing. */
	free(fixture_run(NULL, "mount -o remount,size=2m %s", paths.state));
	failure = (struct failure){0};
	assert_int_equal(store_writer_open(&lineage, &paths, NAME, new.key, &failure), 0);
	free(fixture_run(NULL,
			 "rm %s/archive/" NAME "/staging/reserve; cat /dev/zero >%s/filler "
			 "2>/dev/null; touch %s/archive/" NAME "/staging/reserve",
			 paths.state, paths.state, paths.state));
	fill_chain(&chain, text, &new);
	assert_int_equal(store_writer_commit(lineage, &chain, NULL, &failure), -1);
	store_writer_free(lineage);
	assert_true(is_live(NAME, &old));
	assert_int_equal(mode_of("archive/" NAME "/staging"), -1);
	assert_int_equal(mode_of("archive/" NAME "/2"), -1);
	free(fixture_run(NULL, "umount %s", paths.state));
	key_free(old.key);
	key_free(new.key);
}

/* --- a writer that is killed ------------------------------------------------------------------ */

/*
 * Run the writing in a process of its own and kill it at its stop number `stop`:
 * before and after each system call is one.  Whether it was killed, rather than done.
 */
static bool is_killed_at(int stop, int (*work)(const void *context), const void *context)
{
	int status, i;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(work(context) ? 1 : 0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	for (i = 0; i < stop; i++) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
		assert_true(WIFSTOPPED(status));
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	return true;
}

static int do_write(const void *context)
{
	struct failure failure = {0};

	return write_generation(NAME, context, &failure);
}

static bool killed_at(int stop, const char *name, const struct generation *generation)
{
	(void)name;
	return is_killed_at(stop, do_write, generation);
}

static void test_killed_at_the_first(void **state)
{
	struct generation first = make_generation("leaf 1\n", "root 1\n");
	int stop, lived = 0;

	(void)state;
	for (stop = 1; killed_at(stop, NAME, &first); stop++) {
		assert_true(nothing_is_live() || is_live(NAME, &first));
		lived += !nothing_is_live();
		/* What it left behind is in nobody's way. */
		write_well(NAME, &first);
		assert_true(is_live(NAME, &first));
		free(fixture_run(NULL, "rm -rf %s", paths.state));
	}
	assert_true(stop > 100);
	assert_true(lived > 0);
	key_free(first.key);
}

static void test_killed_at_a_renewal(void **state)
{
	struct generation old = make_generation("leaf 1\n", "root 1\n");
	struct generation new = make_generation("leaf 2\n", "");
	int stop, renewed = 0;

	(void)state;
	write_well(NAME, &old);
	for (stop = 1; killed_at(stop, NAME, &new); stop++) {
		assert_true(is_live(NAME, &old) || is_live(NAME, &new));
		renewed += is_live(NAME, &new);
		write_well(NAME, &old);
		assert_true(is_live(NAME, &old));
	}
	assert_true(stop > 100);
	assert_true(renewed > 0 && renewed < stop / 2);
	assert_int_equal(mode_of("archive/" NAME "/staging"), -1);
	key_free(old.key);
	key_free(new.key);
}

/* A reader never finds two generations mixed, however often the writer switches. */
static void test_readers_during_renewals(void **state)
{
	struct generation two[] = {make_generation("leaf 1\n", "root 1\n"),
				   make_generation("leaf 2\n", "root 2\n")};
	char path[STORE_PATH_MAX + 1], *cert, *chain;
	int i, fd, status = 0;
	size_t size;
	pid_t writer;

	(void)state;
	write_well(NAME, &two[0]);
	snprintf(path, sizeof(path), "%s/archive/" NAME "/current", paths.state);
	writer = fork();
	if (writer == 0) {
		for (i = 0; i < 100; i++)
			write_well(NAME, &two[i % 2]);
		_exit(0);
	}
	while (waitpid(writer, &status, WNOHANG) == 0) {
		/* As a careful reader does: one step into a generation, then its files. */
		fd = open(path, O_RDONLY | O_DIRECTORY);
		assert_true(fd >= 0);
		assert_int_equal(file_read(fd, "cert.pem", 99, &cert, &size), 0);
		assert_int_equal(file_read(fd, "chain.pem", 99, &chain, &size), 0);
		assert_int_equal(cert[5], chain[5]);
		free(cert);
		free(chain);
		close(fd);
	}
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	key_free(two[0].key);
	key_free(two[1].key);
}

/* --- going back, going on, removing ------------------------------------------------------------- */

static int64_t complete(void)
{
	struct failure failure = {0};
	int64_t generation = -1;
	int err = store_complete(&paths, NAME, &generation, &failure);

	if (err == -ENOENT)
		return 0;
	if (err)
		fail_msg("%s", failure.cause);
	return generation;
}

static int do_go_back(const void *context)
{
	struct failure failure = {0};

	(void)context;
	return store_go_back(&paths, NAME, store_generation(&paths, NAME), &failure);
}

static int do_go_forward(const void *context)
{
	struct failure failure = {0};

	(void)context;
	return store_go_forward(&paths, NAME, 2, &failure);
}

static int do_delete(const void *context)
{
	struct failure failure = {0};

	(void)context;
	return store_delete(&paths, NAME, NULL, NULL, &failure);
}

/* Killed anywhere, the previous one or the refused one is in use, whole; the next process agrees.  Row A10. */
static void test_killed_while_going_back(void **state)
{
	struct generation old = make_generation("leaf 1\n", "root 1\n");
	struct generation new = make_generation("leaf 2\n", "");
	int stop, back = 0, forth = 0;

	(void)state;
	write_well(NAME, &old);
	write_well(NAME, &new);
	for (stop = 1; is_killed_at(stop, do_go_back, NULL); stop++) {
		assert_true(is_live(NAME, &old) || is_live(NAME, &new));
		if (complete() == 2) {
			assert_true(is_live(NAME, &new));
			continue;
		}
		assert_true(is_live(NAME, &old));
		back++;
		assert_int_equal(do_go_forward(NULL), 0);
		assert_true(is_live(NAME, &new));
	}
	assert_true(back > 5);
	for (stop = 1; is_killed_at(stop, do_go_forward, NULL); stop++) {
		assert_true(is_live(NAME, &old) || is_live(NAME, &new));
		if (complete() == 1) {
			assert_true(is_live(NAME, &old));
			continue;
		}
		assert_true(is_live(NAME, &new));
		forth++;
		assert_int_equal(do_go_back(NULL), 0);
		assert_true(is_live(NAME, &old));
	}
	assert_true(forth > 5);
	/* There is nothing before the first, and what was refused is nobody's previous one. */
	assert_int_equal(do_go_back(NULL), 0);
	assert_int_equal(do_go_back(NULL), -ENOENT);
	write_well(NAME, &new);
	assert_int_equal(store_generation(&paths, NAME), 3);
	assert_int_equal(do_go_back(NULL), 0);
	assert_true(is_live(NAME, &old));
	key_free(old.key);
	key_free(new.key);
}

/* Killed between `current` and live/, or live/ removed by hand: it is made again, and can be deleted.  Row A10. */
static void test_live_is_completed(void **state)
{
	static const char *const commands[] = {
		"rm -r %s/live/" NAME,
		"rm -r %s/live",
		"rm %s/live/" NAME "/privkey.pem",
		"rm %s/archive/" NAME "/current",
	};
	struct generation first = make_generation("leaf 1\n", "root 1\n");
	int status;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		write_well(NAME, &first);
		free(fixture_run(&status, commands[i], paths.state));
		assert_int_equal(status, 0);
		assert_int_equal(complete(), 1);
		assert_true(is_live(NAME, &first));
		free(fixture_run(&status, commands[i], paths.state));
		assert_int_equal(do_delete(NULL), 0);
		assert_int_equal(mode_of("archive/" NAME), -1);
		assert_int_equal(mode_of("live/" NAME), -1);
	}
	assert_int_equal(do_delete(NULL), -ENOENT);
	key_free(first.key);
}

static void test_killed_while_deleting(void **state)
{
	struct generation first = make_generation("leaf 1\n", "root 1\n");
	int stop, gone = 0;
	int64_t left;

	(void)state;
	write_well(NAME, &first);
	for (stop = 1; is_killed_at(stop, do_delete, NULL); stop++) {
		left = complete();
		assert_true(left ? is_live(NAME, &first) : nothing_is_live());
		if (left)
			continue;
		gone++;
		assert_true(mode_of("archive/" NAME "/1") == -1);
		write_well(NAME, &first);
		assert_true(is_live(NAME, &first));
	}
	assert_true(gone > 5);
	assert_int_equal(mode_of("archive/" NAME), -1);
	key_free(first.key);
}

/* HAProxy's file is there when the generation in use has it. */
static void test_bundle_follows(void **state)
{
	struct generation first = make_generation("leaf 1\n", "root 1\n");
	struct store_writer *writer;
	struct failure failure = {0};
	struct chain chain;
	char text[256];

	(void)state;
	write_well(NAME, &first);
	assert_int_equal(store_writer_open(&writer, &paths, NAME, first.key, &failure), 0);
	store_writer_want_bundle(writer);
	fill_chain(&chain, text, &first);
	json_t *origin = json_object();
	assert_int_equal(store_writer_commit(writer, &chain, origin, &failure), 0);
	json_decref(origin);
	assert_int_equal(store_writer_generation(writer), 2);
	store_writer_free(writer);
	assert_int_equal(mode_of("live/" NAME "/bundle.pem"), 0777);
	assert_int_equal(do_go_back(NULL), 0);
	assert_int_equal(mode_of("live/" NAME "/bundle.pem"), -1);
	assert_int_equal(do_go_forward(NULL), 0);
	assert_int_equal(mode_of("live/" NAME "/bundle.pem"), 0777);
	key_free(first.key);
}

static int prune(unsigned int count, unsigned int days)
{
	const struct store_retention retention = {.count = count, .days = days};
	struct failure failure = {0};

	return store_prune(&paths, NAME, &retention, &failure);
}

/* The generations that there are, as "1 2 3\n", to be freed. */
static char *list_generations(void)
{
	return fixture_run(NULL, "cd %s/archive/" NAME " && echo $(ls -d [0-9]* | sort -n)",
			   paths.state);
}

static void assert_generations(const char *expected)
{
	char *found = list_generations();

	assert_string_equal(found, expected);
	free(found);
}

/* Old keys do not stay for ever, and neither do old directories.  Row A40. */
static void test_retention(void **state)
{
	struct generation first = make_generation("leaf 1\n", "root 1\n");
	int i;

	(void)state;
	for (i = 0; i < 6; i++)
		write_well(NAME, &first);
	assert_int_equal(prune(9, 1), 0);
	assert_generations("1 2 3 4 5 6\n");
	assert_int_equal(prune(4, 1), 0);
	assert_generations("2 3 4 5 6\n");
	/* 2 was replaced by 3 that long ago. */
	free(fixture_run(NULL, "touch -d '3 days ago' %s/archive/" NAME "/3", paths.state));
	assert_int_equal(prune(4, 2), 0);
	assert_generations("3 4 5 6\n");
	/* One stays to go back to, however old. */
	free(fixture_run(NULL, "touch -d '3 days ago' %s/archive/" NAME "/*", paths.state));
	assert_int_equal(prune(0, 0), 0);
	assert_generations("5 6\n");
	/* No number comes twice, so the highest stays, though it was refused. */
	assert_int_equal(do_go_back(NULL), 0);
	assert_int_equal(prune(0, 0), 0);
	assert_generations("5 6\n");
	write_well(NAME, &first);
	assert_int_equal(prune(1, 9), 0);
	assert_generations("5 6 7\n");
	assert_true(is_live(NAME, &first));
	key_free(first.key);
}

/* An earlier generation comes back as the newest, with all its files.  Row A40. */
static void test_restore(void **state)
{
	struct generation one = make_generation("leaf 1\n", "root 1\n");
	struct generation two = make_generation("leaf 2\n", "");
	struct generation three = make_generation("leaf 3\n", "");
	struct failure failure = {0};
	int64_t generation = 0;
	char *text;

	(void)state;
	write_well(NAME, &one);
	assert_int_equal(store_restore(&paths, NAME, 0, &generation, &failure), -ENOENT);
	write_well(NAME, &two);
	write_well(NAME, &three);
	assert_int_equal(store_restore(&paths, NAME, 9, &generation, &failure), -ENOENT);
	assert_int_equal(store_restore(&paths, NAME, 0, &generation, &failure), 0);
	assert_int_equal(generation, 4);
	assert_true(is_live(NAME, &two));
	assert_int_equal(store_restore(&paths, NAME, 1, &generation, &failure), 0);
	assert_int_equal(generation, 5);
	assert_true(is_live(NAME, &one));
	assert_int_equal(mode_of("archive/" NAME "/5/privkey.pem"), 0600);
	text = fixture_run(NULL, "tr -d ' \n' <%s/archive/" NAME "/5/origin.json", paths.state);
	assert_string_equal(text, "{\"server\":\"https://ca.example/\",\"restored_from\":1}");
	free(text);
	key_free(one.key);
	key_free(two.key);
	key_free(three.key);
}

/* --- what the host does not allow ---------------------------------------------------------------- */

#define NOBODY 65534

/*
 * A service that may not give files away goes on, and gives what it cannot share to nobody.  Row A21.
 */
static void test_group_cannot_be_kept(void **state)
{
	struct generation first = make_generation("leaf 1\n", "root 1\n");
	struct failure failure = {0};
	struct stat status;
	char path[STORE_PATH_MAX + 64];
	int result;
	pid_t pid;

	(void)state;
	write_well(NAME, &first);
	free(fixture_run(NULL,
			 "chmod 755 %s; chown -R 65534:65534 %s; chgrp 12 %s/archive/" NAME
			 "/1/*.pem; chmod 640 %s/archive/" NAME "/1/privkey.pem",
			 root, paths.state, paths.state, paths.state));
	pid = fork();
	if (pid == 0) {
		if (setgid(NOBODY) || setuid(NOBODY))
			_exit(2);
		_exit(write_generation(NAME, &first, &failure) ? 1 : 0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &result, 0), pid);
	assert_int_equal(result, 0);
	assert_true(is_live(NAME, &first));
	snprintf(path, sizeof(path), "%s/archive/" NAME "/2/privkey.pem", paths.state);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_gid, NOBODY);
	assert_int_equal(status.st_mode & 07777, 0600);
	snprintf(path, sizeof(path), "%s/archive/" NAME "/2/cert.pem", paths.state);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0644);
	key_free(first.key);
}

/* The state directory, or one above it, may be a symbolic link.  Row B6. */
static void test_links_in_the_path(void **state)
{
	struct generation first = make_generation("leaf 1\n", "root 1\n");
	struct failure failure = {0};
	struct state *database;

	(void)state;
	free(fixture_run(NULL, "mkdir -p %s/var %s/elsewhere && ln -s %s/elsewhere %s/var/lib",
			 root, root, root, root));
	write_well(NAME, &first);
	assert_true(is_live(NAME, &first));
	assert_int_equal(do_delete(NULL), 0);
	if (state_open(&database, &paths, &failure))
		fail_msg("%s", failure.cause);
	state_free(database);
	key_free(first.key);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* A generation with a real certificate, which its key does not belong to. */
static void write_certificate(const char *name, const char *names)
{
	struct failure failure = {0};
	struct chain chain;
	struct key *key;
	char *pem;

	assert_int_equal(key_generate(&key, KEY_P256), 0);
	pem = fixture_run(NULL,
			  "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
			  "-keyout /dev/null -subj /CN=x -days 9 -addext 'subjectAltName=%s' "
			  "2>/dev/null",
			  names);
	assert_int_equal(chain_read(&chain, pem, strlen(pem)), 0);
	assert_int_equal(write_chain(name, key, &chain, &failure), 0);
	free(pem);
	key_free(key);
}

static void test_reading(void **state)
{
	struct identifier wanted[2];
	struct stored stored;
	size_t count;
	char **names;

	(void)state;
	assert_int_equal(store_read(&stored, &paths, NAME), -ENOENT);
	assert_true(nothing_is_live());
	write_certificate("second", "DNS:b.example,IP:192.0.2.1");
	write_certificate("first", "DNS:a.example");

	assert_int_equal(store_names(&names, &count, &paths), 0);
	assert_int_equal(count, 2);
	assert_string_equal(names[0], "first");
	assert_string_equal(names[1], "second");
	file_list_free(names, count);

	assert_int_equal(store_read(&stored, &paths, "first"), 0);
	assert_string_equal(stored.name, "first");
	assert_string_equal(stored.server, "https://ca.example/");
	assert_string_equal(stored.certificate.names[0].value, "a.example");
	stored_done(&stored);

	assert_int_equal(identifier_parse(&wanted[0], "192.0.2.1"), IDENTIFIER_OK);
	assert_int_equal(identifier_parse(&wanted[1], "b.example"), IDENTIFIER_OK);
	assert_int_equal(store_find(&stored, &paths, wanted, 2), 0);
	assert_string_equal(stored.name, "second");
	stored_done(&stored);
	assert_int_equal(store_find(&stored, &paths, wanted, 1), -ENOENT);
}

static void test_reading_what_is_damaged(void **state)
{
	struct identifier wanted;
	struct stored stored;

	(void)state;
	write_certificate("good", "DNS:a.example");
	free(fixture_run(NULL,
			 "cd %s && cp -a live/good live/empty && mkdir live/none && "
			 "rm live/empty/cert.pem && : >live/empty/cert.pem && touch live/README",
			 paths.state));
	assert_int_equal(store_read(&stored, &paths, "empty"), -EBADMSG);
	assert_int_equal(store_read(&stored, &paths, "none"), -ENOENT);
	assert_int_equal(store_read(&stored, &paths, "../good"), -ENOENT);
	assert_int_equal(identifier_parse(&wanted, "a.example"), IDENTIFIER_OK);
	assert_int_equal(store_find(&stored, &paths, &wanted, 1), 0);
	assert_string_equal(stored.name, "good");
	stored_done(&stored);
	/* Where it came from may be forgotten. */
	free(fixture_run(NULL, "echo garbage >%s/archive/good/1/origin.json", paths.state));
	assert_int_equal(store_read(&stored, &paths, "good"), 0);
	assert_null(stored.server);
	stored_done(&stored);
}

static void test_names_of_certificates(void **state)
{
	(void)state;
	assert_true(certificate_name_is_valid("a.example"));
	assert_true(certificate_name_is_valid("2001:db8::1"));
	assert_true(certificate_name_is_valid("::1"));
	assert_false(certificate_name_is_valid(""));
	assert_false(certificate_name_is_valid("."));
	assert_false(certificate_name_is_valid(".."));
	assert_false(certificate_name_is_valid(".new"));
	assert_false(certificate_name_is_valid("-x"));
	assert_false(certificate_name_is_valid("a/b"));
	assert_false(certificate_name_is_valid("a b"));
	assert_false(certificate_name_is_valid("a\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_first_and_next, setup, teardown),
		cmocka_unit_test_setup_teardown(test_line_feed_is_added, setup, teardown),
		cmocka_unit_test_setup_teardown(test_longest_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_access_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_uncommitted_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_writer_at_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_at_the_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_at_a_renewal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_readers_during_renewals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_while_going_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_live_is_completed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_while_deleting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bundle_follows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_retention, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restore, setup, teardown),
		cmocka_unit_test_setup_teardown(test_group_cannot_be_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links_in_the_path, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reading, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reading_what_is_damaged, setup, teardown),
		cmocka_unit_test(test_names_of_certificates),
	};

	return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
