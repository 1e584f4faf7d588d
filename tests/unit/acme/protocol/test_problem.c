// SPDX-License-Identifier: GPL-3.0-or-later
/* The messages for a CA's refusals, with the words of real CAs. */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "acme/protocol/problem.h"
#include "acme/util/failure.h"
#include "acme/net/http.h"

#define URN "urn:ietf:params:acme:error:"

static void explain(struct failure *failure, const char *type, const char *detail)
{
	json_t *problem = json_pack("{s:s, s:s}", "type", type, "detail", detail);

	*failure = (struct failure){0};
	problem_explain(failure, problem);
	json_decref(problem);
	assert_true(failure_is_set(failure));
	assert_non_null(failure->problem);
}

static void check(const char *type, const char *detail, const char *cause_part,
		  const char *next_step_part)
{
	struct failure failure;

	explain(&failure, type, detail);
	if (!strstr(failure.cause, cause_part) || !strstr(failure.next_step, next_step_part))
		fail_msg("%s: '%s' | '%s'", detail, failure.cause, failure.next_step);
	failure_done(&failure);
}

/* Boulder's va.go and tlsalpn.go. */
static void test_boulder(void **state)
{
	(void)state;
	check(URN "connection", "192.0.2.2: Connection refused", "nothing listens", "AAAA");
	check(URN "connection", "192.0.2.2: Timeout during connect (likely firewall problem)",
	      "firewall", "whole Internet");
	check(URN "connection",
	      "192.0.2.2: Timeout after connect (your server may be slow or overloaded)",
	      "did not end in time", "sidestep status");
	check(URN "connection",
	      "192.0.2.2: Timeout during read (your server may be slow or overloaded)",
	      "did not end in time", "sidestep status");
	check(URN "connection", "192.0.2.2: Network unreachable", "no route", "A and AAAA");
	check(URN "connection", "192.0.2.2: Connection reset by peer", "was reset", "firewall");
	check(URN "connection", "192.0.2.2: Error getting validation data", "could not connect",
	      "port 443");
	check(URN "malformed", "Server only speaks HTTP, not TLS", "plain HTTP", "this host");
	check(URN "malformed",
	      "Unable to contact \"a.example\" at \"2001:db8::1\", no IPv4 addresses to try as "
	      "fallback",
	      "only IPv6", "AAAA");
	check(URN "tls", "192.0.2.2: remote error: tls: no application protocol",
	      "production server answered", "CDN");
	check(URN "tls", "192.0.2.2: remote error: tls: handshake failure", "TLS handshake",
	      "this host");
	check(URN "unauthorized",
	      "Cannot negotiate ALPN protocol \"acme-tls/1\" for tls-alpn-01 challenge",
	      "production server answered", "sidestep status");
	check(URN "unauthorized",
	      "Incorrect validation certificate for tls-alpn-01 challenge. Requested a.example "
	      "from 192.0.2.2:443. Received certificate which is not self-signed.",
	      "another ACME client", "other ACME clients");
	check(URN "unauthorized",
	      "Incorrect validation certificate for tls-alpn-01 challenge. Requested a.example "
	      "from 192.0.2.2:443. Received certificate with acmeValidationV1 extension value aa "
	      "but expected bb.",
	      "another ACME client", "other ACME clients");
	check(URN "dns",
	      "DNS problem: NXDOMAIN looking up A for a.example - check that a DNS record exists "
	      "for this domain",
	      "does not exist", "spelling");
	check(URN "dns", "DNS problem: SERVFAIL looking up AAAA for a.example", "fail to answer",
	      "DNSSEC");
	check(URN "dns", "no valid A records found for a.example; no valid AAAA records found",
	      "neither", "create");
	check(URN "caa", "CAA record for a.example prevents issuance", "CAA", "allow");
}

/* The same from another perspective is another problem. */
static void test_secondary(void **state)
{
	(void)state;
	check(URN "connection",
	      "During secondary validation: 192.0.2.2: Timeout during connect (likely firewall "
	      "problem)",
	      "succeeded from its main site", "GeoIP");
	check(URN "unauthorized",
	      "During secondary validation: Cannot negotiate ALPN protocol \"acme-tls/1\" for "
	      "tls-alpn-01 challenge",
	      "production server answered", "several hosts");
}

