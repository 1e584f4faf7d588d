// SPDX-License-Identifier: GPL-3.0-or-later
/* Which orders begin while a CA, an account or this host is in trouble, by a clock of the test's. */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/net/http.h"
#include "acme/protocol/problem.h"
#include "acme/renewal/consequence.h"
#include "acme/renewal/scheduler.h"
#include "acme/store/state.h"
#include "acme/util/failure.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/fixture.h"

#define CA    "https://ca.example/directory"
#define OTHER "https://other.example/directory"
#define START 1800000000
#define DAY   86400
#define COUNT 20

struct test {
	char root[sizeof("/tmp/sidestep-XXXXXX")];
	struct arguments arguments;
	struct settings *settings;
	struct state *state;
	struct scheduler *scheduler;
	struct scheduler_under_way under_way;
	bool is_asked; /* an order at CA is under way */
	int64_t ids[COUNT];
};

static bool has_lineage(void *context, int64_t lineage)
{
	(void)context, (void)lineage;
	return false;
}

static bool has_ca(void *context, const char *server)
{
	const struct test *test = context;

	return test->is_asked && strcmp(server, CA) == 0;
}

static int open_test(void **context)
{
	struct test *test = calloc(1, sizeof(*test));
	struct failure failure = {0};

	fake_clock_set(START);
	strcpy(test->root, "/tmp/sidestep-XXXXXX");
	if (!mkdtemp(test->root) || paths_init(&test->arguments.paths, test->root))
		return -1;
	free(fixture_run(NULL, "mkdir -p %s %s", test->arguments.paths.conf,
			 test->arguments.paths.state));
	test->arguments.verb = VERB_RUN;
	test->arguments.timeout_s = 10;
	test->under_way = (struct scheduler_under_way){
		.has_lineage = has_lineage, .has_ca = has_ca, .context = test};
	*context = test;
	if (settings_load(&test->settings, &test->arguments, &failure) ||
	    state_open(&test->state, &test->arguments.paths, &failure))
		return -1;
	return scheduler_new(&test->scheduler, test->state, test->settings, &test->under_way);
}

static int close_test(void **context)
{
	struct test *test = *context;

	scheduler_free(test->scheduler);
	state_free(test->state);
	settings_free(test->settings);
	free(fixture_run(NULL, "rm -rf %s", test->root));
	free(test);
	return 0;
}

/* COUNT lineages that are due, with certificates that have `left_s` of their 90 days left. */
static void want(struct test *test, bool has_other, int64_t left_s)
{
	struct certificate_spec spec = {.cas = STRING_LIST(CA, OTHER), .source = "config"};
	struct state_certificate certificate = {.server = CA,
						.not_before_s = START + left_s - 90 * DAY,
						.not_after_s = START + left_s,
						.renew_at_s = START};
	char name[32];
	int i;

	spec.cas.count = has_other ? 2 : 1;
	for (i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "n%d.example", i);
		spec.name = name;
		spec.identifiers = (struct string_list)STRING_LIST(name);
		assert_int_equal(state_set_spec(test->state, &spec, &test->ids[i]), 0);
		assert_int_equal(state_set_certificate(test->state, test->ids[i], &certificate), 0);
		assert_int_equal(state_set_renewal(test->state, test->ids[i], START, STATE_NORMAL),
				 0);
	}
}

static size_t next(struct test *test, int64_t *ret_first)
{
	struct scheduler_list list;
	bool is_limited;

	assert_int_equal(scheduler_next(test->scheduler, SCHEDULER_MAX, &list, &is_limited), 0);
	if (ret_first && list.count)
		*ret_first = list.ids[0];
	return list.count;
}

/* The order has failed: as the engine does it. */
static void fail_order(struct test *test, int64_t id, const struct failure *failure,
		       enum consequence_order order)
{
	struct consequence_result result;
	struct state_lineage lineage;

	assert_int_equal(state_lineage_read(test->state, id, &lineage), 0);
	assert_int_equal(consequence_of_failure(test->state, &lineage, failure, order, &result), 0);
	scheduler_note_failure(test->scheduler, &lineage, failure);
	state_lineage_done(&lineage);
}

