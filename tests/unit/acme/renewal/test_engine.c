// SPDX-License-Identifier: GPL-3.0-or-later
/* Which orders the engine takes, at a CA that nobody can reach. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
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
	char ended[256]; /* the lineages whose orders ended, a blank behind each */
};

static void on_finished(void *context, const struct engine_result *result)
{
	struct engine_test *test = context;
	size_t length = strlen(test->ended);

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

/* A lineage whose order was under way when its process died, `age_s` ago. */
static int64_t leave_in_flight(struct engine_test *test, const char *name, const char *identifier,
			       int64_t age_s)
{
	const struct certificate_spec spec = {.name = name,
					      .identifiers = STRING_LIST(identifier),
					      .cas = STRING_LIST(CA),
					      .source = "config"};
	struct state_order order = {.ca = CA,
				    .server = CA,
				    .identifiers = STRING_LIST(identifier),
				    .made_at_s = time(NULL) - age_s};

	assert_int_equal(state_set_spec(test->state, &spec, &order.lineage), 0);
	assert_int_equal(state_order_begin(test->state, &order), 0);
	return order.lineage;
}

static void look(struct engine_test *test)
{
	struct failure failure = {0};

	assert_int_equal(engine_take_due(test->engine, &failure), 0);
	if (engine_count(test->engine))
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

/* The first look fails; what makes it fail is put right; the next look finds what is in flight. */
static void test_resumes_after_a_look_that_failed(void **context)
{
	struct engine_test *test = *context;
	struct failure failure = {0};
	int64_t bad;

	bad = leave_in_flight(test, "bad", "bad..name", 7200);
	leave_in_flight(test, "good", "good.example", 0);
	assert_int_equal(engine_take_due(test->engine, &failure), -1);
	assert_true(failure_is_set(&failure));
	failure_done(&failure);
	assert_int_equal(engine_count(test->engine), 0);
	assert_int_equal(state_lineage_delete(test->state, bad), 0);
	look(test);
	assert_string_equal(test->ended, "good ");
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
		cmocka_unit_test_setup_teardown(test_resumes_after_a_look_that_failed, open_test,
						close_test),
		cmocka_unit_test_setup_teardown(test_leaves_the_orders_of_others, open_test,
						close_test),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
