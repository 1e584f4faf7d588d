// SPDX-License-Identifier: GPL-3.0-or-later
/* Command lines by a table: what is taken, what is refused, and how it is explained. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/option_table.h"

#define WORDS_MAX 32

enum color { RED, GREEN, BLUE };

struct target {
	bool flag, other;
	const char *text;
	struct option_texts texts;
	uint16_t small;
	uint32_t number;
	uint64_t large;
	double decimal;
	enum color color;
	char own[16];
};

static void take_own(void *target, const char *value, struct option_error *err)
{
	if (strcmp(value, "wrong") == 0)
		option_wrong(err, "--own takes something else");
	else
		snprintf(((struct target *)target)->own, 16, "<%s>", value);
}

static const char *const colors[] = {[RED] = "red", [GREEN] = "green", [BLUE] = "blue", NULL};

#define FIELD(member) OPTION_FIELD(struct target, member)

static const struct option_row rows[] = {
	{.name = "flag",
	 .letter = 'f',
	 .kind = OPTION_FLAG,
	 FIELD(flag),
	 .verbs = 1,
	 .help = "Do."},
	{.name = "text",
	 .letter = 't',
	 .kind = OPTION_TEXT,
	 FIELD(text),
	 .value = "TEXT",
	 .verbs = 3,
	 .help = "One two three four five six seven eight nine ten eleven twelve thirteen."},
	{.name = "texts",
	 .kind = OPTION_TEXTS,
	 FIELD(texts),
	 .value = "T",
	 .verbs = 2,
	 .may_be_empty = true,
	 .help = ".Not a macro - a \\ and text. Next."},
	{.name = "small", .kind = OPTION_NUMBER, FIELD(small), .max = 65535, .value = "N"},
	{.name = "number", .kind = OPTION_NUMBER, FIELD(number), .max = 1000, .value = "N"},
	{.name = "large", .kind = OPTION_NUMBER, FIELD(large), .max = 1e15, .value = "N"},
	{.name = "decimal", .kind = OPTION_DECIMAL, FIELD(decimal), .max = 10, .value = "X"},
	{.name = "color", .kind = OPTION_CHOICE, FIELD(color), .choices = colors, .value = "C"},
	{.name = "own", .kind = OPTION_OWN, .take = take_own, .value = "O"},
	{.name = "other", .kind = OPTION_FLAG, FIELD(other)},
};

#define ROWS (sizeof(rows) / sizeof(*rows))

static const struct option_table table = {rows, ROWS};

static char copy[512], *words[WORDS_MAX];
static const char *texts[WORDS_MAX];
static bool given[ROWS];

/* Words apart by single blanks; "''" is an empty one.  What is no option is put behind the options. */
static int parse(struct target *target, struct option_error *err, const char *line)
{
	char *rest;
	int count = 1;

	*target = (struct target){.texts.items = texts};
	*err = (struct option_error){0};
	memset(given, 0, sizeof(given));
	strcpy(copy, line);
	words[0] = "program";
	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		words[count++] = strcmp(word, "''") == 0 ? word + 2 : word;
	words[count] = NULL;
	return option_parse(&table, count, words, target, given, err);
}

static void test_every_kind(void **state)
{
	struct option_error err;
	struct target target;
	int first;

	(void)state;
	first = parse(&target, &err,
		      "one -f --text=a --texts b --texts '' --small 65535 two --number 7 --large "
		      "1000000000000000 --decimal 2.5 --color blue");
	assert_string_equal(err.text, "");
	assert_string_equal(words[first], "one");
	assert_string_equal(words[first + 1], "two");
	assert_true(target.flag && !target.other);
	assert_string_equal(target.text, "a");
	assert_int_equal(target.texts.count, 2);
	assert_string_equal(texts[0], "b");
	assert_string_equal(texts[1], "");
	assert_int_equal(target.small, 65535);
	assert_int_equal(target.number, 7);
	assert_int_equal(target.large, 1000000000000000);
	assert_true(target.decimal == 2.5);
	assert_int_equal(target.color, BLUE);
	assert_true(given[0] && given[1] && !given[8] && !given[9]);
	parse(&target, &err, "-ftx --own y -- --other");
	assert_string_equal(err.text, "");
	assert_true(target.flag && !target.other);
	assert_string_equal(target.text, "x");
	assert_string_equal(target.own, "<y>");
}

