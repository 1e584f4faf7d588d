// SPDX-License-Identifier: GPL-3.0-or-later
/* What follows from a failure: the table row by row, with the words of real CAs. */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "acme/net/http.h"
#include "acme/protocol/problem.h"
#include "acme/renewal/consequence.h"
#include "acme/store/state.h"
#include "acme/util/failure.h"

#define URN  "urn:ietf:params:acme:error:"
#define DAY  86400
#define HOUR 3600

/* The answer of a CA to a request. */
struct answer {
	long status;
	const char *type; /* NULL: no problem document */
	const char *detail;
	int64_t retry_after_s;
};

static void explain_answer(struct failure *failure, const struct answer *answer)
{
	const struct http_response response = {.error = HTTP_ANSWERED,
					       .error_text = "",
					       .status = answer->status,
					       .retry_after_s = answer->retry_after_s};
	json_t *problem = answer->type ? json_pack("{s:s, s:s}", "type", answer->type, "detail",
						   answer->detail)
				       : NULL;

	*failure = (struct failure){0};
	problem_explain_response(failure, &response, problem, "https://ca.example/new-order");
	json_decref(problem);
}

static const struct {
	struct answer answer;
	enum failure_owner owner;
	struct consequence consequence;
} answers[] = {
	/* clang-format off */
	/* Boulder's limits: of a name, of the account, of nobody. */
	{{429, URN "rateLimited", "too many certificates (5) already issued for this exact set of "
	  "identifiers in the last 168h0m0s, retry after 2026-11-29", 3 * HOUR},
	 FAILURE_OF_NAME, {CONSEQUENCE_LINEAGE, .counts = true, .is_asked = true,
			   .own_wait_s = 3 * HOUR, .next_ca_after = 3}},
	{{429, URN "rateLimited", "too many certificates (50) already issued for \"a.example\"", 0},
	 FAILURE_OF_NAME, {CONSEQUENCE_LINEAGE, .counts = true, .is_asked = true,
			   .own_wait_s = HOUR, .next_ca_after = 3}},
	{{429, URN "rateLimited", "too many failed authorizations (5) for \"a.example\"", 600},
	 FAILURE_OF_NAME, {CONSEQUENCE_LINEAGE, .counts = true, .is_asked = true,
			   .own_wait_s = 600, .next_ca_after = 3}},
	{{429, URN "rateLimited", "too many new orders (300) from this account", 2 * HOUR},
	 FAILURE_OF_ACCOUNT, {CONSEQUENCE_ACCOUNT, .is_asked = true, .first_wait_s = 60,
			      .last_wait_s = 2 * HOUR, .own_wait_s = 2 * HOUR,
			      .next_ca_after = 3}},
	{{429, URN "rateLimited", "a limit of whatever kind", 30 * DAY},
	 FAILURE_OF_ACCOUNT, {CONSEQUENCE_ACCOUNT, .is_asked = true, .first_wait_s = 60,
			      .last_wait_s = DAY, .own_wait_s = DAY, .next_ca_after = 3}},
	{{503, URN "rateLimited", "Service busy; retry later.", 120},
	 FAILURE_OF_CA, {CONSEQUENCE_CA, .is_asked = true, .keeps_order = true,
			 .first_wait_s = 120, .last_wait_s = 600, .own_wait_s = 120,
			 .next_ca_after = 3}},
	/* The CA pauses one name of one account. */
	{{429, URN "rateLimited", "Your account is temporarily prevented from requesting "
	  "certificates for a.example. Please visit: https://ca.example/unpause", 0},
	 FAILURE_OF_NAME, {CONSEQUENCE_LINEAGE, .counts = true, .own_wait_s = DAY,
			   .next_ca_after = 1}},
	/* A CA in trouble. */
	{{503, NULL, NULL, 0}, FAILURE_OF_CA,
	 {CONSEQUENCE_CA, .keeps_order = true, .first_wait_s = 60, .last_wait_s = 600,
	  .own_wait_s = 120, .next_ca_after = 3}},
	{{503, NULL, NULL, 90 * DAY}, FAILURE_OF_CA,
	 {CONSEQUENCE_CA, .is_asked = true, .keeps_order = true, .first_wait_s = DAY,
	  .last_wait_s = DAY, .own_wait_s = DAY, .next_ca_after = 3}},
	{{500, URN "serverInternal", "Error creating new order", 0}, FAILURE_OF_CA,
	 {CONSEQUENCE_CA, .keeps_order = true, .first_wait_s = 60, .last_wait_s = 600,
	  .own_wait_s = 120, .next_ca_after = 3}},
	{{500, URN "malformed", "whatever", 0}, FAILURE_OF_CA,
	 {CONSEQUENCE_CA, .keeps_order = true, .first_wait_s = 60, .last_wait_s = 600,
	  .own_wait_s = 120, .next_ca_after = 3}},
	{{400, URN "badNonce", "JWS has an invalid anti-replay nonce", 0}, FAILURE_OF_CA,
	 {CONSEQUENCE_CA, .keeps_order = true, .first_wait_s = 60, .last_wait_s = 600,
	  .own_wait_s = 120, .next_ca_after = 3}},
	{{404, NULL, NULL, 0}, FAILURE_OF_CA,
	 {CONSEQUENCE_CA, .keeps_order = true, .first_wait_s = 60, .last_wait_s = 600,
	  .own_wait_s = 120, .next_ca_after = 3}},
	/* The account. */
	{{400, URN "accountDoesNotExist", "unable to find existing account", 0},
	 FAILURE_OF_ACCOUNT, {CONSEQUENCE_ACCOUNT, .first_wait_s = 60,
			      .last_wait_s = HOUR, .own_wait_s = 120, .next_ca_after = 3}},
	{{400, URN "malformed", "JWS verification error", 0},
	 FAILURE_OF_ACCOUNT, {CONSEQUENCE_ACCOUNT, .first_wait_s = 60,
			      .last_wait_s = HOUR, .own_wait_s = 120, .next_ca_after = 3}},
	{{403, URN "unauthorized", "Account is not valid, has status \"deactivated\"", 0},
	 FAILURE_OF_ACCOUNT, {CONSEQUENCE_ACCOUNT, .first_wait_s = 60,
			      .last_wait_s = HOUR, .own_wait_s = 120, .next_ca_after = 3}},
	{{403, URN "userActionRequired", "agree to the new terms", 0},
	 FAILURE_OF_ACCOUNT, {CONSEQUENCE_ACCOUNT, .first_wait_s = HOUR, .last_wait_s = DAY,
			      .own_wait_s = 2 * HOUR, .next_ca_after = 1}},
	{{403, URN "externalAccountRequired", "binding required", 0},
	 FAILURE_OF_ACCOUNT, {CONSEQUENCE_ACCOUNT, .first_wait_s = 60, .last_wait_s = HOUR,
			      .own_wait_s = 120, .next_ca_after = 3}},
	/* The names. */
	{{400, URN "rejectedIdentifier", "policy forbids issuing for a.example", 0},
	 FAILURE_OF_NAME, {CONSEQUENCE_LINEAGE, .counts = true, .next_ca_after = 1}},
	{{403, URN "unauthorized", "not allowed for a.example", 0},
	 FAILURE_OF_NAME, {CONSEQUENCE_LINEAGE, .counts = true, .next_ca_after = 1}},
	{{403, URN "caa", "CAA record prevents issuance", 0},
	 FAILURE_OF_NAME, {CONSEQUENCE_LINEAGE, .counts = true, .next_ca_after = 1}},
	/* clang-format on */
};

