// SPDX-License-Identifier: GPL-3.0-or-later
/* Accounts at a CA that wants an external account binding; needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "acme/net/loop.h"
#include "acme/protocol/account.h"
#include "acme/protocol/client.h"
#include "acme/store/account_files.h"
#include "acme/util/base64url.h"
#include "acme/util/failure.h"
#include "common/clock.h"
#include "tests/unit/fixture.h"

#include "model_ca.h"

#define DIRECTORY MODEL_CA_URL "directory"
#define KEY_ID    "right"

struct world {
	struct fixture fixture;
	struct model_ca model;
	struct loop *loop;
	struct http *http;
	struct failure failure; /* of the last try */
	bool is_new;
};

/* The key id in a payload's binding; "": there is none. */
static void read_key_id(char ret_key_id[64], const char *payload)
{
	json_t *object = json_loads(payload, 0, NULL), *binding, *header;
	char text[1024] = "";
	const char *encoded;
	size_t size = 0;

	binding = json_object_get(object, "externalAccountBinding");
	encoded = json_string_value(json_object_get(binding, "protected"));
	if (encoded)
		assert_int_equal(base64url_decode(text, sizeof(text) - 1, &size, encoded), 0);
	header = json_loads(text, 0, NULL);
	snprintf(ret_key_id, 64, "%s",
		 header ? json_string_value(json_object_get(header, "kid")) : "");
	json_decref(header);
	json_decref(object);
}

/* Wants the binding in each newAccount, also in one that only looks. */
static bool want_binding(void *context, const struct model_exchange *exchange,
			 struct model_answer *answer)
{
	char key_id[64];

	(void)context;
	if (exchange->kind != MODEL_ACCOUNT)
		return false;
	read_key_id(key_id, exchange->payload);
	if (!*key_id)
		model_answer_problem(answer, 403, "externalAccountRequired", "bind it");
	else if (strcmp(key_id, KEY_ID) != 0)
		model_answer_problem(answer, 403, "unauthorized", "no such key");
	else
		return false;
	return true;
}

/* The same, and says so whatever the look-up carries: it does not know the account. */
static bool want_creation(void *context, const struct model_exchange *exchange,
			  struct model_answer *answer)
{
	if (exchange->kind == MODEL_ACCOUNT && strstr(exchange->payload, "onlyReturnExisting")) {
		model_answer_problem(answer, 403, "externalAccountRequired", "bind it");
		return true;
	}
	return want_binding(context, exchange, answer);
}

static int set_up(void **state)
{
	const struct http_options options = {.timeout_s = 10};
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	fixture_init(&world->fixture, 16);
	world->model.before = want_binding;
	model_ca_use(&world->model);
	fixture_make_table(&world->fixture, 16);
	assert_int_equal(loop_new(&world->loop), 0);
	assert_int_equal(http_new(&world->http, world->loop, &options), 0);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	failure_done(&world->failure);
	assert_false(model_is_busy());
	http_free(world->http);
	loop_free(world->loop);
	model_ca_done(&world->model);
	fixture_done(&world->fixture);
	free(world);
	return 0;
}

static void on_done(void *context, struct failure *failure)
{
	struct world *world = context;

	failure_move(&world->failure, failure);
	loop_stop(world->loop);
}

/* As one run of `sidestep register`; whether it succeeds. */
static bool registers(struct world *world, const char *key_id)
{
	struct account_options options = {.agree_tos = true, .ask_ca = true};
	struct account_files *files;
	struct account *account;
	struct ca *ca;

	failure_done(&world->failure);
	options.eab.key_id = strdup(key_id);
	memset(options.eab.key, 7, 32);
	options.eab.key_size = 32;
	assert_int_equal(ca_new(&ca, world->http, DIRECTORY, NULL), 0);
	ca_connect(ca, on_done, world);
	assert_int_equal(loop_run(world->loop), 0);
	assert_int_equal(
		account_files_open(&files, &world->fixture.paths, DIRECTORY, NULL, &world->failure),
		0);
	account = account_new(files);
	assert_non_null(account);
	account_ensure(account, ca, &options, on_done, world);
	assert_int_equal(loop_run(world->loop), 0);
	world->is_new = account_is_new(account);
	account_free(account);
	account_files_free(files);
	ca_free(ca);
	eab_done(&options.eab);
	return !failure_is_set(&world->failure);
}

/* Row B3.  Mistyped, then right: the binding is to blame, and then the account is created. */
static void test_mistyped_key_id(void **state)
{
	struct world *world = *state;

	assert_false(registers(world, "wrong"));
	assert_non_null(strstr(world->failure.cause, "external account binding"));
	assert_non_null(strstr(world->failure.cause, "'wrong'"));
	assert_non_null(strstr(world->failure.next_step, "--eab-kid"));
	assert_true(registers(world, KEY_ID));
	assert_true(world->is_new);
	/* The look-up of an account that exists carries it, too. */
	assert_true(registers(world, KEY_ID));
	assert_false(world->is_new);
}

/* Row B3.  A look-up that is answered by externalAccountRequired leads to creating. */
static void test_binding_wanted_to_look(void **state)
{
	struct world *world = *state;

	assert_false(registers(world, "wrong"));
	world->model.before = want_creation;
	assert_true(registers(world, KEY_ID));
	assert_true(world->is_new);
}

static void strip_body(void *context, const struct model_exchange *exchange,
		       struct model_answer *answer)
{
	(void)context;
	if (exchange->kind == MODEL_ACCOUNT && answer->status < 300)
		answer->body[0] = '\0';
}

/* Row B5.  The account's URL is a header: the body may be missing. */
static void test_bare_answer(void **state)
{
	struct world *world = *state;

	world->model.after = strip_body;
	assert_true(registers(world, KEY_ID));
}

static void tell_date(void *context, const struct model_exchange *exchange,
		      struct model_answer *answer)
{
	(void)exchange;
	answer->date_s = clock_now_s() + *(const int64_t *)context;
}

/* The CA's Date tells how far this host's clock is off.  Row A6. */
static void test_clock(void **state)
{
	int64_t theirs_s = -70 * INT64_C(86400);
	struct world *world = *state;
	struct ca *ca;

	assert_int_equal(ca_new(&ca, world->http, DIRECTORY, NULL), 0);
	assert_int_equal(ca_clock_ahead_s(ca), 0);
	world->model.after = tell_date;
	world->model.context = &theirs_s;
	ca_connect(ca, on_done, world);
	assert_int_equal(loop_run(world->loop), 0);
	assert_in_range(ca_clock_ahead_s(ca), 70 * 86400 - 5, 70 * 86400 + 5);
	ca_free(ca);
}

#define account_test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		account_test(test_mistyped_key_id),
		account_test(test_binding_wanted_to_look),
		account_test(test_bare_answer),
		account_test(test_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
