// SPDX-License-Identifier: GPL-3.0-or-later
/* Orders at a CA that loses answers, lags behind, or leaves challenges pending; needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "acme/challenge/issue_env.h"
#include "acme/challenge/name_claims.h"
#include "acme/crypto/csr.h"
#include "acme/crypto/key.h"
#include "acme/net/loop.h"
#include "acme/protocol/authorization.h"
#include "acme/protocol/backoff.h"
#include "acme/protocol/client.h"
#include "acme/protocol/jws.h"
#include "acme/protocol/order.h"
#include "acme/util/certificate_spec.h"
#include "acme/util/failure.h"
#include "common/challenge_table.h"
#include "common/clock.h"
#include "common/identifier.h"
#include "tests/unit/fixture.h"

#include "model_ca.h"

#define NAME        "www.example.org"
#define TRIALS_MAX  4
#define ACCOUNT_URL MODEL_CA_URL "account/1"
#define S_OF_NS(ns) ((ns) / CLOCK_NS_PER_S)

/* One order under way. */
struct trial {
	struct world *world;
	struct key *key;
	struct identifier identifier;
	uint8_t *csr;
	struct order_options options;
	struct order *order;
	struct certificate_settings settings;
	bool has_ended;
	char *resume_url;
};

struct world {
	struct fixture fixture;
	struct model_ca model;
	struct loop *loop;
	struct http *http;
	struct ca *ca;
	struct key *account_key;
	struct issue_env env, other_env; /* of this process, and of one beside it */
	struct trial trials[TRIALS_MAX];
	size_t trial_count, ended_count;
	/* What goes wrong. */
	enum model_kind kind;
	uint32_t first, last; /* which requests of that kind, counted from 1 */
	uint64_t until_ns; /* or every one until then; 0: none */
	long status; /* 0: the answer is lost, after the CA has acted */
	const char *problem;
	bool loses_finalize; /* and the answer to each finalize */
};

/* Whether this exchange is one of those that go wrong. */
static bool is_chosen(const struct world *world, const struct model_exchange *exchange)
{
	if (exchange->kind != world->kind)
		return false;
	return (exchange->count >= world->first && exchange->count <= world->last) ||
	       clock_monotonic_ns() < world->until_ns;
}

static bool refuse(void *context, const struct model_exchange *exchange,
		   struct model_answer *answer)
{
	const struct world *world = context;

	if (!world->status || !is_chosen(world, exchange))
		return false;
	answer->status = world->status;
	if (world->problem)
		model_answer_problem(answer, world->status, world->problem, "not now");
	return true;
}

static void lose(void *context, const struct model_exchange *exchange, struct model_answer *answer)
{
	const struct world *world = context;

	if ((!world->status && is_chosen(world, exchange)) ||
	    (world->loses_finalize && exchange->kind == MODEL_FINALIZE))
		answer->error = HTTP_BROKEN;
}

/* Does the table have this order's digest, as a CA that connects now would see? */
static bool is_armed(void *context, size_t order)
{
	struct world *world = context;
	uint8_t digest[CHALLENGE_DIGEST_SIZE];
	const char *name = world->model.orders[order].name;
	struct challenge challenge;
	char token[32];

	snprintf(token, sizeof(token), "token%zu", order);
	assert_int_equal(jws_key_authorization_digest(digest, world->account_key, token), 0);
	return !challenge_table_find(world->fixture.writer, name, strlen(name), &challenge) &&
	       memcmp(challenge.cert.digest, digest, sizeof(digest)) == 0;
}

static void on_connected(void *context, struct failure *failure)
{
	struct world *world = context;

	assert_false(failure_is_set(failure));
	loop_stop(world->loop);
}

