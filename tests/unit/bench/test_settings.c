// SPDX-License-Identifier: GPL-3.0-or-later
/* The command line of sidestep-bench, with the routes and names that it makes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "common/validator/outcome.h"
#include "common/validator/route.h"
#include "bench/validators/settings.h"
#include "common/validator/subject.h"

#define WORDS_MAX 16
#define NS_PER_S  1000000000
#define DIGEST    "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"

static struct settings settings;

/* Words apart by single blanks. */
static enum settings_result parse(const char *line)
{
	char copy[512], *words[WORDS_MAX + 1] = {"sidestep-bench"}, *rest;
	int count = 1;

	assert_true(strlen(line) < sizeof(copy));
	strcpy(copy, line);
	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		assert_true(count < WORDS_MAX);
		words[count++] = word;
	}
	return settings_parse(&settings, count, words);
}

static void assert_run(const char *line)
{
	if (parse(line) != SETTINGS_RUN)
		fail_msg("refused: %s", line);
}

static void test_defaults(void **state)
{
	(void)state;
	assert_run("--name example.org 192.0.2.1");
	assert_int_equal(settings.route_count, 1);
	assert_string_equal(endpoint_text(&settings.routes[0].destination).text, "192.0.2.1:443");
	assert_int_equal(settings.routes[0].source.size, 0);
	assert_true(settings.rate == 0);
	assert_int_equal(settings.concurrency, 1);
	assert_int_equal(settings.count, 1);
	assert_int_equal(settings.duration_ns, UINT64_MAX);
	assert_int_equal(settings.timeout_ns, 10ull * NS_PER_S);
	assert_true(settings.max_rate == 1000);
	assert_int_equal(settings.threads, 1);
	assert_int_equal(settings.shape_count, 1);
	assert_int_equal(settings.shapes[0], HELLO_GO);
	assert_int_equal(settings.tls, HELLO_TLS_ANY);
	settings_done(&settings);
}

static void test_everything(void **state)
{
	(void)state;
	assert_run("--name example.org --rate 50.5 --arrivals poisson --ramp-up 2 --duration 2.5 "
		   "[2001:db8::1]:8443");
	assert_true(settings.rate == 50.5 && settings.ramp_s == 2 && settings.poisson);
	assert_int_equal(settings.duration_ns, 2500000000);
	assert_int_equal(settings.count, UINT64_MAX);
	assert_string_equal(endpoint_text(&settings.routes[0].destination).text,
			    "[2001:db8::1]:8443");
	settings_done(&settings);
	assert_run("--name example.org --hello split --hello small --hello split --tls 1.2 "
		   "--close reset --count 7 ::1");
	assert_int_equal(settings.shape_count, 2);
	assert_int_equal(settings.shapes[0], HELLO_SPLIT);
	assert_int_equal(settings.shapes[1], HELLO_SMALL);
	assert_int_equal(settings.tls, HELLO_TLS_12);
	assert_int_equal(settings.close, SETTINGS_CLOSE_RESET);
	assert_int_equal(settings.count, 7);
	settings_done(&settings);
}

