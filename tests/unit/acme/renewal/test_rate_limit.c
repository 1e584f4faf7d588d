// SPDX-License-Identifier: GPL-3.0-or-later
/* Token buckets, and what is allowed at a CA by its limits and pauses. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "acme/renewal/rate_limit.h"
#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/util/token_bucket.h"
#include "acme/renewal/scheduler.h"
#include "acme/util/failure.h"
#include "acme/store/state.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/fixture.h"

#define CA   "https://ca.example/directory"
#define NOW  INT64_C(1800000000)
#define US_S INT64_C(1000000)

#define DAY_S 86400

/* --- buckets ------------------------------------------------------------------------------------ */

static void test_parse(void **state)
{
	static const char *const wrong[] = {"",      "300",   "/3h",    "300/",   "300/3",
					    "0/3h",  "-1/3h", "300/0h", "3h/300", "1/1y",
					    "1/1hh", "none!", "1 /3h"};
	struct token_bucket bucket;
	size_t i;

	(void)state;
	assert_true(token_bucket_parse(&bucket, "300/3h"));
	assert_int_equal(bucket.count, 300);
	assert_int_equal(bucket.window_s, 3 * 3600);
	assert_true(token_bucket_parse(&bucket, "5/w"));
	assert_int_equal(bucket.window_s, 7 * 86400);
	assert_true(token_bucket_parse(&bucket, "none"));
	assert_int_equal(bucket.count, 0);
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		if (token_bucket_parse(&bucket, wrong[i]))
			fail_msg("'%s' is taken", wrong[i]);
}

static void test_bucket(void **state)
{
	const struct token_bucket bucket = {.count = 3, .window_s = 300}, none = {0};
	int64_t full_at = 0, now = 1000 * US_S;

	(void)state;
	assert_int_equal(token_bucket_left(&none, 0, now), UINT32_MAX);
	assert_int_equal(token_bucket_left(&bucket, full_at, now), 3);
	full_at = token_bucket_take(&bucket, full_at, now);
	full_at = token_bucket_take(&bucket, full_at, now);
	assert_int_equal(token_bucket_left(&bucket, full_at, now), 1);
	full_at = token_bucket_take(&bucket, full_at, now);
	assert_int_equal(token_bucket_left(&bucket, full_at, now), 0);
	/* One comes back after a third of the window, and all at its end. */
	assert_int_equal(token_bucket_next_us(&bucket, full_at), now + 100 * US_S);
	assert_int_equal(token_bucket_left(&bucket, full_at, now + 100 * US_S - 1), 0);
	assert_int_equal(token_bucket_left(&bucket, full_at, now + 100 * US_S), 1);
	assert_int_equal(token_bucket_left(&bucket, full_at, now + 300 * US_S), 3);
	assert_int_equal(token_bucket_left(&bucket, full_at, now + 9000 * US_S), 3);
}

/* --- rate limits ----------------------------------------------------------------------------------- */

struct limits_test {
	char root[32];
	struct arguments arguments;
	struct settings *settings;
	struct state *state;
	struct rate_limit *rate_limit;
	struct scheduler *scheduler;
};

static int open_test(void **context)
{
	struct limits_test *test = calloc(1, sizeof(*test));
	struct failure failure = {0};
	char path[PATHS_MAX + 32];
	static const char text[] = "[ca one]\nserver = " CA "\norders-limit = 3/3h\n"
				   "domain-limit = 2/7d\nset-limit = 1/1d\n";

	strcpy(test->root, "/tmp/sidestep-XXXXXX");
	if (!mkdtemp(test->root) || paths_init(&test->arguments.paths, test->root))
		return -1;
	free(fixture_run(NULL, "mkdir -p %s %s", test->arguments.paths.conf,
			 test->arguments.paths.state));
	snprintf(path, sizeof(path), "%s/sidestep.conf", test->arguments.paths.conf);
	fixture_write_file(path, text, sizeof(text) - 1);
	*context = test;
	test->arguments.verb = VERB_RUN;
	return settings_load(&test->settings, &test->arguments, &failure) ||
	       state_open(&test->state, &test->arguments.paths, &failure) ||
	       rate_limit_new(&test->rate_limit, test->state, test->settings) ||
	       scheduler_new(&test->scheduler, test->state, test->settings, NULL);
}