static void check_consequence(const struct failure *failure, const struct consequence *wanted)
{
	struct consequence found;

	consequence_of(&found, failure);
	if (found.waits != wanted->waits || found.counts != wanted->counts ||
	    found.is_asked != wanted->is_asked || found.first_wait_s != wanted->first_wait_s ||
	    found.last_wait_s != wanted->last_wait_s || found.own_wait_s != wanted->own_wait_s ||
	    found.next_ca_after != wanted->next_ca_after ||
	    found.keeps_order != wanted->keeps_order)
		fail_msg("%s: waits %d, counts %d, asked %d, first %lld, last %lld, own %lld, "
			 "next CA %u, keeps %d",
			 failure->cause, found.waits, found.counts, found.is_asked,
			 (long long)found.first_wait_s, (long long)found.last_wait_s,
			 (long long)found.own_wait_s, found.next_ca_after, found.keeps_order);
}

static void test_answers(void **context)
{
	struct failure failure;
	size_t i;

	(void)context;
	for (i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		explain_answer(&failure, &answers[i].answer);
		if (failure.owner != answers[i].owner)
			fail_msg("answer %zu: '%s' is of %s", i, failure.cause,
				 failure_owner_text(failure.owner));
		check_consequence(&failure, &answers[i].consequence);
		failure_done(&failure);
	}
}

/* An order or a challenge that the CA ended: the name's, even where the CA is to blame. */
static void test_ended_orders(void **context)
{
	static const struct consequence name = {CONSEQUENCE_LINEAGE, .counts = true,
						.next_ca_after = 1};
	static const struct consequence blamed = {CONSEQUENCE_LINEAGE, .counts = true,
						  .next_ca_after = 2};
	static const struct {
		const char *type;
		const struct consequence *consequence;
	} types[] = {
		{"dns", &name},          {"caa", &name}, {"connection", &name},
		{"unauthorized", &name}, {"tls", &name}, {"serverInternal", &blamed},
	};
	struct failure failure;
	char type[100];
	json_t *problem;
	size_t i;

	(void)context;
	for (i = 0; i < sizeof(types) / sizeof(*types); i++) {
		snprintf(type, sizeof(type), URN "%s", types[i].type);
		problem = json_pack("{s:s, s:s}", "type", type, "detail", "the account's key");
		failure = (struct failure){0};
		problem_explain(&failure, problem);
		assert_true(failure.ends_order);
		check_consequence(&failure, types[i].consequence);
		failure_done(&failure);
		json_decref(problem);
	}
}

