// SPDX-License-Identifier: GPL-3.0-or-later
/* Documents that strangers wrote: readers, URLs, directories. */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "acme/protocol/directory.h"
#include "acme/util/json.h"

static void test_only_objects(void **state)
{
	static const char *const bad[] = {"",
					  " ",
					  "[]",
					  "[{}]",
					  "null",
					  "7",
					  "\"x\"",
					  "{",
					  "{}x",
					  "{'a':1}",
					  "{\"a\":}",
					  "{\"a\":\"\xff\"}",
					  "{\"a\":\"\\u0000\"}"};
	json_t *object;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_null(json_read(bad[i], strlen(bad[i])));
	object = json_read("{\"a\": 1} trailing", 8);
	assert_non_null(object);
	json_decref(object);
}

#define TEXT(text) text, sizeof(text) - 1

/* The reason of an error is kept, however it is written. */
static void test_damaged(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		const char *detail;
	} given[] = {
		{TEXT("{\"detail\":\"Sch\xf6n\"}"), "Sch\xc3\xb6n"},
		{TEXT("{\"detail\":\"Sch\xc3\xb6n\"}"), "Sch\xc3\xb6n"},
		{TEXT("{\"detail\":\"a\0b\"}"), "a b"},
		{TEXT("{\"detail\":\"a\\u0000b\"}"), "a      b"},
		{TEXT("{\"detail\":\"\xc3\"}"), "\xc3\x83"},
	};
	json_t *object;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(given) / sizeof(*given); i++) {
		object = json_read_damaged(given[i].text, given[i].size);
		assert_non_null(object);
		assert_string_equal(json_read_string(object, "detail"), given[i].detail);
		json_decref(object);
	}
	assert_null(json_read_damaged("<html>", 6));
}

/* Deeper than any stack would bear, if it were read by recursion without a bound. */
static void test_depth(void **state)
{
	size_t depth = 100000, i;
	char *text = malloc(depth * 5);

	(void)state;
	for (i = 0; i < depth; i++)
		memcpy(text + i * 5, "{\"a\":", 5);
	assert_null(json_read(text, depth * 5));
	free(text);
}

static void test_members(void **state)
{
	json_t *object = json_pack("{s:s, s:i, s:b, s:b, s:n, s:s}", "text", "x", "number", 7,
				   "yes", 1, "no", 0, "null", "url", "https://a.example/");

	(void)state;
	assert_string_equal(json_read_string(object, "text"), "x");
	assert_null(json_read_string(object, "number"));
	assert_null(json_read_string(object, "null"));
	assert_null(json_read_string(object, "missing"));
	assert_null(json_read_string(NULL, "text"));
	assert_true(json_read_true(object, "yes"));
	assert_false(json_read_true(object, "no"));
	assert_false(json_read_true(object, "number"));
	assert_false(json_read_true(NULL, "yes"));
	assert_string_equal(json_read_url(object, "url"), "https://a.example/");
	assert_null(json_read_url(object, "text"));
	assert_null(json_read_url(object, "missing"));
	json_decref(object);
}

static void test_urls(void **state)
{
	static const char *const good[] = {
		"https://a.example",
		"https://a.example/",
		"https://a.example:14000/dir?x=1&y=%20",
		"https://192.0.2.1/x@y",
		"https://[2001:db8::1]:443/directory",
	};
	static const char *const bad[] = {
		"",
		"a.example",
		"http://a.example/",
		"HTTPS//a.example",
		"file:///etc/passwd",
		"https://",
		"https:///path",
		"https://?x",
		"https://user@a.example/",
		"https://a.example/#fragment",
		"https://a.example/ x",
		"https://a.example/\n",
		"https://a.example/\x1b[31m",
		"https://a.example/\x7f",
		"https://a.example/\xc3\xa4",
		"https://a.example/\"",
		"https://a.example/\\",
	};
	char longest[2002];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_true(url_is_usable(good[i]));
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(url_is_usable(bad[i]));
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "https://", 8);
	longest[2001] = '\0';
	assert_false(url_is_usable(longest));
	longest[2000] = '\0';
	assert_true(url_is_usable(longest));
}

/* --- directories ----------------------------------------------------------------------------- */

static json_t *directory_object(void)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:b}}", "newNonce", "https://ca.example/n",
			 "newAccount", "https://ca.example/a", "newOrder", "https://ca.example/o",
			 "x7RaNd0m", "https://docs.example/", "meta", "termsOfService",
			 "data:text/plain,Do", "externalAccountRequired", 1);
}

static void test_directory(void **state)
{
	struct directory directory;
	json_t *object = directory_object();

	(void)state;
	assert_int_equal(directory_read(&directory, object), 0);
	assert_string_equal(directory.new_nonce, "https://ca.example/n");
	assert_string_equal(directory.new_account, "https://ca.example/a");
	assert_string_equal(directory.new_order, "https://ca.example/o");
	assert_string_equal(directory.terms_of_service, "data:text/plain,Do");
	assert_true(directory.external_account_required);
	directory_done(&directory);

	/* Without "meta", which is optional. */
	json_object_del(object, "meta");
	assert_int_equal(directory_read(&directory, object), 0);
	assert_null(directory.terms_of_service);
	assert_false(directory.external_account_required);
	directory_done(&directory);
	json_decref(object);
}

static void test_no_directory(void **state)
{
	static const char *const needed[] = {"newNonce", "newAccount", "newOrder"};
	struct directory directory = {0};
	json_t *object;
	size_t i;

	(void)state;
	assert_int_equal(directory_read(&directory, NULL), -EBADMSG);
	for (i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		object = directory_object();
		json_object_del(object, needed[i]);
		assert_int_equal(directory_read(&directory, object), -EBADMSG);
		json_object_set_new(object, needed[i], json_integer(1));
		assert_int_equal(directory_read(&directory, object), -EBADMSG);
		json_object_set_new(object, needed[i], json_string("http://ca.example/"));
		assert_int_equal(directory_read(&directory, object), -EBADMSG);
		assert_null(directory.new_nonce);
		json_decref(object);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_objects), cmocka_unit_test(test_depth),
		cmocka_unit_test(test_damaged),      cmocka_unit_test(test_members),
		cmocka_unit_test(test_urls),         cmocka_unit_test(test_directory),
		cmocka_unit_test(test_no_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
