/* SPDX-License-Identifier: GPL-3.0-or-later */
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
#include "acme/util/token_bucket.h"
#include "acme/config/config.h"
#include "acme/renewal/scheduler.h"
#include "acme/util/failure.h"
#include "acme/store/state.h"
#include "tests/unit/fixture.h"

#define CA   "https://ca.example/directory"
#define NOW  INT64_C(1800000000)
#define US_S INT64_C(1000000)

/* --- buckets ------------------------------------------------------------------------------------ */

static void test_parse(void **state)
{
	static const char *const wrong[] = {"",      "300",   "/3h",    "300/",   "300/3",
					    "0/3h",  "-1/3h", "300/0h", "3h/300", "1/1y",
					    "1/1hh", "none!", "1 /3h"};
	struct budget budget;
	size_t i;

	(void)state;
	assert_true(budget_parse(&budget, "300/3h"));
	assert_int_equal(budget.count, 300);
	assert_int_equal(budget.window_s, 3 * 3600);
	assert_true(budget_parse(&budget, "5/w"));
	assert_int_equal(budget.window_s, 7 * 86400);
	assert_true(budget_parse(&budget, "none"));
	assert_int_equal(budget.count, 0);
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		if (budget_parse(&budget, wrong[i]))
			fail_msg("'%s' is taken", wrong[i]);
}

static void test_bucket(void **state)
{
	const struct budget budget = {.count = 3, .window_s = 300}, none = {0};
	int64_t full_at = 0, now = 1000 * US_S;

	(void)state;
	assert_int_equal(budget_left(&none, 0, now), UINT32_MAX);
	assert_int_equal(budget_left(&budget, full_at, now), 3);
	full_at = budget_take(&budget, full_at, now);
	full_at = budget_take(&budget, full_at, now);
	assert_int_equal(budget_left(&budget, full_at, now), 1);
	full_at = budget_take(&budget, full_at, now);
	assert_int_equal(budget_left(&budget, full_at, now), 0);
	/* One comes back after a third of the window, and all at its end. */
	assert_int_equal(budget_next_us(&budget, full_at), now + 100 * US_S);
	assert_int_equal(budget_left(&budget, full_at, now + 100 * US_S - 1), 0);
	assert_int_equal(budget_left(&budget, full_at, now + 100 * US_S), 1);
	assert_int_equal(budget_left(&budget, full_at, now + 300 * US_S), 3);
	assert_int_equal(budget_left(&budget, full_at, now + 9000 * US_S), 3);
}

/* --- allowances ----------------------------------------------------------------------------------- */

struct desk {
	char root[32];
	struct arguments arguments;
	struct state *state;
	struct allowance *allowance;
};

static int open_desk(void **context)
{
	struct desk *desk = calloc(1, sizeof(*desk));
	struct failure failure = {0};
	char path[PATHS_MAX + 32];
	static const char text[] = "[ca one]\nserver = " CA "\norders-limit = 3/3h\n"
				   "domain-limit = 2/7d\nset-limit = 1/1d\n";

	strcpy(desk->root, "/tmp/sidestep-XXXXXX");
	if (!mkdtemp(desk->root) || paths_init(&desk->arguments.paths, desk->root))
		return -1;
	free(fixture_run(NULL, "mkdir -p %s %s", desk->arguments.paths.conf,
			 desk->arguments.paths.state));
	snprintf(path, sizeof(path), "%s/sidestep.conf", desk->arguments.paths.conf);
	fixture_write_file(path, text, sizeof(text) - 1);
	*context = desk;
	return config_read(&desk->arguments.config, &desk->arguments.paths, &failure) ||
	       state_open(&desk->state, &desk->arguments.paths, &failure) ||
	       allowance_new(&desk->allowance, desk->state, &desk->arguments);
}

static int close_desk(void **context)
{
	struct desk *desk = *context;

	allowance_free(desk->allowance);
	state_free(desk->state);
	config_free(desk->arguments.config);
	free(fixture_run(NULL, "rm -rf %s", desk->root));
	free(desk);
	return 0;
}