static int close_test(void **context)
{
	struct limits_test *test = *context;

	scheduler_free(test->scheduler);
	rate_limit_free(test->rate_limit);
	state_free(test->state);
	settings_free(test->settings);
	free(fixture_run(NULL, "rm -rf %s", test->root));
	free(test);
	return 0;
}

/* When the order may be made, and what stands in its way. */
static int64_t when(struct limits_test *test, const char *identifiers, int64_t now_s,
		    const char *cause)
{
	struct string_list names = {0};
	const struct rate_limit_order order = {
		.server = CA, .account = "default", .identifiers = &names};
	struct failure failure = {0};
	int64_t at_s = -1;

	assert_int_equal(string_list_split(&names, identifiers, " "), 0);
	assert_int_equal(rate_limit_when(test->rate_limit, &order, now_s, &at_s, &failure), 0);
	string_list_done(&names);
	assert_int_equal(failure_is_set(&failure), at_s != 0);
	if (cause)
		assert_non_null(strstr(failure.cause, cause));
	failure_done(&failure);
	return at_s;
}

static void take(struct limits_test *test, const char *identifiers, int64_t now_s)
{
	struct string_list names = {0};
	const struct rate_limit_order order = {
		.server = CA, .account = "default", .identifiers = &names};

	assert_int_equal(string_list_split(&names, identifiers, " "), 0);
	assert_int_equal(rate_limit_take(test->rate_limit, &order, now_s), 0);
	string_list_done(&names);
}

static void test_scopes(void **context)
{
	struct limits_test *test = *context;

	assert_int_equal(when(test, "a.example.org b.example.org", NOW, NULL), 0);
	take(test, "a.example.org b.example.org", NOW);
	/* The set is the set, in whatever order; one registered domain is counted once. */
	assert_int_equal(when(test, "b.example.org a.example.org", NOW, "the very same names"),
			 NOW + 86400 + 1);
	assert_int_equal(when(test, "a.example.org", NOW, NULL), 0);
	take(test, "a.example.org", NOW);
	assert_int_not_equal(when(test, "c.example.org", NOW, "registered domain in 168 hours"), 0);
	/* By the public suffix list another domain, and so is an address. */
	assert_int_equal(when(test, "www.example.co.uk", NOW, NULL), 0);
	take(test, "192.0.2.1", NOW);
	assert_int_equal(when(test, "www.example.co.uk", NOW, "limit of 3 orders in 3 hours"),
			 NOW + 3600 + 1);
	assert_int_equal(when(test, "www.example.co.uk", NOW + 3600 + 1, NULL), 0);
}

static void give_back(struct limits_test *test, const char *identifiers, bool was_made)
{
	struct string_list names = {0};
	const struct rate_limit_order order = {
		.server = CA, .account = "default", .identifiers = &names};

	assert_int_equal(string_list_split(&names, identifiers, " "), 0);
	assert_int_equal(rate_limit_give_back(test->rate_limit, &order, was_made), 0);
	string_list_done(&names);
}

/*
 * Row A25.  Limits of names count certificates, limits of accounts orders that the CA made: validations
 * that fail, and a CA that is down, cost no certificate.
 */
static void test_what_is_not_used_is_given_back(void **context)
{
	struct limits_test *test = *context;
	int i;

	for (i = 0; i < 2; i++) {
		take(test, "a.example.org", NOW);
		assert_int_not_equal(when(test, "a.example.org", NOW, "the very same names"), 0);
		give_back(test, "a.example.org", true);
		assert_int_equal(when(test, "a.example.org", NOW, NULL), 0);
	}
	for (i = 0; i < 10; i++) {
		take(test, "a.example.org", NOW);
		give_back(test, "a.example.org", false);
	}
	/* Two orders were made; the third is the last. */
	take(test, "www.example.com", NOW);
	assert_int_equal(when(test, "a.example.org", NOW, "limit of 3 orders"), NOW + 3600 + 1);
}

