// SPDX-License-Identifier: GPL-3.0-or-later
/* Which orders the engine takes, at a CA that nobody can reach. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/net/loop.h"
#include "acme/net/net.h"
#include "acme/renewal/ca_pool.h"
#include "acme/renewal/engine.h"
#include "acme/store/state.h"
#include "acme/util/failure.h"
#include "tests/unit/fixture.h"

#define CA "https://127.0.0.1:1/directory"

struct engine_test {
	char root[sizeof("/tmp/sidestep-XXXXXX")];
	struct arguments arguments;
	struct settings *settings;
	struct state *state;
	struct net net;
	struct ca_pool *ca_pool;
	struct engine_options options;
	struct engine *engine;
	char ended[256]; /* the first lineages whose orders ended, a blank behind each */
	int ended_count;
};

static void on_finished(void *context, const struct engine_result *result)
{
	struct engine_test *test = context;
	size_t length = strlen(test->ended);

	test->ended_count++;
	snprintf(test->ended + length, sizeof(test->ended) - length, "%s ",
		 result->lineage->spec.name);
}

static void on_idle(void *context)
{
	struct engine_test *test = context;

	loop_stop(test->net.loop);
}

static int open_test(void **context)
{
	struct engine_test *test = calloc(1, sizeof(*test));
	struct failure failure = {0};

	strcpy(test->root, "/tmp/sidestep-XXXXXX");
	if (!mkdtemp(test->root) || paths_init(&test->arguments.paths, test->root))
		return -1;
	free(fixture_run(NULL, "mkdir -p %s %s", test->arguments.paths.conf,
			 test->arguments.paths.state));
	test->arguments.verb = VERB_RUN;
	test->arguments.timeout_s = 10;
	*context = test;
	if (settings_load(&test->settings, &test->arguments, &failure) ||
	    state_open(&test->state, &test->arguments.paths, &failure) ||
	    net_open(&test->net, 10, &failure) ||
	    ca_pool_new(&test->ca_pool, test->settings, &test->net))
		return -1;
	test->options = (struct engine_options){
		.settings = test->settings,
		.loop = test->net.loop,
		.ca_pool = test->ca_pool,
		.state = test->state,
		.finished = on_finished,
		.idle = on_idle,
		.context = test,
	};
	return engine_new(&test->engine, &test->options);
}

static int close_test(void **context)
{
	struct engine_test *test = *context;

	engine_free(test->engine);
	ca_pool_free(test->ca_pool);
	net_close(&test->net);
	state_free(test->state);
	settings_free(test->settings);
	free(fixture_run(NULL, "rm -rf %s", test->root));
	free(test);
	return 0;
}

static int64_t want(struct engine_test *test, const char *name, const char *identifier)
{
	const struct certificate_spec spec = {.name = name,
					      .identifiers = STRING_LIST(identifier),
					      .cas = STRING_LIST(CA),
					      .source = "config"};
	int64_t id;

	assert_int_equal(state_set_spec(test->state, &spec, &id), 0);
	return id;
}

/* A lineage whose order was under way when its process died, `age_s` ago. */
static int64_t leave_in_flight(struct engine_test *test, const char *name, const char *identifier,
			       int64_t age_s)
{
	struct state_order order = {.ca = CA,
				    .server = CA,
				    .identifiers = STRING_LIST(identifier),
				    .made_at_s = time(NULL) - age_s};

	order.lineage = want(test, name, identifier);
	assert_int_equal(state_order_begin(test->state, &order), 0);
	return order.lineage;
}

static void look(struct engine_test *test)
{
	struct failure failure = {0};

	assert_int_equal(engine_take_due(test->engine, &failure), 0);
	if (!engine_is_idle(test->engine))
		assert_int_equal(loop_run(test->net.loop), 0);
}

static void test_resumes_what_is_in_flight(void **context)
{
	struct engine_test *test = *context;

	leave_in_flight(test, "a", "a.example", 0);
	leave_in_flight(test, "b", "b.example", 3600);
	look(test);
	assert_string_equal(test->ended, "b a ");
}

/* One that cannot be prepared is its own failure: the others are taken.  Row A1. */
static void test_one_bad_lineage(void **context)
{
	struct engine_test *test = *context;
	struct state_lineage lineage;
	int64_t bad;

	bad = leave_in_flight(test, "bad", "bad..name", 7200);
	leave_in_flight(test, "good", "good.example", 0);
	look(test);
	assert_string_equal(test->ended, "bad good ");
	assert_int_equal(state_lineage_read(test->state, bad, &lineage), 0);
	assert_int_equal(lineage.status, STATE_RETRYING);
	assert_int_equal(lineage.failures, 1);
	assert_non_null(strstr(lineage.status_reason, "bad..name"));
	state_lineage_done(&lineage);
}