static int set_up(void **state)
{
	const struct http_options http_options = {.timeout_s = 10};
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	fixture_init(&world->fixture, 64);
	world->model = (struct model_ca){
		.before = refuse, .after = lose, .validates = is_armed, .context = world};
	model_ca_use(&world->model);
	fixture_make_table(&world->fixture, 64);
	assert_int_equal(loop_new(&world->loop), 0);
	assert_int_equal(http_new(&world->http, world->loop, &http_options), 0);
	assert_int_equal(ca_new(&world->ca, world->http, MODEL_CA_URL "directory", NULL), 0);
	assert_int_equal(key_generate(&world->account_key, KEY_P256), 0);
	world->env.paths = world->other_env.paths = &world->fixture.paths;
	world->env.table = world->other_env.table = &world->fixture.writer;
	assert_int_equal(name_claims_new(&world->env.claims, world->loop, &world->fixture.paths),
			 0);
	assert_int_equal(
		name_claims_new(&world->other_env.claims, world->loop, &world->fixture.paths), 0);
	ca_connect(world->ca, on_connected, world);
	assert_int_equal(loop_run(world->loop), 0);
	assert_int_equal(ca_set_account(world->ca, world->account_key, ACCOUNT_URL), 0);
	*state = world;
	return 0;
}

static void end_trial(struct trial *trial)
{
	order_free(trial->order);
	key_free(trial->key);
	free(trial->csr);
	free(trial->resume_url);
}

static int tear_down(void **state)
{
	struct world *world = *state;

	while (world->trial_count)
		end_trial(&world->trials[--world->trial_count]);
	name_claims_free(world->env.claims);
	name_claims_free(world->other_env.claims);
	assert_false(model_is_busy());
	ca_free(world->ca);
	http_free(world->http);
	loop_free(world->loop);
	key_free(world->account_key);
	model_ca_done(&world->model);
	fixture_done(&world->fixture);
	free(world);
	return 0;
}

static void on_changed(void *context, struct order *order)
{
	struct trial *trial = context;
	struct world *world = trial->world;

	if (order_state(order) != ORDER_DONE && order_state(order) != ORDER_FAILED)
		return;
	assert_false(trial->has_ended);
	trial->has_ended = true;
	if (++world->ended_count == world->trial_count)
		loop_stop(world->loop);
}

static struct trial *begin(struct world *world, const struct issue_env *env, const char *resume_url)
{
	struct trial *trial = &world->trials[world->trial_count++];

	trial->world = world;
	assert_int_equal(identifier_parse(&trial->identifier, NAME), IDENTIFIER_OK);
	assert_int_equal(key_generate(&trial->key, KEY_P256), 0);
	assert_int_equal(
		csr_make(&trial->csr, &trial->options.csr_size, trial->key, &trial->identifier, 1),
		0);
	trial->resume_url = resume_url ? strdup(resume_url) : NULL;
	trial->options.ca = world->ca;
	trial->options.env = env;
	trial->options.identifiers = &trial->identifier;
	trial->options.identifier_count = 1;
	trial->options.csr = trial->csr;
	trial->options.settings = &trial->settings;
	trial->options.resume_url = trial->resume_url;
	trial->options.changed = on_changed;
	trial->options.context = trial;
	trial->order = order_new(&trial->options);
	assert_non_null(trial->order);
	return trial;
}

/* Whether a failed order stays at the CA, to be resumed. */
static bool stays(const struct trial *trial)
{
	const struct failure *failure = order_failure(trial->order);

	return failure->owner == FAILURE_OF_CA && !failure->ends_order && order_url(trial->order);
}

static void run(struct world *world)
{
	assert_int_equal(loop_run(world->loop), 0);
}

/* One order; whether it ends well. */
static bool succeeds(struct world *world)
{
	struct trial *trial = begin(world, &world->env, NULL);
	const struct authorization *authorization;
	bool is_done;

	run(world);
	is_done = order_state(trial->order) == ORDER_DONE;
	authorization = order_authorization(trial->order, 0);
	if (!is_done)
		print_message("%s; %s\n", order_failure(trial->order)->cause,
			      authorization ? authorization_failure(authorization)->cause : "");
	return is_done;
}