static void test_refusals(void **state)
{
	static const struct {
		const char *line, *cause, *unknown;
	} cases[] = {
		{"--nonsense", "there is no option --nonsense", "--nonsense"},
		{"-x", "there is no option -x", "-x"},
		{"-fx", "there is no option -x", "-fx"},
		{"--tex a", "there is no option --tex", "--tex"}, /* --text, --texts */
		{"--flag=yes", "--flag takes no value", NULL},
		{"--number", "the option --number needs a value", NULL},
		{"-t", "the option -t needs a value", NULL},
		{"--text ''", "--text has an empty value", NULL},
		{"--number 0", "--number takes a whole number from 1 to 1000, not '0'", NULL},
		{"--number 1001", "from 1 to 1000, not '1001'", NULL},
		{"--number 1.5", "not '1.5'", NULL},
		{"--number 0x10", "not '0x10'", NULL},
		{"--number -1", "not '-1'", NULL},
		{"--number 1e999", "not '1e999'", NULL},
		{"--number inf", "not 'inf'", NULL},
		{"--small 65536", "from 1 to 65535", NULL},
		{"--decimal 10.5", "--decimal takes a number above 0, up to 10, not '10.5'", NULL},
		{"--decimal nan", "not 'nan'", NULL},
		{"--color pink", "--color takes red, green or blue, not 'pink'", NULL},
		{"--own wrong", "--own takes something else", NULL},
		/* The first fault is reported, and the options after it still count. */
		{"--number 0 --nonsense", "--number takes", NULL},
	};
	struct option_error err;
	struct target target;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		parse(&target, &err, cases[i].line);
		if (!strstr(err.text, cases[i].cause))
			fail_msg("%s: %s", cases[i].line, err.text);
		if (cases[i].unknown)
			assert_string_equal(err.unknown, cases[i].unknown);
		else
			assert_null(err.unknown);
	}
	parse(&target, &err, "--nonsense --other");
	assert_true(target.other);
}

static char *printed(void (*print)(const struct option_page *page, FILE *out), unsigned int verbs)
{
	const struct option_page page = {
		.command = "program verb",
		.usage = "[OPTION]...",
		.before = "First.\n\n  an example\n",
		.after = "Last. Really.\n",
		.table = &table,
		.verbs = verbs,
	};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	print(&page, out);
	fclose(out);
	return text;
}

static void test_help(void **state)
{
	char *text = printed(option_print_help, 0), *line;

	(void)state;
	assert_string_equal(
		text,
		"usage: program verb [OPTION]...\n\nFirst.\n\n  an example\n\n"
		"  -f, --flag                  Do.\n"
		"  -t, --text TEXT             One two three four five six seven eight nine ten\n"
		"                              eleven twelve thirteen.\n"
		"      --texts T               .Not a macro - a \\ and text. Next.\n"
		"\nLast. Really.\n");
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		assert_true(strlen(line) <= 80);
	free(text);
	text = printed(option_print_help, 1);
	assert_null(strstr(text, "--texts"));
	assert_non_null(strstr(text, "  -f, --flag   "));
	free(text);
}

static void test_manual_page(void **state)
{
	char *text = printed(option_print_man, 2);

	(void)state;
	assert_string_equal(
		text, ".Bd -literal\nprogram verb [OPTION]...\n.Ed\n.Pp\nFirst.\n"
		      ".Bd -literal\n  an example\n.Ed\n.Bl -tag -width Ds\n"
		      ".It Fl t , Fl -text Ar TEXT\n"
		      "One two three four five six seven eight nine ten eleven twelve thirteen.\n"
		      ".It Fl -texts Ar T\n\\&.Not a macro \\- a \\e and text.\nNext.\n.El\n"
		      ".Pp\nLast.\nReally.\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_manual_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
