// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

/* Standard error as a pipe, while `emit` logs.  The text, to be freed. */
static char *capture(enum log_level level, const char *journal_stream, void (*emit)(void))
{
	char *text = calloc(1, 65536), stream[64];
	int ends[2], old_stderr = dup(STDERR_FILENO);
	struct stat status;
	ssize_t size;

	assert_non_null(text);
	assert_int_equal(pipe(ends), 0);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	close(ends[1]);
	unsetenv("JOURNAL_STREAM");
	if (journal_stream) {
		assert_int_equal(fstat(STDERR_FILENO, &status), 0);
		snprintf(stream, sizeof(stream), journal_stream, (unsigned long)status.st_dev,
			 (unsigned long)status.st_ino);
		setenv("JOURNAL_STREAM", stream, 1);
	}
	log_init("prog", level);
	emit();
	dup2(old_stderr, STDERR_FILENO);
	close(old_stderr);
	size = read(ends[0], text, 65535);
	assert_true(size >= 0);
	close(ends[0]);
	return text;
}

static void assert_logged(enum log_level level, const char *journal_stream, void (*emit)(void),
			  const char *expected)
{
	char *text = capture(level, journal_stream, emit);

	assert_string_equal(text, expected);
	free(text);
}

static void emit_levels(void)
{
	log_error("e %d", 1);
	log_warning("w");
	log_notice("n");
	log_info("i");
	log_debug("d");
}

static void test_levels(void **state)
{
	(void)state;
	assert_logged(LOG_LEVEL_DEBUG, NULL, emit_levels,
		      "prog: e 1\nprog: w\nprog: n\nprog: i\nprog: d\n");
	assert_logged(LOG_LEVEL_WARNING, NULL, emit_levels, "prog: e 1\nprog: w\n");
}

static void test_journal(void **state)
{
	(void)state;
	assert_logged(LOG_LEVEL_DEBUG, "%lu:%lu", emit_levels,
		      "<3>prog: e 1\n<4>prog: w\n<5>prog: n\n<6>prog: i\n<7>prog: d\n");
	/* The variable is inherited, but standard error leads elsewhere. */
	assert_logged(LOG_LEVEL_ERROR, "%lu:1%lu", emit_levels, "prog: e 1\n");
	assert_logged(LOG_LEVEL_ERROR, "nonsense", emit_levels, "prog: e 1\n");
}

static void emit_hostile(void)
{
	log_error("%s", "a\nprog: forged\r\t\x1b[2J\x7f\\x");
	log_error("%s", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"); /* 2, 3 and 4 bytes */
	log_error("%s", "\xff \xc3 \xc0\xaf \xe0\x80\x80 \xed\xa0\x80 \xf4\x90\x80\x80");
	log_error("%s", "\xc2\x9b \xe2\x80\xae \xe2\x80\xa8 \xe2\x82");
}

static void test_escapes(void **state)
{
	(void)state;
	assert_logged(LOG_LEVEL_ERROR, NULL, emit_hostile,
		      "prog: a\\x0aprog: forged\\x0d\\x09\\x1b[2J\\x7f\\x5cx\n"
		      "prog: \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\n"
		      "prog: \\xff \\xc3 \\xc0\\xaf \\xe0\\x80\\x80 \\xed\\xa0\\x80 "
		      "\\xf4\\x90\\x80\\x80\n"
		      "prog: \\xc2\\x9b \\xe2\\x80\\xae \\xe2\\x80\\xa8 \\xe2\\x82\n");
}

static void emit_long(void)
{
	char words[5000];

	memset(words, '\n', sizeof(words));
	words[sizeof(words) - 1] = '\0';
	log_error("%s", words);
}

static void test_long(void **state)
{
	char *text = capture(LOG_LEVEL_ERROR, "%lu:%lu", emit_long);
	size_t length = strlen(text);

	(void)state;
	assert_true(length > 3900 && length <= PIPE_BUF);
	assert_string_equal(text + length - 8, "\\x0a...\n");
	assert_ptr_equal(strchr(text, '\n'), text + length - 1);
	free(text);
}

static void emit_with_errno(void)
{
	errno = ENOSPC;
	log_error("%m");
	assert_int_equal(errno, ENOSPC);
}

static void test_errno_is_kept(void **state)
{
	(void)state;
	assert_logged(LOG_LEVEL_ERROR, NULL, emit_with_errno, "prog: No space left on device\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),        cmocka_unit_test(test_journal),
		cmocka_unit_test(test_escapes),       cmocka_unit_test(test_long),
		cmocka_unit_test(test_errno_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