static void test_all_goes_well(void **state)
{
	struct world *world = *state;

	assert_true(succeeds(world));
	assert_int_equal(world->model.counts[MODEL_NEW_ORDER], 1);
	assert_int_equal(world->model.counts[MODEL_CHALLENGE], 1);
	assert_int_equal(world->model.counts[MODEL_FINALIZE], 1);
}

/* Row A27.  The CA is away for three seconds after finalize: the same order is asked for. */
static void test_away_after_finalize(void **state)
{
	struct world *world = *state;

	world->kind = MODEL_FINALIZE;
	world->first = world->last = 1;
	assert_true(succeeds(world));
	assert_int_equal(world->model.counts[MODEL_FINALIZE], 1);

	world->kind = MODEL_ORDER;
	world->status = 503;
	world->loses_finalize = true;
	world->until_ns = clock_monotonic_ns() + 3 * CLOCK_NS_PER_S;
	assert_true(succeeds(world));
	assert_int_equal(world->model.order_count, 2);
	assert_int_equal(world->model.counts[MODEL_FINALIZE], 2);
}

/* Row A27.  It is away for longer: the order's URL and key are good for later. */
static void test_away_for_long(void **state)
{
	struct world *world = *state;
	struct trial *trial;

	world->kind = MODEL_ORDER;
	world->loses_finalize = true;
	world->status = 503;
	world->first = 1;
	world->last = UINT32_MAX;
	assert_false(succeeds(world));
	trial = &world->trials[0];
	assert_true(stays(trial));
	assert_non_null(strstr(order_failure(trial->order)->cause, "503"));

	/* Still away when it is resumed. */
	trial = begin(world, &world->env, order_url(trial->order));
	run(world);
	assert_int_equal(order_state(trial->order), ORDER_FAILED);
	assert_true(stays(trial));

	world->first = UINT32_MAX;
	world->loses_finalize = false;
	trial = begin(world, &world->env, order_url(trial->order));
	run(world);
	assert_int_equal(order_state(trial->order), ORDER_DONE);
	assert_int_equal(world->model.counts[MODEL_NEW_ORDER], 1);
}

/* The same while the name is validated: the CA has decided nothing. */
static void test_away_during_validation(void **state)
{
	struct world *world = *state;

	world->kind = MODEL_AUTHORIZATION;
	world->status = 503;
	world->first = 2;
	world->last = UINT32_MAX;
	assert_false(succeeds(world));
	assert_true(stays(&world->trials[0]));
	assert_non_null(strstr(order_failure(world->trials[0].order)->cause, "503"));
}

/* The CA hears that the challenge is ready, and validates it; the answer is lost. */
static bool hear_and_lose(void *context, const struct model_exchange *exchange,
			  struct model_answer *answer)
{
	struct world *world = context;
	struct model_order *order = &world->model.orders[exchange->order];

	if (exchange->kind != MODEL_CHALLENGE || exchange->count > 2)
		return false;
	if (exchange->count == 1) {
		answer->error = HTTP_BROKEN;
		return true;
	}
	/* By now it is done. */
	order->authorization = order->challenge = "valid";
	order->status = "ready";
	return false;
}

/* Row A38. */
static void test_answer_to_ready_is_lost(void **state)
{
	struct world *world = *state;

	world->kind = MODEL_CHALLENGE;
	world->first = world->last = 1;
	assert_true(succeeds(world));

	memset(world->model.counts, 0, sizeof(world->model.counts));
	world->model.before = hear_and_lose;
	assert_true(succeeds(world));
	assert_int_equal(world->model.counts[MODEL_CHALLENGE], 2);
}

/* Refused for good: the user gets the reason of the CA, and nothing turns in circles. */
static void test_ready_is_refused(void **state)
{
	struct world *world = *state;
	const struct authorization *authorization;

	world->kind = MODEL_CHALLENGE;
	world->status = 400;
	world->problem = "malformed";
	world->first = 1;
	world->last = UINT32_MAX;
	assert_false(succeeds(world));
	assert_int_equal(world->model.counts[MODEL_CHALLENGE], 1);
	authorization = order_authorization(world->trials[0].order, 0);
	assert_non_null(authorization_failure(authorization)->problem);
	assert_false(stays(&world->trials[0]));
}

