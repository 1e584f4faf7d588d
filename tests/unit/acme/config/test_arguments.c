// SPDX-License-Identifier: GPL-3.0-or-later
/* The agent's command line, and the names on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "acme/config/arguments.h"
#include "acme/config/given.h"
#include "acme/util/failure.h"
#include "acme/config/identifiers.h"
#include "acme/crypto/csr.h"

#define WORDS_MAX 32

/* Parse a line of words with spaces between; getopt turns the order of the words. */
static enum arguments_result parse(struct arguments *ret_arguments, struct failure *failure,
				   const char *line)
{
	static char copy[1024];
	char *words[WORDS_MAX] = {"sidestep"}, *at = copy;
	int count = 1;

	assert_true(strlen(line) < sizeof(copy));
	strcpy(copy, line);
	while (count < WORDS_MAX - 1 && (words[count] = strtok(at, " "))) {
		count++;
		at = NULL;
	}
	*failure = (struct failure){0};
	*ret_arguments = (struct arguments){0};
	return arguments_parse(ret_arguments, count, words, failure);
}

static void test_defaults(void **state)
{
	struct arguments arguments;
	struct failure failure;

	(void)state;
	assert_int_equal(parse(&arguments, &failure, "certonly -d a.example"), ARGUMENTS_RUN);
	assert_int_equal(arguments.verb, VERB_CERTONLY);
	assert_int_equal(arguments.domains.count, 1);
	assert_string_equal(arguments.domains.items[0], "a.example");
	assert_null(arguments.server);
	assert_string_equal(arguments.paths.state, "/var/lib/sidestep");
	assert_int_equal(arguments.ttl_s, 600);
	assert_int_equal(arguments.timeout_s, 30);
	assert_false(arguments.ca.agree_tos || arguments.json || arguments.force_renewal);
	arguments_done(&arguments);
}

static void test_server_of_import(void **state)
{
	struct arguments arguments;
	struct failure failure;

	(void)state;
	assert_int_equal(parse(&arguments, &failure, "import /etc/letsencrypt"), ARGUMENTS_RUN);
	assert_int_equal(arguments.verb, VERB_IMPORT);
	assert_string_equal(arguments.name, "/etc/letsencrypt");
	assert_false(arguments.server_given);
	arguments_done(&arguments);
	assert_int_equal(parse(&arguments, &failure, "import --server https://ca.example/d /x"),
			 ARGUMENTS_RUN);
	assert_true(arguments.server_given);
	arguments_done(&arguments);
	assert_int_equal(parse(&arguments, &failure, "import --staging /x"), ARGUMENTS_RUN);
	assert_true(arguments.server_given);
	arguments_done(&arguments);
	assert_int_equal(parse(&arguments, &failure, "import"), ARGUMENTS_WRONG);
	assert_string_equal(failure.cause, "import needs a DIR");
	assert_int_equal(parse(&arguments, &failure, "import /x --agree-tos"), ARGUMENTS_WRONG);
}

static void test_everything(void **state)
{
	struct arguments arguments;
	struct failure failure;

	(void)state;
	assert_int_equal(
		parse(&arguments, &failure,
		      "--root /r -v certonly --server https://ca.example/d -da --domain=b,c "
		      "--cert-name n --deploy-hook true --force-renewal --cacert f "
		      "--agree-tos --email m@e --timeout 5 --json"),
		ARGUMENTS_RUN);
	assert_int_equal(arguments.verb, VERB_CERTONLY);
	assert_string_equal(arguments.paths.state, "/r/var/lib/sidestep");
	assert_string_equal(arguments.server, "https://ca.example/d");
	assert_int_equal(arguments.domains.count, 2);
	assert_string_equal(arguments.domains.items[1], "b,c");
	assert_string_equal(arguments.cert_name, "n");
	assert_string_equal(arguments.certificate.deploy_hook, "true");
	assert_string_equal(arguments.ca.cacert, "f");
	assert_string_equal(arguments.ca.email, "m@e");
	assert_int_equal(arguments.timeout_s, 5);
	assert_true(arguments.ca.agree_tos && arguments.json && arguments.force_renewal &&
		    arguments.verbose);
	arguments_done(&arguments);

	assert_int_equal(parse(&arguments, &failure, "publish n.example --digest 00 --ttl 86400"),
			 ARGUMENTS_RUN);
	assert_int_equal(arguments.verb, VERB_PUBLISH);
	assert_string_equal(arguments.name, "n.example");
	assert_int_equal(arguments.ttl_s, 86400);
	arguments_done(&arguments);

	assert_int_equal(parse(&arguments, &failure, "register --staging"), ARGUMENTS_RUN);
	assert_non_null(strstr(arguments.server, "staging"));
	arguments_done(&arguments);
}