/* More than fit end at once: the engine is not idle before it has looked at the others.  Row A19. */
static void test_looks_at_all(void **context)
{
	struct engine_test *test = *context;
	struct failure failure = {0};
	char name[32];
	int i;

	for (i = 0; i < ENGINE_ORDERS_MAX + 5; i++) {
		snprintf(name, sizeof(name), "bad..%d", i);
		want(test, name + 3, name);
	}
	want(test, "good", "good.example");
	assert_int_equal(engine_take_due(test->engine, &failure), 0);
	assert_int_equal(engine_count(test->engine), 0);
	assert_false(engine_is_idle(test->engine));
	assert_int_equal(loop_run(test->net.loop), 0);
	assert_int_equal(test->ended_count, ENGINE_ORDERS_MAX + 6);
	assert_true(engine_is_idle(test->engine));
}

/* SQL in the state's database, as another process. */
static void execute(struct engine_test *test, const char *sql)
{
	char path[PATHS_MAX + 16];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/state.db", test->arguments.paths.state);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* The end of an order cannot be written, and later it can.  Row A5. */
static void test_writes_again(void **context)
{
	struct engine_test *test = *context;
	struct failure failure = {0};
	struct state_lineage lineage;
	int64_t id;

	test->options.is_once = true;
	id = leave_in_flight(test, "a", "bad..name", 0);
	execute(test, "CREATE TRIGGER full BEFORE UPDATE ON lineage BEGIN "
		      "SELECT RAISE(FAIL, 'full'); END");
	assert_int_equal(engine_take_due(test->engine, &failure), 0);
	assert_string_equal(test->ended, "");
	assert_int_equal(engine_count(test->engine), 1);
	/* Nothing new begins meanwhile. */
	execute(test, "DROP TRIGGER full");
	want(test, "b", "b..name");
	assert_int_equal(engine_take_due(test->engine, &failure), 0);
	assert_int_equal(engine_count(test->engine), 1);
	assert_int_equal(loop_run(test->net.loop), 0);
	assert_string_equal(test->ended, "a b ");
	assert_int_equal(state_lineage_read(test->state, id, &lineage), 0);
	assert_int_equal(lineage.status, STATE_RETRYING);
	state_lineage_done(&lineage);
}

/* A look that fails is not repeated each second: the engine rests.  Row A5. */
static void test_rests(void **context)
{
	struct state_certificate certificate = {.not_before_s = 1, .not_after_s = 2};
	struct engine_test *test = *context;
	struct failure failure = {0};

	assert_int_equal(
		state_set_certificate(test->state, want(test, "a", "a.example"), &certificate), 0);
	execute(test, "CREATE TRIGGER full BEFORE UPDATE ON lineage BEGIN "
		      "SELECT RAISE(FAIL, 'full'); END");
	assert_int_equal(engine_take_due(test->engine, &failure), -1);
	assert_true(failure_is_set(&failure));
	failure_done(&failure);
	assert_int_equal(engine_next_order_s(test->engine), 0);
	assert_int_equal(engine_take_due(test->engine, &failure), 0);
	assert_false(failure_is_set(&failure));
}

/* What is deleted while its order is under way ends; the others go on.  Row A17. */
static void test_deleted_meanwhile(void **context)
{
	struct engine_test *test = *context;
	struct failure failure = {0};
	int64_t id;

	id = leave_in_flight(test, "a", "a.example", 0);
	leave_in_flight(test, "b", "b.example", 0);
	assert_int_equal(engine_take_due(test->engine, &failure), 0);
	assert_int_equal(engine_count(test->engine), 2);
	assert_int_equal(state_lineage_delete(test->state, id), 0);
	assert_int_equal(loop_run(test->net.loop), 0);
	assert_string_equal(test->ended, "a b ");
	assert_true(engine_is_idle(test->engine));
}

/* An order that was begun by a clock that was ahead is resumed all the same.  Row A7. */
static void test_resumes_from_the_future(void **context)
{
	struct engine_test *test = *context;

	leave_in_flight(test, "a", "a.example", -3000 * 86400);
	look(test);
	assert_string_equal(test->ended, "a ");
}

/* A process that lives beside this one has its orders in flight, too, until they are old. */
static void test_leaves_the_orders_of_others(void **context)
{
	struct engine_test *test = *context;

	look(test);
	leave_in_flight(test, "young", "young.example", 0);
	look(test);
	assert_string_equal(test->ended, "");
	leave_in_flight(test, "old", "old.example", 3600);
	look(test);
	assert_string_equal(test->ended, "old ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_resumes_what_is_in_flight, open_test,
						close_test),
		cmocka_unit_test_setup_teardown(test_one_bad_lineage, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_looks_at_all, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_writes_again, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_rests, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_deleted_meanwhile, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_resumes_from_the_future, open_test,
						close_test),
		cmocka_unit_test_setup_teardown(test_leaves_the_orders_of_others, open_test,
						close_test),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