/* --- challenges that stay pending ---------------------------------------------------------------- */

struct stubborn {
	uint32_t failures; /* so many attempts fail */
	const char *challenge; /* its status then */
};

static struct stubborn stubborn;

/* As step-ca: an attempt that failed leaves the challenge pending, with the reason. */
static bool fail_attempts(void *context, const struct model_exchange *exchange,
			  struct model_answer *answer)
{
	struct world *world = context;
	struct model_order *order = &world->model.orders[exchange->order];

	if (exchange->kind != MODEL_CHALLENGE)
		return false;
	if (exchange->count > stubborn.failures) {
		order->reason = NULL;
		return false;
	}
	order->reason = "connection";
	order->challenge = stubborn.challenge;
	answer->status = 200;
	snprintf(answer->body, sizeof(answer->body), "{}");
	return true;
}

/* Row B4. */
static void test_asks_again(void **state)
{
	struct world *world = *state;

	world->model.before = fail_attempts;
	stubborn = (struct stubborn){.failures = 2, .challenge = "pending"};
	assert_true(succeeds(world));
	assert_int_equal(world->model.counts[MODEL_CHALLENGE], 3);
}

/* Row B4.  It never comes to a success: soon over, with the CA's reason. */
static void test_asks_no_more(void **state)
{
	static const char *const statuses[] = {"pending", "invalid"};
	static const uint32_t most[] = {8, 1};
	const struct authorization *authorization;
	struct world *world = *state;
	uint64_t began_ns;
	size_t i;

	world->model.before = fail_attempts;
	for (i = 0; i < 2; i++) {
		began_ns = clock_monotonic_ns();
		memset(world->model.counts, 0, sizeof(world->model.counts));
		stubborn = (struct stubborn){.failures = UINT32_MAX, .challenge = statuses[i]};
		assert_false(succeeds(world));
		assert_in_range(world->model.counts[MODEL_CHALLENGE], 1, most[i]);
		assert_true(S_OF_NS(clock_monotonic_ns() - began_ns) < 60);
		authorization = order_authorization(world->trials[i].order, 0);
		assert_non_null(strstr(authorization_failure(authorization)->cause,
				       "nothing listens on port 443"));
	}
}

/* --- a CA that lags behind, and bare answers ------------------------------------------------------ */

/* Row B5. */
static void test_order_not_ready_once(void **state)
{
	struct world *world = *state;

	world->kind = MODEL_FINALIZE;
	world->status = 403;
	world->problem = "orderNotReady";
	world->first = world->last = 1;
	assert_true(succeeds(world));
	assert_int_equal(world->model.counts[MODEL_FINALIZE], 2);

	/* Always: over, with the reason. */
	world->last = UINT32_MAX;
	assert_false(succeeds(world));
	assert_in_range(world->model.counts[MODEL_FINALIZE], 3, 2 + BACKOFF_FAILURES_MAX);
	assert_non_null(strstr(order_failure(world->trials[1].order)->cause, "not ready"));
}

/* Row B5.  404 for what the CA has made a moment ago, whichever URL. */
static void test_replica_lag(void **state)
{
	static const enum model_kind kinds[] = {MODEL_ORDER, MODEL_AUTHORIZATION, MODEL_CHALLENGE,
						MODEL_FINALIZE};
	struct world *world = *state;
	size_t i;

	world->status = 404;
	world->problem = "malformed";
	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (i)
			end_trial(&world->trials[0]);
		world->trials[0] = (struct trial){0};
		world->trial_count = world->ended_count = 0;
		world->kind = kinds[i];
		world->until_ns = clock_monotonic_ns() + 10 * CLOCK_NS_PER_S;
		assert_true(succeeds(world));
	}
	end_trial(&world->trials[0]);
	world->trials[0] = (struct trial){0};
	world->trial_count = world->ended_count = 0;
	world->kind = MODEL_CERTIFICATE;
	world->until_ns = clock_monotonic_ns() + 10 * CLOCK_NS_PER_S;
	assert_true(succeeds(world));
}