/* When the order may be made, and what stands in its way. */
static int64_t when(struct desk *desk, const char *identifiers, int64_t now_s, const char *cause)
{
	struct string_list names = {0};
	const struct allowance_order order = {
		.server = CA, .account = "default", .identifiers = &names};
	struct failure failure = {0};
	int64_t at_s = -1;

	assert_int_equal(string_list_split(&names, identifiers, " "), 0);
	assert_int_equal(allowance_when(desk->allowance, &order, now_s, &at_s, &failure), 0);
	string_list_done(&names);
	assert_int_equal(failure_is_set(&failure), at_s != 0);
	if (cause)
		assert_non_null(strstr(failure.cause, cause));
	failure_done(&failure);
	return at_s;
}

static void take(struct desk *desk, const char *identifiers, int64_t now_s)
{
	struct string_list names = {0};
	const struct allowance_order order = {
		.server = CA, .account = "default", .identifiers = &names};

	assert_int_equal(string_list_split(&names, identifiers, " "), 0);
	assert_int_equal(allowance_take(desk->allowance, &order, now_s), 0);
	string_list_done(&names);
}

static void test_scopes(void **context)
{
	struct desk *desk = *context;

	assert_int_equal(when(desk, "a.example.org b.example.org", NOW, NULL), 0);
	take(desk, "a.example.org b.example.org", NOW);
	/* The set is the set, in whatever order; one registered domain is counted once. */
	assert_int_equal(when(desk, "b.example.org a.example.org", NOW, "the very same names"),
			 NOW + 86400 + 1);
	assert_int_equal(when(desk, "a.example.org", NOW, NULL), 0);
	take(desk, "a.example.org", NOW);
	assert_int_not_equal(when(desk, "c.example.org", NOW, "registered domain in 168 hours"), 0);
	/* By the public suffix list another domain, and so is an address. */
	assert_int_equal(when(desk, "www.example.co.uk", NOW, NULL), 0);
	take(desk, "192.0.2.1", NOW);
	assert_int_equal(when(desk, "www.example.co.uk", NOW, "limit of 3 orders in 3 hours"),
			 NOW + 3600 + 1);
	assert_int_equal(when(desk, "www.example.co.uk", NOW + 3600 + 1, NULL), 0);
}

static void test_orders_and_pauses(void **context)
{
	struct desk *desk = *context;
	size_t count = 0, i;
	int64_t next_s = 0;
	bool is_held = true;
	char name[32];

	for (i = 0; i < 3; i++) {
		assert_int_equal(allowance_orders(desk->allowance, CA, "default", NOW, &count,
						  &is_held, &next_s),
				 0);
		assert_int_equal(count, 3 - i);
		snprintf(name, sizeof(name), "n%zu.example", i);
		take(desk, name, NOW);
	}
	assert_int_equal(
		allowance_orders(desk->allowance, CA, "default", NOW, &count, &is_held, &next_s),
		0);
	assert_int_equal(count, 0);
	assert_false(is_held);
	assert_int_equal(next_s, NOW + 3600 + 1);
	/* Another account has its own orders, and its own pauses. */
	assert_int_equal(state_hold_write(desk->state, CA, "other", NOW + 50), 0);
	assert_int_equal(
		allowance_orders(desk->allowance, CA, "other", NOW, &count, &is_held, &next_s), 0);
	assert_int_equal(count, 0);
	assert_true(is_held);
	assert_int_equal(next_s, NOW + 50);
	assert_int_equal(
		allowance_orders(desk->allowance, CA, "other", NOW + 50, &count, &is_held, &next_s),
		0);
	assert_int_equal(count, 3);
	/* A CA of which nothing is known has no limits. */
	assert_int_equal(allowance_orders(desk->allowance, "https://b.example/d", "default", NOW,
					  &count, &is_held, &next_s),
			 0);
	assert_int_equal(count, UINT32_MAX);
}

/* --- what is due, as far as it is allowed --------------------------------------------------------- */