static void test_wrong_usage(void **state)
{
	static const struct {
		const char *line, *cause;
	} cases[] = {
		{"", "no verb"},
		{"frobnicate", "'frobnicate'"},
		{"status --nonsense", "--nonsense"},
		{"status -x", "-x"},
		{"certonly -d", "-d needs"},
		{"certonly --server", "--server needs"},
		{"status --ttl 5", "--ttl does not go with status"},
		{"status -d a.example", "--domain does not go with status"},
		{"certonly a.example", "take the argument 'a.example'"},
		{"publish", "needs a NAME"},
		{"publish a b", "take the argument 'b'"},
		{"publish a --ttl 0", "'0'"},
		{"publish a --ttl 86401", "'86401'"},
		{"publish a --ttl -1", "'-1'"},
		{"publish a --ttl 1x", "'1x'"},
		{"publish a --ttl 99999999999999999999", "1 to 86400"},
		{"register --server https://ca.example/ --staging", "exclude"},
		{"status -q -v", "exclude"},
	};
	struct arguments arguments;
	struct failure failure;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(parse(&arguments, &failure, cases[i].line), ARGUMENTS_WRONG);
		if (!strstr(failure.cause, cases[i].cause))
			fail_msg("%s: %s", cases[i].line, failure.cause);
		failure_done(&failure);
	}
}

/* An error is JSON too with --json, wherever it stands on the line. */
static void test_json_is_known_of_errors(void **state)
{
	struct arguments arguments;
	struct failure failure;

	(void)state;
	assert_int_equal(parse(&arguments, &failure, "frobnicate --nonsense --json"),
			 ARGUMENTS_WRONG);
	assert_true(arguments.json);
}

static void test_long_root(void **state)
{
	struct arguments arguments;
	struct failure failure;
	char line[800];

	(void)state;
	memset(line, 'r', sizeof(line));
	memcpy(line, "status --root /", 15);
	line[sizeof(line) - 1] = '\0';
	assert_int_equal(parse(&arguments, &failure, line), ARGUMENTS_WRONG);
	assert_non_null(strstr(failure.cause, "--root"));
}

/* --- names ----------------------------------------------------------------------------------- */

static void test_names(void **state)
{
	static const char *const texts[] = {
		"B.example,a.example",   "b.EXAMPLE.",           "192.0.2.1",
		"[2001:DB8::1]",         "2001:db8:0::1",        "localhost",
		"M\xc3\xbcller.example", "XN--mller-kva.example"};
	static const char *const values[] = {"b.example",   "a.example", "192.0.2.1",
					     "2001:db8::1", "localhost", "xn--mller-kva.example"};
	struct failure failure = {0};
	struct identifier *names;
	size_t count, i;

	(void)state;
	assert_int_equal(identifiers_parse(&names, &count, texts, 8, &failure), 0);
	assert_int_equal(count, 6);
	for (i = 0; i < count; i++)
		assert_string_equal(names[i].value, values[i]);
	free(names);
}