/* Addresses count by /64; one order for many of one network takes once. */
static void test_networks(void **context)
{
	struct limits_test *test = *context;

	take(test, "2001:db8:1:2::1 2001:db8:1:2::2 2001:db8:1:2:ffff::", NOW);
	assert_int_equal(when(test, "2001:db8:1:2::3", NOW, NULL), 0);
	take(test, "2001:db8:1:2::4", NOW);
	assert_int_not_equal(when(test, "2001:db8:1:2::3", NOW, "2001:db8:1:2::/64"), 0);
	assert_int_equal(when(test, "2001:db8:1:3::3", NOW, NULL), 0);
}

/* No limit of a domain counts a renewal of the very same names; the one of the set does. */
static void test_renewals(void **context)
{
	static char *items[] = {"c.example.org"};
	const struct string_list names = {.items = items, .count = 1};
	const struct rate_limit_order order = {
		.server = CA, .account = "default", .identifiers = &names, .is_renewal = true};
	struct limits_test *test = *context;
	struct failure failure = {0};
	int64_t at_s = -1;

	take(test, "a.example.org", NOW);
	take(test, "b.example.org", NOW);
	assert_int_not_equal(when(test, "c.example.org", NOW, "registered domain"), 0);
	assert_int_equal(rate_limit_when(test->rate_limit, &order, NOW, &at_s, &failure), 0);
	assert_int_equal(at_s, 0);
	assert_int_equal(rate_limit_take(test->rate_limit, &order, NOW), 0);
	assert_int_equal(rate_limit_when(test->rate_limit, &order, NOW, &at_s, &failure), 0);
	assert_int_equal(at_s, NOW + 86400 + 1);
	failure_done(&failure);
}

/* Five failed validations of a name in an hour, whatever the certificate. */
static void test_failed_validations(void **context)
{
	static const char server[] = "https://acme-v02.api.letsencrypt.org/directory";
	static char *items[] = {"a.example.org", "b.example.org"};
	const struct string_list names = {.items = items, .count = 2};
	const struct rate_limit_order order = {
		.server = server, .account = "default", .identifiers = &names};
	struct limits_test *test = *context;
	struct failure failure = {0};
	int64_t at_s = -1;
	int i;

	for (i = 0; i < 5; i++) {
		assert_int_equal(rate_limit_when(test->rate_limit, &order, NOW, &at_s, &failure),
				 0);
		assert_int_equal(at_s, 0);
		assert_int_equal(rate_limit_note_failed(test->rate_limit, server, "default",
							"b.example.org", NOW),
				 0);
	}
	assert_int_equal(rate_limit_when(test->rate_limit, &order, NOW, &at_s, &failure), 0);
	assert_int_equal(at_s, NOW + 720 + 1);
	assert_non_null(strstr(failure.cause, "failed validations of one name"));
	assert_non_null(strstr(failure.cause, "b.example.org"));
	failure_done(&failure);
}