static void test_wrong_usage(void **state)
{
	static const char *const lines[] = {
		"",
		"--name example.org",
		"192.0.2.1",
		"--name example.org localhost",
		"--name example.org 192.0.2.1:0",
		"--name example.org 192.0.2.1:65536",
		"--name example.org [::1",
		"--name example.org [::1]443",
		"--name *.example.org 192.0.2.1",
		"--name example.org --rate 1001 192.0.2.1",
		"--name example.org --rate 0 192.0.2.1",
		"--name example.org --rate -1 192.0.2.1",
		"--name example.org --rate 1e3x 192.0.2.1",
		"--name example.org --rate nan 192.0.2.1",
		"--name example.org --rate 10 --concurrency 2 192.0.2.1",
		"--name example.org --arrivals poisson 192.0.2.1",
		"--name example.org --rate 1 --arrivals often 192.0.2.1",
		"--name example.org --concurrency 1.5 192.0.2.1",
		"--name example.org --concurrency 20000 192.0.2.1",
		"--name example.org --threads 2 192.0.2.1",
		"--name example.org --hello chrome 192.0.2.1",
		"--name example.org --tls 1.1 192.0.2.1",
		"--name example.org --close later 192.0.2.1",
		"--name example.org --source ::1 192.0.2.1",
		"--name example.org --source 127.0.0.1:80 192.0.2.1",
		"--name example.org --source lo 192.0.2.1",
		"--name example.org --key-authorization nodot 192.0.2.1",
		"--generate 3 192.0.2.1",
		"--suffix example.org --name example.org 192.0.2.1",
		"--names /nonexistent 192.0.2.1",
		"--name example.org --unknown 192.0.2.1",
		"192.0.2.1 --name",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		if (parse(lines[i]) != SETTINGS_WRONG)
			fail_msg("taken: %s", lines[i]);
}

static void test_rate_is_raised_knowingly(void **state)
{
	(void)state;
	assert_run("--name example.org --rate 5000 --max-rate 5000 192.0.2.1");
	settings_done(&settings);
}

static void assert_route(size_t at, const char *destination, const char *source)
{
	const struct route *route = &settings.routes[at];

	assert_string_equal(endpoint_text(&route->destination).text, destination);
	if (source)
		assert_string_equal(endpoint_text(&route->source).text, source);
	else
		assert_int_equal(route->source.size, 0);
}

static void test_perspectives(void **state)
{
	(void)state;
	assert_run("--name a.example --name b.example --source 127.0.0.2 --source 127.0.0.3 "
		   "127.0.0.1 ::1");
	assert_int_equal(settings.route_count, 3);
	assert_route(0, "127.0.0.1:443", "127.0.0.2:0");
	assert_route(1, "127.0.0.1:443", "127.0.0.3:0");
	assert_route(2, "[::1]:443", NULL);
	assert_int_equal(settings.count, 6);
	settings_done(&settings);
}

static void test_generated_names(void **state)
{
	struct subject subject;

	(void)state;
	assert_run("--generate 3 --suffix Example.org --key-authorization a.b 192.0.2.1");
	assert_int_equal(subjects_count(settings.subjects), 3);
	subjects_get(settings.subjects, 2, &subject);
	assert_string_equal(subject.identifier.value, "n2.example.org");
	assert_true(subject.has_digest);
	settings_done(&settings);
}

static void write_file(char *path, const char *text)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void test_file_of_names(void **state)
{
	char path[] = "/tmp/sidestep-names-XXXXXX", line[256];
	uint8_t hashed[VERIFY_DIGEST_SIZE];
	struct verify_expected expected;
	struct subject subject;

	(void)state;
	write_file(path, "# a comment\n\n  a.example token.thumbprint\r\nb.example " DIGEST
			 "\n192.0.2.7\n2001:db8::7");
	snprintf(line, sizeof(line), "--names %s 192.0.2.1", path);
	assert_run(line);
	unlink(path);
	assert_int_equal(subjects_count(settings.subjects), 4);

	subjects_get(settings.subjects, 0, &subject);
	EVP_Digest("token.thumbprint", 16, hashed, NULL, EVP_sha256(), NULL);
	expected = subject_expected(&subject);
	assert_int_equal(expected.type, VERIFY_DNS_NAME);
	assert_memory_equal(expected.digest, hashed, sizeof(hashed));
	subjects_get(settings.subjects, 1, &subject);
	assert_int_equal(subject.digest[31], 0x1f);
	subjects_get(settings.subjects, 2, &subject);
	expected = subject_expected(&subject);
	assert_null(expected.digest);
	assert_int_equal(expected.type, VERIFY_IP_ADDRESS);
	assert_int_equal(expected.name_size, 4);
	assert_string_equal(subject.identifier.sni, "7.2.0.192.in-addr.arpa");
	subjects_get(settings.subjects, 3, &subject);
	assert_int_equal(subject_expected(&subject).name_size, 16);
	settings_done(&settings);
}

static void test_wrong_file(void **state)
{
	static const char *const texts[] = {"", "a.example token.thumbprint more\n", "a..example\n",
					    "a.example short\n"};
	char line[256];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		char path[] = "/tmp/sidestep-names-XXXXXX";

		write_file(path, texts[i]);
		snprintf(line, sizeof(line), "--names %s 192.0.2.1", path);
		assert_int_equal(parse(line), SETTINGS_WRONG);
		unlink(path);
	}
}

static void test_outcomes_have_words(void **state)
{
	(void)state;
	for (enum outcome outcome = 0; outcome < OUTCOMES; outcome++) {
		assert_true(strlen(outcome_name(outcome).text) > 1);
		assert_null(strpbrk(outcome_name(outcome).text, " ,\""));
		assert_non_null(outcome_text(outcome));
	}
	assert_string_equal(outcome_name(OUTCOME_ALERT + 120).text,
			    "alert_no_application_protocol");
	assert_string_equal(outcome_name(OUTCOME_ALERT + 112).text, "alert_unrecognized_name");
	assert_string_equal(outcome_name(OUTCOME_ALERT + 199).text, "alert_199");
	assert_string_equal(outcome_name(OUTCOME_CERTIFICATE + VERIFY_SAN_OTHER).text,
			    "certificate_san_other");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_wrong_usage),
		cmocka_unit_test(test_rate_is_raised_knowingly),
		cmocka_unit_test(test_perspectives),
		cmocka_unit_test(test_generated_names),
		cmocka_unit_test(test_file_of_names),
		cmocka_unit_test(test_wrong_file),
		cmocka_unit_test(test_outcomes_have_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