/* Pebble, and step-ca with Go's words. */
static void test_others(void **state)
{
	(void)state;
	check(URN "unauthorized",
	      "Failed to connect to 192.0.2.2:443 for the tls-alpn-01 challenge",
	      "could not connect", "port 443");
	/* The refused connection is one to the DNS server. */
	check(URN "malformed",
	      "Error occurred while resolving URL \"a.example\": \"dial tcp 127.0.0.1:53: connect: "
	      "connection refused\"",
	      "could not look the name up", "A or AAAA");
	check(URN "malformed", "Could not resolve URL \"a.example\"", "neither", "create");
	check(URN "connection",
	      "error doing TLS dial for a.example:443: dial tcp 192.0.2.2:443: i/o timeout",
	      "no answer", "open");
	check(URN "connection",
	      "error doing TLS dial for a.example:443: dial tcp: lookup a.example: no such host",
	      "does not exist", "spelling");
	check(URN "connection",
	      "error doing TLS dial for a.example:443: tls: first record does not look like a TLS "
	      "handshake",
	      "does not speak TLS", "this host");
	check(URN "rejectedIdentifier",
	      "cannot negotiate ALPN acme-tls/1 protocol for tls-alpn-01 challenge",
	      "production server answered", "CDN");
	check(URN "rejectedIdentifier",
	      "incorrect certificate for tls-alpn-01 challenge: expected acmeValidationV1 "
	      "extension value aa for this challenge but got bb",
	      "another ACME client", "other ACME clients");
}

static void test_limits_and_accounts(void **state)
{
	(void)state;
	check(URN "rateLimited",
	      "too many certificates (5) already issued for this exact set of identifiers in the "
	      "last 168h0m0s, retry after 2026-11-24 00:00:00 UTC",
	      "limit", "wait");
	check(URN "rateLimited",
	      "Your account is temporarily prevented from requesting certificates for a.example. "
	      "Please visit: https://portal.example/",
	      "paused", "visit");
	check(URN "accountDoesNotExist", "unknown", "does not know", "register");
	check(URN "externalAccountRequired", "EAB", "external account", "--eab-kid");
	check(URN "badNonce", "JWS has an invalid anti-replay nonce", "nonce", "later");
	check(URN "serverInternal", "Error creating new order", "of its own", "later");
	check("about:blank", "whatever", "refused", "reason");
	check("", "", "refused", "reason");
}

/* The particular is in the subproblems. */
static void test_subproblems(void **state)
{
	struct failure failure = {0};
	json_t *problem =
		json_pack("{s:s, s:s, s:[{s:s, s:s}]}", "type", URN "malformed", "detail",
			  "Some of the identifiers requested were rejected", "subproblems", "type",
			  URN "caa", "detail", "CAA record for b.example prevents issuance");

	(void)state;
	problem_explain(&failure, problem);
	assert_non_null(strstr(failure.cause, "CAA"));
	assert_ptr_equal(failure.problem, problem);
	failure_done(&failure);
	json_decref(problem);
}

/* Members of wrong types explain nothing, and break nothing. */
static void test_odd_problems(void **state)
{
	static const char *const texts[] = {
		"{}",
		"{\"type\": 7, \"detail\": []}",
		"{\"type\": \"" URN "dns\", \"subproblems\": \"x\"}",
		"{\"type\": \"" URN "dns\", \"subproblems\": [1, {}]}",
		"{\"type\": \"" URN "dns\", \"subproblems\": [{\"detail\": null}]}",
	};
	struct failure failure;
	json_t *problem;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		problem = json_loads(texts[i], 0, NULL);
		assert_non_null(problem);
		failure = (struct failure){0};
		problem_explain(&failure, problem);
		assert_true(failure_is_set(&failure));
		failure_done(&failure);
		json_decref(problem);
	}
}

/* --- answers that are no problem documents, and no answers ---------------------------------- */

static void check_response(const struct http_response *response, const char *cause_part,
			   const char *next_step_part)
{
	struct failure failure = {0};

	if (response->error)
		problem_explain_transport(&failure, response, "https://ca.example/x");
	else
		problem_explain_response(&failure, response, NULL, "https://ca.example/x");
	if (!strstr(failure.cause, cause_part) || !strstr(failure.next_step, next_step_part))
		fail_msg("'%s' | '%s'", failure.cause, failure.next_step);
	failure_done(&failure);
}

