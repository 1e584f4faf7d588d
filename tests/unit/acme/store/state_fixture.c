// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "tests/unit/acme/store/state_fixture.h"

int state_test_setup(void **context)
{
	struct state_test *test = calloc(1, sizeof(*test));

	strcpy(test->root, "/tmp/sidestep-XXXXXX");
	if (!mkdtemp(test->root) || paths_init(&test->paths, test->root))
		return -1;
	state_test_open(test);
	*context = test;
	return 0;
}

int state_test_teardown(void **context)
{
	struct state_test *test = *context;

	state_free(test->state);
	free(fixture_run(NULL, "rm -rf %s", test->root));
	free(test);
	return 0;
}

struct state *state_test_open(struct state_test *test)
{
	struct failure failure = {0};

	if (state_open(&test->state, &test->paths, &failure))
		fail_msg("%s", failure.cause);
	return test->state;
}

struct state *state_test_again(struct state_test *test)
{
	state_free(test->state);
	return state_test_open(test);
}

int64_t state_test_want(struct state *state, const char *name, const char *source)
{
	const struct certificate_spec spec = {.name = name,
					      .identifiers = STRING_LIST(name),
					      .cas = STRING_LIST(CA, OTHER),
					      .source = source};
	int64_t id;

	assert_int_equal(state_set_spec(state, &spec, &id), 0);
	return id;
}

struct state_lineage state_test_read(struct state *state, int64_t id)
{
	struct state_lineage lineage;

	assert_int_equal(state_lineage_read(state, id, &lineage), 0);
	return lineage;
}

void state_test_order(struct state *state, int64_t id)
{
	struct state_lineage lineage = state_test_read(state, id);
	const struct state_order order = {.lineage = id,
					  .ca = lineage.ca,
					  .server = lineage.ca,
					  .identifiers = lineage.spec.identifiers,
					  .made_at_s = NOW};

	assert_int_equal(state_order_begin(state, &order), 0);
	state_lineage_done(&lineage);
}

struct state_certificate state_test_certificate(int64_t now_s, int64_t life_s)
{
	return (struct state_certificate){.server = CA,
					  .ari_id = "aYhb.AIdl",
					  .not_before_s = now_s,
					  .not_after_s = now_s + life_s,
					  .renew_at_s = now_s + life_s / 3 * 2,
					  .check_at_s = now_s + HOUR,
					  .generation = 1};
}

struct due_list {
	int64_t ids[64];
	size_t count;
};

static int add_due(void *context, const struct state_due *due)
{
	struct due_list *list = context;

	assert_true(list->count < 64);
	list->ids[list->count++] = due->id;
	return 0;
}

const char *state_test_due(struct state *state, int64_t now_s, size_t max)
{
	struct due_list list = {.count = 0};
	struct state_lineage lineage;
	static char text[4096];
	size_t i;

	text[0] = '\0';
	assert_int_equal(state_due_orders(state, CA, now_s, max, add_due, &list), 0);
	assert_int_equal(state_due_orders(state, OTHER, now_s, max, add_due, &list), 0);
	for (i = 0; i < list.count; i++) {
		lineage = state_test_read(state, list.ids[i]);
		if (i)
			strcat(text, " ");
		strcat(text, lineage.spec.name);
		state_lineage_done(&lineage);
	}
	return text;
}