static void succeed(struct test *test, int64_t id)
{
	struct state_lineage lineage;

	assert_int_equal(state_lineage_read(test->state, id, &lineage), 0);
	scheduler_note_success(test->scheduler, &lineage);
	state_lineage_done(&lineage);
}

static unsigned int failures_of(struct test *test, int64_t id)
{
	struct state_lineage lineage;
	unsigned int failures;

	assert_int_equal(state_lineage_read(test->state, id, &lineage), 0);
	failures = lineage.failures;
	state_lineage_done(&lineage);
	return failures;
}

static struct failure down(int64_t retry_after_s)
{
	struct failure failure = {0};

	problem_explain_response(
		&failure, &(struct http_response){.status = 503, .retry_after_s = retry_after_s},
		NULL, CA);
	return failure;
}

/* One order probes a CA that is down, once a minute at most; the others do not begin. */
static void test_ca_is_down(void **context)
{
	struct test *test = *context;
	const struct failure failure = down(0);
	int64_t probes[4] = {0};
	size_t i;

	want(test, false, 20 * DAY);
	assert_int_equal(next(test, NULL), COUNT);
	for (i = 0; i < COUNT; i++)
		fail_order(test, test->ids[i], &failure, CONSEQUENCE_NO_ORDER);
	assert_int_equal(next(test, NULL), 0);
	assert_true(scheduler_next_s(test->scheduler) > clock_now_s());
	for (i = 0; i < 4; i++) {
		fake_clock_pass(scheduler_next_s(test->scheduler) - clock_now_s());
		assert_int_equal(next(test, &probes[i]), 1);
		test->is_asked = true;
		assert_int_equal(next(test, NULL), 0);
		assert_int_equal(scheduler_next_s(test->scheduler), 0);
		test->is_asked = false;
		/* Each pause is a minute at least; what has probed goes behind the others. */
		fail_order(test, probes[i], &failure, CONSEQUENCE_ORDER_BEGUN);
		assert_true(scheduler_next_s(test->scheduler) >= clock_now_s() + 60);
		assert_true(scheduler_next_s(test->scheduler) <= clock_now_s() + 601);
		if (i)
			assert_int_not_equal(probes[i], probes[i - 1]);
	}
	fake_clock_pass(scheduler_next_s(test->scheduler) - clock_now_s());
	assert_int_equal(next(test, &probes[0]), 1);
	succeed(test, probes[0]);
	assert_true(next(test, NULL) >= COUNT - 1);
	for (i = 0; i < COUNT; i++)
		assert_int_equal(failures_of(test, test->ids[i]), 0);
}

/* How many lineages would be ordered at the other CA. */
static size_t count_moved(struct test *test)
{
	struct state_lineage lineage;
	size_t count = 0, i;

	for (i = 0; i < COUNT; i++) {
		assert_int_equal(state_lineage_read(test->state, test->ids[i], &lineage), 0);
		count += strcmp(lineage.ca, OTHER) == 0;
		state_lineage_done(&lineage);
	}
	return count;
}

/* Row A18.  A hold of a minute moves nobody; a CA that goes on asking to wait loses its orders. */
static void test_fails_over(void **context)
{
	struct test *test = *context;
	const struct failure failure = down(60);
	int64_t probe = 0;
	int i;

	want(test, true, 60 * DAY);
	fail_order(test, test->ids[0], &failure, CONSEQUENCE_ORDER_BEGUN);
	next(test, NULL);
	assert_int_equal(count_moved(test), 0);
	for (i = 0; i < 2; i++) {
		fake_clock_pass(DAY);
		assert_int_equal(next(test, &probe), 1);
		fail_order(test, probe, &failure, CONSEQUENCE_ORDER_BEGUN);
	}
	assert_true(next(test, NULL) >= COUNT - 2);
	assert_true(count_moved(test) >= COUNT - 2);
}

/* A long wait for what has less than a third of its life left: all go at once. */
static void test_fails_over_when_late(void **context)
{
	struct test *test = *context;
	const struct failure failure = down(30 * DAY);

	want(test, true, 10 * DAY);
	fail_order(test, test->ids[0], &failure, CONSEQUENCE_ORDER_BEGUN);
	assert_int_equal(next(test, NULL), COUNT);
	assert_int_equal(count_moved(test), COUNT);
}