static void test_responses(void **state)
{
	(void)state;
	check_response(&(struct http_response){.status = 404}, "404", "--server");
	check_response(&(struct http_response){.status = 302, .location = "https://b.example/"},
		       "https://b.example/", "--server");
	check_response(&(struct http_response){.status = 301}, "nowhere", "--server");
	check_response(&(struct http_response){.status = 500}, "overloaded", "later");
	check_response(&(struct http_response){.status = 503, .retry_after_s = 60}, "overloaded",
		       "wait until 2");
	/* Whatever a CA asks for: a day at most. */
	check_response(&(struct http_response){.status = 503, .retry_after_s = INT64_MAX},
		       "overloaded", "wait until 2");
}

/* The CA says where to go: in the problem, in a Link, or in both. */
static void test_visit(void **state)
{
	const struct http_response response = {.status = 403,
					       .links = {"<../terms/2>;rel=\"terms-of-service\""}};
	json_t *problem = json_pack("{s:s, s:s}", "type", URN "userActionRequired", "detail",
				    "the terms have changed");
	struct failure failure = {0};

	(void)state;
	problem_explain_response(&failure, &response, problem, "https://ca.example/acme/new-order");
	assert_non_null(strstr(failure.next_step, "https://ca.example/terms/2"));
	failure_done(&failure);
	json_object_set_new(problem, "instance", json_string("https://ca.example/agree"));
	problem_explain_response(&failure, &response, problem, "https://ca.example/acme/new-order");
	assert_non_null(strstr(failure.next_step, "visit https://ca.example/agree"));
	assert_non_null(strstr(failure.next_step, "https://ca.example/terms/2"));
	failure_done(&failure);
	json_decref(problem);
}

/* A proxy in the environment is named where the way to the CA fails. */
static void test_proxy(void **state)
{
	struct http_response response = {.error = HTTP_NOT_CONNECTED, .error_text = "refused"};

	(void)state;
	assert_int_equal(setenv("https_proxy", "http://proxy.example:3128", 1), 0);
	check_response(&response, "cannot connect", "http://proxy.example:3128");
	response.error = HTTP_UNTRUSTED;
	check_response(&response, "not trusted", "--cacert");
	assert_int_equal(unsetenv("https_proxy"), 0);
}

static void test_transport(void **state)
{
	static const struct {
		enum http_error err;
		const char *text, *next_step;
	} cases[] = {
		{HTTP_NOT_RESOLVED, "Could not resolve host", "DNS"},
		{HTTP_NOT_CONNECTED, "Connection refused", "port"},
		{HTTP_TIMED_OUT, "Operation timed out", "--timeout"},
		{HTTP_UNTRUSTED, "unable to get local issuer certificate", "--cacert"},
		{HTTP_UNTRUSTED, "certificate has expired", "clock"},
		{HTTP_UNTRUSTED, "no alternative certificate subject name matches", "host name"},
		{HTTP_CACERT_UNREADABLE, "error setting certificate file", "--cacert"},
		{HTTP_TLS_FAILED, "wrong version number", "TLS"},
		{HTTP_TOO_LARGE, "Failed writing body", "--server"},
		{HTTP_BROKEN, "Empty reply from server", "again"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check_response(
			&(struct http_response){.error = cases[i].err, .error_text = cases[i].text},
			cases[i].err == HTTP_TOO_LARGE ? "larger" : cases[i].text,
			cases[i].next_step);
}

/* --- failures -------------------------------------------------------------------------------- */

static void test_the_first_cause_stays(void **state)
{
	struct failure failure = {0}, other = {0};

	(void)state;
	failure_set(&failure, "do", "first %d", 1);
	failure_set(&failure, "do not", "second");
	failure_set_errno(&other, ENOSPC, "writing %s", "x");
	assert_string_equal(other.cause, "writing x: No space left on device");
	assert_non_null(strstr(other.next_step, "free some space"));
	failure_move(&failure, &other);
	assert_string_equal(failure.cause, "first 1");
	assert_string_equal(failure.next_step, "do");
	assert_false(failure_is_set(&other));
	failure_done(&failure);
	assert_false(failure_is_set(&failure));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boulder),
		cmocka_unit_test(test_secondary),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_limits_and_accounts),
		cmocka_unit_test(test_subproblems),
		cmocka_unit_test(test_odd_problems),
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_visit),
		cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_transport),
		cmocka_unit_test(test_the_first_cause_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