/* It stays so: over after half a minute. */
static void test_lost_for_good(void **state)
{
	struct world *world = *state;
	const uint64_t began_ns = clock_monotonic_ns();

	world->kind = MODEL_CERTIFICATE;
	world->status = 404;
	world->problem = "malformed";
	world->first = 1;
	world->last = UINT32_MAX;
	assert_false(succeeds(world));
	assert_in_range(S_OF_NS(clock_monotonic_ns() - began_ns), 20, 60);
}

static void bare(void *context, const struct model_exchange *exchange, struct model_answer *answer)
{
	(void)context;
	if (answer->status < 300 &&
	    (exchange->kind == MODEL_NEW_ORDER || exchange->kind == MODEL_CHALLENGE ||
	     exchange->kind == MODEL_FINALIZE))
		answer->body[0] = '\0';
}

/* Row B5.  2xx without a body, where the headers say all. */
static void test_bare_answers(void **state)
{
	struct world *world = *state;

	world->model.after = bare;
	assert_true(succeeds(world));
	assert_int_equal(world->model.counts[MODEL_NEW_ORDER], 1);
	assert_int_equal(world->model.counts[MODEL_FINALIZE], 1);
}

/* --- a name in common ----------------------------------------------------------------------------- */

/* Both orders end well, each with its own CSR. */
static void check_both(struct world *world)
{
	size_t i;

	run(world);
	assert_int_equal(order_state(world->trials[0].order), ORDER_DONE);
	assert_int_equal(order_state(world->trials[1].order), ORDER_DONE);
	assert_int_equal(world->model.order_count, 2);
	for (i = 0; i < 2; i++)
		assert_true(world->model.orders[i].was_armed);
	assert_string_not_equal(world->model.orders[0].csr, world->model.orders[1].csr);
}

/* Rows A4 and B2.  As ECDSA and RSA certificates with the same name are, due together. */
static void test_same_name_together(void **state)
{
	struct world *world = *state;

	world->model.reuses_orders = true;
	begin(world, &world->env, NULL);
	begin(world, &world->env, NULL);
	check_both(world);
}

/* Rows A4 and B2.  The same in two processes. */
static void test_same_name_in_two_processes(void **state)
{
	struct world *world = *state;

	world->model.reuses_orders = true;
	begin(world, &world->env, NULL);
	begin(world, &world->other_env, NULL);
	check_both(world);
}

/* A process that keeps a name for ever: told, and nothing of the CA asked. */
static void test_name_held_for_ever(void **state)
{
	struct world *world = *state;
	struct name_claim claim = {0};
	struct trial *trial;

	trial = begin(world, &world->env, NULL);
	order_free(trial->order);
	assert_int_equal(name_claim_begin(&claim, world->other_env.claims, &trial->identifier, 1,
					  on_connected, world),
			 0);
	run(world);
	trial->order = order_new(&trial->options);
	run(world);
	assert_int_equal(order_state(trial->order), ORDER_FAILED);
	assert_non_null(strstr(order_failure(trial->order)->cause, "another sidestep process"));
	assert_int_equal(world->model.counts[MODEL_NEW_ORDER], 0);
	name_claim_end(&claim);
}

/* Row A4.  Withdrawing takes away one's own challenge only. */
static void test_withdraw_own(void **state)
{
	const uint8_t mine[CHALLENGE_DIGEST_SIZE] = {1}, theirs[CHALLENGE_DIGEST_SIZE] = {2};
	struct world *world = *state;
	struct challenge_table *table = world->fixture.writer;
	struct identifier name;
	struct challenge found;

	assert_int_equal(identifier_parse(&name, NAME), IDENTIFIER_OK);
	assert_int_equal(challenge_table_publish(table, &name, mine, 60), 0);
	assert_int_equal(challenge_table_publish(table, &name, theirs, 60), 0);
	assert_int_equal(challenge_table_withdraw(table, &name, mine, 0), -ENOENT);
	assert_int_equal(challenge_table_find(table, NAME, strlen(NAME), &found), 0);
	assert_int_equal(challenge_table_withdraw(table, &name, theirs, 0), 0);
	assert_int_equal(challenge_table_find(table, NAME, strlen(NAME), &found), -ENOENT);
}