static void test_orders_and_pauses(void **context)
{
	struct limits_test *test = *context;
	size_t count = 0, i;
	int64_t next_s = 0;
	bool is_held = true;
	char name[32];

	for (i = 0; i < 3; i++) {
		assert_int_equal(rate_limit_orders(test->rate_limit, CA, "default", NOW, &count,
						   &is_held, &next_s),
				 0);
		assert_int_equal(count, 3 - i);
		snprintf(name, sizeof(name), "n%zu.example", i);
		take(test, name, NOW);
	}
	assert_int_equal(
		rate_limit_orders(test->rate_limit, CA, "default", NOW, &count, &is_held, &next_s),
		0);
	assert_int_equal(count, 0);
	assert_false(is_held);
	assert_int_equal(next_s, NOW + 3600 + 1);
	/* Another account has its own orders, and its own pauses. */
	assert_int_equal(state_hold_write(test->state, CA, "other", NOW + 50), 0);
	assert_int_equal(
		rate_limit_orders(test->rate_limit, CA, "other", NOW, &count, &is_held, &next_s),
		0);
	assert_int_equal(count, 0);
	assert_true(is_held);
	assert_int_equal(next_s, NOW + 50);
	assert_int_equal(rate_limit_orders(test->rate_limit, CA, "other", NOW + 50, &count,
					   &is_held, &next_s),
			 0);
	assert_int_equal(count, 3);
	/* A CA of which nothing is known has no limits. */
	assert_int_equal(rate_limit_orders(test->rate_limit, "https://b.example/d", "default", NOW,
					   &count, &is_held, &next_s),
			 0);
	assert_int_equal(count, UINT32_MAX);
}

/* --- what is due, as far as it is allowed ------------------------------------------------------ */

static int64_t want(struct limits_test *test, const char *name, const char *tenant)
{
	const struct certificate_spec spec = {.name = name,
					      .identifiers = STRING_LIST(name),
					      .cas = STRING_LIST(CA),
					      .tenant = tenant,
					      .source = "config"};
	int64_t id;

	assert_int_equal(state_set_spec(test->state, &spec, &id), 0);
	return id;
}

static void suggest(struct limits_test *test, int64_t id, int64_t start_s, int64_t end_s)
{
	const struct state_window window = {.start_s = start_s,
					    .end_s = end_s,
					    .check_at_s = start_s + DAY_S,
					    .renew_at_s = start_s};

	assert_int_equal(state_set_window(test->state, id, "a.b", &window), 0);
}

static size_t find(struct limits_test *test, struct scheduler_list *list, bool *ret_is_limited)
{
	assert_int_equal(scheduler_next(test->scheduler, SCHEDULER_MAX, list, ret_is_limited), 0);
	return list->count;
}

static void test_due(void **context)
{
	const struct state_certificate certificate = {.server = CA,
						      .ari_id = "a.b",
						      .not_before_s = 1,
						      .not_after_s = 2,
						      .check_at_s = 1};
	struct limits_test *test = *context;
	int64_t replaced, now_s = clock_now_s();
	struct scheduler_list list;
	bool is_limited;

	want(test, "a1.example", "a");
	assert_int_equal(find(test, &list, &is_limited), 1);
	assert_false(is_limited);
	want(test, "a2.example", "a");
	want(test, "a3.example", "a");
	want(test, "b1.example", "b");
	replaced = want(test, "old.example", "c");
	assert_int_equal(state_set_certificate(test->state, replaced, &certificate), 0);
	suggest(test, replaced, now_s - 10, now_s + 1000);
	/* What replaces another comes beside the three that are allowed, of which each tenant has one. */
	assert_in_range(find(test, &list, &is_limited), 3, 4);
	assert_true(is_limited);
	assert_int_equal(list.ids[0], replaced);
	take(test, "x.example", now_s);
	take(test, "y.example", now_s);
	take(test, "z.example", now_s);
	assert_int_equal(find(test, &list, &is_limited), 1);
	assert_int_equal(list.ids[0], replaced);
	assert_true(is_limited);
	assert_in_range(scheduler_next_s(test->scheduler), now_s + 3500, now_s + 3700);
	/* Whoever is asked to wait makes no order at all. */
	assert_int_equal(state_hold_write(test->state, CA, "default", now_s + 7200), 0);
	assert_int_equal(find(test, &list, &is_limited), 0);
	assert_true(is_limited);
	assert_int_equal(scheduler_next_s(test->scheduler), now_s + 7200);
}