/* A hook's program is found wherever and whenever the hook runs. */
static void test_relative_hook(void **state)
{
	struct arguments arguments;
	struct failure failure;
	char expected[4096];

	(void)state;
	assert_non_null(getcwd(expected, sizeof(expected) - 16));
	strcat(expected, "/hooks/nginx");
	assert_int_equal(
		parse(&arguments, &failure, "certonly -d a.example --deploy-hook ./hooks/nginx"),
		ARGUMENTS_RUN);
	assert_string_equal(arguments.certificate.deploy_hook, expected);
	arguments_done(&arguments);
}

/* What is given for settings that there are: nothing else changes, and "no" is something. */
static void test_given(void **state)
{
	struct certificate_settings settings = {
		.key_type = "p384", .bundle = true, .deploy_hook = "old"};
	struct arguments arguments;
	struct failure failure;
	char text[256];

	(void)state;
	assert_int_equal(parse(&arguments, &failure, "reconfigure a.example"), ARGUMENTS_RUN);
	assert_false(given_any(&arguments.certificate));
	arguments_done(&arguments);
	assert_int_equal(parse(&arguments, &failure,
			       "reconfigure a.example --no-bundle --reuse-key --key-type p384 "
			       "--deploy-hook="),
			 ARGUMENTS_RUN);
	assert_true(given_any(&arguments.certificate));
	given_differences(text, sizeof(text), &arguments.certificate, &settings);
	assert_string_equal(text, "--reuse-key, --bundle, --deploy-hook");
	given_apply(&settings, &arguments.certificate);
	assert_string_equal(settings.key_type, "p384");
	assert_true(settings.reuse_key && !settings.bundle && !settings.deploy_hook);
	given_differences(text, sizeof(text), &arguments.certificate, &settings);
	assert_string_equal(text, "");
	arguments_done(&arguments);
}

static void test_bad_names(void **state)
{
	static const struct {
		const char *text, *cause;
	} cases[] = {
		{"*.example.org", "dns-01"},
		{"a.example,*.example.org", "dns-01"},
		{"", "empty"},
		{"a.example,", "empty"},
		{"m\xfcller.example", "not a valid internationalized name"},
		{"xn--zz--.example", "hyphens"},
		{"a_b.example", "'a_b.example'"},
		{"-a.example", "hyphens"},
		{"1.2.3", "'1.2.3'"},
	};
	struct identifier *names = NULL;
	struct failure failure;
	size_t count, i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		failure = (struct failure){0};
		assert_int_equal(identifiers_parse(&names, &count, &cases[i].text, 1, &failure),
				 -1);
		if (!strstr(failure.cause, cases[i].cause))
			fail_msg("%s: %s", cases[i].text, failure.cause);
		assert_null(names);
	}
	failure = (struct failure){0};
	assert_int_equal(identifiers_parse(&names, &count, NULL, 0, &failure), -1);
	assert_non_null(strstr(failure.next_step, "-d"));
}

static void test_too_many_names(void **state)
{
	struct failure failure = {0};
	struct identifier *names;
	char text[8192] = "";
	const char *texts = text;
	size_t count, used = 0, i;

	(void)state;
	for (i = 0; i < CSR_NAMES_MAX; i++)
		used += (size_t)sprintf(text + used, "%sn%zu.example", i ? "," : "", i);
	assert_int_equal(identifiers_parse(&names, &count, &texts, 1, &failure), 0);
	assert_int_equal(count, CSR_NAMES_MAX);
	free(names);
	strcpy(text + used, ",N0.example");
	assert_int_equal(identifiers_parse(&names, &count, &texts, 1, &failure), 0);
	free(names);
	strcpy(text + used, ",one.more.example");
	assert_int_equal(identifiers_parse(&names, &count, &texts, 1, &failure), -1);
	assert_non_null(strstr(failure.cause, "100"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_server_of_import),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_wrong_usage),
		cmocka_unit_test(test_json_is_known_of_errors),
		cmocka_unit_test(test_long_root),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_relative_hook),
		cmocka_unit_test(test_given),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_too_many_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