static int64_t want(struct desk *desk, const char *name, const char *tenant)
{
	const struct state_wish wish = {.name = name,
					.identifiers = STRING_LIST(name),
					.cas = STRING_LIST(CA),
					.tenant = tenant,
					.source = "config"};
	int64_t id;

	assert_int_equal(state_wish(desk->state, &wish, &id), 0);
	return id;
}

static size_t find(struct desk *desk, struct due *due)
{
	*due = (struct due){.state = desk->state,
			    .allowance = desk->allowance,
			    .arguments = &desk->arguments,
			    .max = DUE_MAX};
	assert_int_equal(due_find(due), 0);
	return due->count;
}

static void test_due(void **context)
{
	const struct state_certificate certificate = {.server = CA,
						      .ari_id = "a.b",
						      .not_before_s = 1,
						      .not_after_s = 2,
						      .check_at_s = 1};
	struct desk *desk = *context;
	int64_t replaced, now_s = time(NULL);
	struct due due;

	want(desk, "a1.example", "a");
	assert_int_equal(find(desk, &due), 1);
	assert_false(due.is_limited);
	want(desk, "a2.example", "a");
	want(desk, "a3.example", "a");
	want(desk, "b1.example", "b");
	replaced = want(desk, "old.example", "c");
	assert_int_equal(state_set_certificate(desk->state, replaced, &certificate), 0);
	/* What replaces another comes beside the three that are allowed, of which each tenant has one. */
	assert_in_range(find(desk, &due), 3, 4);
	assert_true(due.is_limited);
	assert_int_equal(due.ids[0], replaced);
	take(desk, "x.example", now_s);
	take(desk, "y.example", now_s);
	take(desk, "z.example", now_s);
	assert_int_equal(find(desk, &due), 1);
	assert_int_equal(due.ids[0], replaced);
	assert_true(due.is_limited);
	assert_in_range(due_next_s(&due), now_s + 3500, now_s + 3700);
	/* Whoever is asked to wait makes no order at all. */
	assert_int_equal(state_hold_write(desk->state, CA, "default", now_s + 7200), 0);
	assert_int_equal(find(desk, &due), 0);
	assert_true(due.is_limited);
	assert_int_equal(due_next_s(&due), now_s + 7200);
}

/* With another CA nothing waits: it is found there the next time. */
static void test_moves_on(void **context)
{
	struct state_wish wish = {.name = "both.example",
				  .identifiers = STRING_LIST("both.example"),
				  .cas = STRING_LIST(CA, "https://b.example/d"),
				  .source = "config"};
	struct state_lineage lineage;
	struct desk *desk = *context;
	int64_t id, now_s = time(NULL);
	struct due due;

	assert_int_equal(state_wish(desk->state, &wish, &id), 0);
	take(desk, "x.example", now_s);
	take(desk, "y.example", now_s);
	take(desk, "z.example", now_s);
	want(desk, "one.example", NULL);
	find(desk, &due);
	assert_int_equal(find(desk, &due), 1);
	assert_int_equal(due.ids[0], id);
	assert_int_equal(state_lineage_read(desk->state, id, &lineage), 0);
	assert_string_equal(lineage.ca, "https://b.example/d");
	state_lineage_done(&lineage);
	/* Where neither allows any it stays. */
	assert_int_equal(
		state_hold_write(desk->state, "https://b.example/d", "default", now_s + 60), 0);
	assert_int_equal(find(desk, &due), 0);
	assert_int_equal(find(desk, &due), 0);
	assert_int_equal(state_lineage_read(desk->state, id, &lineage), 0);
	assert_string_equal(lineage.ca, "https://b.example/d");
	state_lineage_done(&lineage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_bucket),
		cmocka_unit_test_setup_teardown(test_scopes, open_desk, close_desk),
		cmocka_unit_test_setup_teardown(test_orders_and_pauses, open_desk, close_desk),
		cmocka_unit_test_setup_teardown(test_due, open_desk, close_desk),
		cmocka_unit_test_setup_teardown(test_moves_on, open_desk, close_desk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