/* Outside of the CA's window it counts a replacement as any order: so it waits as any does. */
static void test_only_inside_the_window(void **context)
{
	static const struct {
		int64_t start_s, end_s;
		bool is_exempt;
	} windows[] = {{-100, 100, true}, {100, 200, false}, {-200, -100, false}, {0, 0, false}};
	const struct state_certificate certificate = {.server = CA,
						      .ari_id = "a.b",
						      .not_before_s = 1,
						      .not_after_s = 2,
						      .check_at_s = 1};
	struct limits_test *test = *context;
	int64_t id = want(test, "old.example", "c"), now_s = clock_now_s(), at_s;
	struct failure failure = {0};
	struct state_lineage lineage;
	size_t i;

	assert_int_equal(state_set_certificate(test->state, id, &certificate), 0);
	take(test, "old.example", now_s);
	for (i = 0; i < sizeof(windows) / sizeof(*windows); i++) {
		suggest(test, id, windows[i].start_s ? now_s + windows[i].start_s : 0,
			windows[i].end_s ? now_s + windows[i].end_s : 0);
		assert_int_equal(state_lineage_read(test->state, id, &lineage), 0);
		assert_int_equal(scheduler_wait_until(test->scheduler, &lineage, &at_s, &failure),
				 0);
		assert_int_equal(!at_s, windows[i].is_exempt);
		failure_done(&failure);
		state_lineage_done(&lineage);
	}
}

/* With another CA nothing waits: it is found there the next time. */
static void test_moves_on(void **context)
{
	struct certificate_spec spec = {.name = "both.example",
					.identifiers = STRING_LIST("both.example"),
					.cas = STRING_LIST(CA, "https://b.example/d"),
					.source = "config"};
	struct state_lineage lineage;
	struct limits_test *test = *context;
	int64_t id, now_s = clock_now_s();
	struct scheduler_list list;
	bool is_limited;

	assert_int_equal(state_set_spec(test->state, &spec, &id), 0);
	take(test, "x.example", now_s);
	take(test, "y.example", now_s);
	take(test, "z.example", now_s);
	want(test, "one.example", NULL);
	find(test, &list, &is_limited);
	assert_int_equal(find(test, &list, &is_limited), 1);
	assert_int_equal(list.ids[0], id);
	assert_int_equal(state_lineage_read(test->state, id, &lineage), 0);
	assert_string_equal(lineage.ca, "https://b.example/d");
	state_lineage_done(&lineage);
	/* Where neither allows any it stays. */
	assert_int_equal(
		state_hold_write(test->state, "https://b.example/d", "default", now_s + 60), 0);
	assert_int_equal(find(test, &list, &is_limited), 0);
	assert_int_equal(find(test, &list, &is_limited), 0);
	assert_int_equal(state_lineage_read(test->state, id, &lineage), 0);
	assert_string_equal(lineage.ca, "https://b.example/d");
	state_lineage_done(&lineage);
}

/* What a clock wrote that was years ahead holds nothing back.  Row A7. */
static void test_written_in_the_future(void **context)
{
	struct limits_test *test = *context;
	int64_t next_s;
	size_t count;
	bool is_held;
	int i;

	fake_clock_set(NOW + 3000 * INT64_C(86400));
	for (i = 0; i < 3; i++)
		take(test, "a.example.org", clock_now_s());
	assert_int_equal(state_hold_write(test->state, CA, "default", clock_now_s() + 60), 0);
	assert_int_equal(rate_limit_orders(test->rate_limit, CA, "default", clock_now_s(), &count,
					   &is_held, &next_s),
			 0);
	assert_int_equal(count, 0);
	fake_clock_set(NOW);
	assert_int_equal(
		rate_limit_orders(test->rate_limit, CA, "default", NOW, &count, &is_held, &next_s),
		0);
	assert_false(is_held);
	assert_int_equal(count, 3);
	assert_int_equal(when(test, "a.example.org", NOW, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_bucket),
		cmocka_unit_test_setup_teardown(test_scopes, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_what_is_not_used_is_given_back, open_test,
						close_test),
		cmocka_unit_test_setup_teardown(test_networks, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_renewals, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_failed_validations, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_only_inside_the_window, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_orders_and_pauses, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_due, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_written_in_the_future, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_moves_on, open_test, close_test),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