/* No answer at all is the CA's, whatever the reason. */
static void test_transport(void **context)
{
	static const struct consequence wanted = {CONSEQUENCE_CA,     .keeps_order = true,
						  .first_wait_s = 60, .last_wait_s = 600,
						  .own_wait_s = 120,  .next_ca_after = 3};
	struct http_response response = {.error_text = "whatever"};
	struct failure failure;
	int error;

	(void)context;
	for (error = HTTP_NOT_RESOLVED; error <= HTTP_BROKEN; error++) {
		if (error == HTTP_NO_RESOURCES)
			continue;
		response.error = (enum http_error)error;
		failure = (struct failure){0};
		problem_explain_transport(&failure, &response, "https://ca.example/");
		assert_int_equal(failure.owner, FAILURE_OF_CA);
		check_consequence(&failure, &wanted);
		failure_done(&failure);
	}
}

static void test_host(void **context)
{
	struct consequence wanted = {CONSEQUENCE_HOST, .keeps_order = true, .first_wait_s = 60,
				     .last_wait_s = 600, .own_wait_s = 600};
	static const int errors[] = {ENOSPC, EDQUOT, EROFS,  EIO,   EMFILE,
				     ENFILE, ENOMEM, EACCES, EPERM, ENODEV};
	struct failure failure;
	size_t i;

	(void)context;
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		failure = (struct failure){0};
		failure_set_errno(&failure, errors[i], "writing");
		assert_int_equal(failure.owner, FAILURE_OF_HOST);
		check_consequence(&failure, &wanted);
	}
	/* A file in the way is one certificate's. */
	failure = (struct failure){0};
	failure_set_errno(&failure, ENOTDIR, "writing");
	assert_int_equal(failure.owner, FAILURE_OF_NAME);
	failure = (struct failure){0};
	failure_set_of(&failure, FAILURE_OF_STATE, NULL, "the database is locked");
	wanted.own_wait_s = 120;
	check_consequence(&failure, &wanted);
	/* The first failure stays, with its owner. */
	failure_set(&failure, NULL, "another");
	assert_int_equal(failure.owner, FAILURE_OF_STATE);
}

/* Waits double up to the last, and never exceed a day. */
static void test_waits(void **context)
{
	struct consequence consequence = {.first_wait_s = 60, .last_wait_s = 600};
	unsigned int i;

	(void)context;
	assert_int_equal(consequence_wait_s(&consequence, 1), 60);
	assert_int_equal(consequence_wait_s(&consequence, 2), 120);
	assert_int_equal(consequence_wait_s(&consequence, 3), 240);
	for (i = 5; i < 1000; i += 7)
		assert_int_equal(consequence_wait_s(&consequence, i), 600);
	/* A CA that asks for a second is obeyed once. */
	consequence.first_wait_s = 1;
	assert_int_equal(consequence_wait_s(&consequence, 1), 1);
	assert_int_equal(consequence_wait_s(&consequence, 2), 120);
	consequence.first_wait_s = consequence.last_wait_s = DAY;
	assert_int_equal(consequence_wait_s(&consequence, 100), DAY);
}

/* When the next CA is asked: after some waits, or sooner when the certificate is about to end. */
static void test_changes_ca(void **context)
{
	const int64_t now = 1000 * DAY;
	const struct consequence consequence = {.next_ca_after = 3};
	const struct consequence never = {.next_ca_after = 0};
	struct state_lineage lineage = {.not_before_s = now - 45 * DAY,
					.not_after_s = now + 45 * DAY};

	(void)context;
	assert_false(consequence_changes_ca(&consequence, &lineage, 0, 60, now));
	assert_false(consequence_changes_ca(&consequence, &lineage, 1, DAY, now));
	assert_false(consequence_changes_ca(&consequence, &lineage, 2, DAY, now));
	assert_true(consequence_changes_ca(&consequence, &lineage, 3, 60, now));
	/* Late: not for a minute, but for a day, or when it goes on. */
	lineage.not_after_s = now + 5 * DAY;
	assert_false(consequence_changes_ca(&consequence, &lineage, 1, 60, now));
	assert_true(consequence_changes_ca(&consequence, &lineage, 1, DAY, now));
	assert_true(consequence_changes_ca(&consequence, &lineage, 2, 60, now));
	assert_false(consequence_changes_ca(&never, &lineage, 1000, DAY, now));
	/* A first certificate. */
	lineage.not_before_s = lineage.not_after_s = 0;
	assert_true(consequence_changes_ca(&consequence, &lineage, 2, 60, now));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),   cmocka_unit_test(test_ended_orders),
		cmocka_unit_test(test_transport), cmocka_unit_test(test_host),
		cmocka_unit_test(test_waits),     cmocka_unit_test(test_changes_ca),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