/* --- an account that another process has replaced -------------------------------------------------- */

#define OTHER_ACCOUNT MODEL_CA_URL "account/2"

struct successor {
	struct world *world;
	struct key *key;
	uint32_t searches;
	bool is_found;
	const char *type, *detail; /* what the CA says of the previous account */
};

static struct successor successor;

/* The CA knows the other account only. */
static bool know_successor(void *context, const struct model_exchange *exchange,
			   struct model_answer *answer)
{
	(void)context;
	if (exchange->kind < MODEL_NEW_ORDER || strstr(exchange->header, OTHER_ACCOUNT))
		return false;
	model_answer_problem(answer, 400, successor.type, successor.detail);
	return true;
}

static void on_account_lost(void *context)
{
	struct failure failure = {0};
	struct world *world = context;

	successor.searches++;
	if (successor.is_found)
		assert_int_equal(ca_set_account(world->ca, successor.key, OTHER_ACCOUNT), 0);
	else
		failure_set(&failure, NULL, "it is gone");
	ca_account_found(world->ca, &failure);
	failure_done(&failure);
}

/* Row A8.  Requests by the previous account are sent again by the present one. */
static void test_account_is_replaced(void **state)
{
	static const char *const problems[][2] = {{"accountDoesNotExist", "no such account"},
						  {"unauthorized", "account is deactivated"},
						  {"malformed", "JWS verification error"}};
	struct world *world = *state;
	size_t i;

	ca_on_account_lost(world->ca, on_account_lost, world);
	assert_int_equal(key_generate(&successor.key, KEY_P256), 0);
	world->model.before = know_successor;
	world->model.validates = NULL;
	successor.is_found = true;
	for (i = 0; i < 3; i++) {
		assert_int_equal(ca_set_account(world->ca, world->account_key, ACCOUNT_URL), 0);
		successor.type = problems[i][0];
		successor.detail = problems[i][1];
		successor.searches = 0;
		clock_sleep_ms((CA_ACCOUNT_REST_S + 1) * 1000);
		assert_true(succeeds(world));
		assert_int_equal(successor.searches, 1);
	}
	assert_int_equal(ca_set_account(world->ca, NULL, NULL), 0);
	key_free(successor.key);
}

/* Row A8.  There is none any more: each order fails with the reason, after one search. */
static void test_account_is_gone(void **state)
{
	struct world *world = *state;

	ca_on_account_lost(world->ca, on_account_lost, world);
	world->model.before = know_successor;
	successor = (struct successor){.type = "accountDoesNotExist", .detail = "gone"};
	assert_false(succeeds(world));
	assert_string_equal(order_failure(world->trials[0].order)->cause, "it is gone");
	assert_int_equal(successor.searches, 1);
	/* Soon after, nobody searches again. */
	assert_false(succeeds(world));
	assert_int_equal(successor.searches, 1);
}

#define order_test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		order_test(test_all_goes_well),
		order_test(test_away_after_finalize),
		order_test(test_away_for_long),
		order_test(test_away_during_validation),
		order_test(test_answer_to_ready_is_lost),
		order_test(test_ready_is_refused),
		order_test(test_asks_again),
		order_test(test_asks_no_more),
		order_test(test_order_not_ready_once),
		order_test(test_replica_lag),
		order_test(test_lost_for_good),
		order_test(test_bare_answers),
		order_test(test_same_name_together),
		order_test(test_same_name_in_two_processes),
		order_test(test_name_held_for_ever),
		order_test(test_withdraw_own),
		order_test(test_account_is_replaced),
		order_test(test_account_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