/* Where there is no other CA, a Retry-After of a month is a day. */
static void test_waits_a_day_at_most(void **context)
{
	struct test *test = *context;
	const struct failure failure = down(30 * DAY);

	want(test, false, 10 * DAY);
	fail_order(test, test->ids[0], &failure, CONSEQUENCE_ORDER_BEGUN);
	assert_int_equal(next(test, NULL), 0);
	assert_true(scheduler_next_s(test->scheduler) <= clock_now_s() + DAY);
	fake_clock_pass(DAY + 1);
	assert_int_equal(next(test, NULL), 1);
}

/* Row A23.  What this host lacks: the third failure in a row stops everything, for a minute at first. */
static void test_host(void **context)
{
	struct test *test = *context;
	struct failure failure = {0};
	size_t i;

	want(test, true, 10 * DAY);
	failure_set_errno(&failure, ENOSPC, "writing");
	fail_order(test, test->ids[0], &failure, CONSEQUENCE_NO_ORDER);
	fail_order(test, test->ids[1], &failure, CONSEQUENCE_NO_ORDER);
	assert_int_equal(next(test, NULL), COUNT - 2);
	fail_order(test, test->ids[2], &failure, CONSEQUENCE_NO_ORDER);
	assert_int_equal(next(test, NULL), 0);
	assert_in_range(scheduler_next_s(test->scheduler), clock_now_s() + 59, clock_now_s() + 62);
	fake_clock_pass(62);
	assert_int_equal(next(test, NULL), COUNT - 3);
	fail_order(test, test->ids[3], &failure, CONSEQUENCE_NO_ORDER);
	assert_in_range(scheduler_next_s(test->scheduler), clock_now_s() + 119,
			clock_now_s() + 122);
	fake_clock_pass(122);
	succeed(test, test->ids[4]);
	fail_order(test, test->ids[5], &failure, CONSEQUENCE_NO_ORDER);
	assert_true(next(test, NULL) > 0);
	/* It counted for nobody, and changed no CA. */
	for (i = 0; i < COUNT; i++)
		assert_int_equal(failures_of(test, test->ids[i]), 0);
	assert_int_equal(count_moved(test), 0);
}

/* A database that cannot be written stops everything at once. */
static void test_state(void **context)
{
	struct test *test = *context;
	struct failure failure = {0};

	want(test, true, 10 * DAY);
	state_explain(test->state, -EBUSY, &failure);
	fail_order(test, test->ids[0], &failure, CONSEQUENCE_NO_ORDER);
	assert_int_equal(next(test, NULL), 0);
	fake_clock_pass(62);
	assert_true(next(test, NULL) >= COUNT - 1);
}

/* The CA pauses one name: the others are ordered, and this one at the other CA. */
static void test_pause_of_one_name(void **context)
{
	struct test *test = *context;
	struct state_lineage lineage;
	struct failure failure = {0};
	json_t *problem =
		json_pack("{s:s, s:s}", "type", "urn:ietf:params:acme:error:rateLimited", "detail",
			  "Your account is temporarily prevented from requesting "
			  "certificates for n0.example. Please visit: https://x.example");

	want(test, true, 60 * DAY);
	problem_explain_response(&failure, &(struct http_response){.status = 429}, problem, CA);
	fail_order(test, test->ids[0], &failure, CONSEQUENCE_ORDER_BEGUN);
	failure_done(&failure);
	json_decref(problem);
	assert_int_equal(next(test, NULL), COUNT - 1);
	assert_int_equal(count_moved(test), 1);
	assert_int_equal(state_lineage_read(test->state, test->ids[0], &lineage), 0);
	assert_in_range(lineage.issue_at_s, clock_now_s() + 1, clock_now_s() + 120);
	state_lineage_done(&lineage);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_test, close_test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ca_is_down),
		TEST(test_fails_over),
		TEST(test_fails_over_when_late),
		TEST(test_waits_a_day_at_most),
		TEST(test_host),
		TEST(test_state),
		TEST(test_pause_of_one_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
