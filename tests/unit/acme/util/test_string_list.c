// SPDX-License-Identifier: GPL-3.0-or-later
/* Lists of texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "acme/util/string_list.h"

static void assert_joined(const struct string_list *list, const char *text)
{
	char *joined = string_list_join(list, ' ');

	assert_string_equal(joined, text);
	free(joined);
}

static void test_split_and_join(void **state)
{
	struct string_list list = {0};

	(void)state;
	assert_joined(&list, "");
	assert_int_equal(string_list_split(&list, " \t", " \t"), 0);
	assert_null(list.items);
	assert_int_equal(string_list_split(&list, "  a b\t\tc ", " \t"), 0);
	assert_int_equal(string_list_split(&list, "d,e,", ","), 0);
	assert_int_equal(string_list_add(&list, "with blanks in it"), 0);
	assert_int_equal(list.count, 6);
	assert_joined(&list, "a b c d e with blanks in it");
	string_list_done(&list);
	assert_int_equal(list.count, 0);
	assert_null(list.items);
}

static void test_find_and_compare(void **state)
{
	const struct string_list words =
		STRING_LIST("https://a.example/acme-b", "https://a.example/acme");
	struct string_list copy = {0};

	(void)state;
	assert_int_equal(words.count, 2);
	/* As a whole, not as a part of another. */
	assert_int_equal(string_list_find(&words, "https://a.example/acme"), 1);
	assert_int_equal(string_list_find(&words, "https://a.example/"), 2);
	assert_false(string_list_equal(&words, &copy));
	assert_int_equal(string_list_append(&copy, &words), 0);
	assert_true(string_list_equal(&words, &copy));
	copy.items[1][0] = 'H';
	assert_false(string_list_equal(&words, &copy));
	string_list_done(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_and_join),
		cmocka_unit_test(test_find_and_compare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
