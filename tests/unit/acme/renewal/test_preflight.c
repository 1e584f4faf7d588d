// SPDX-License-Identifier: GPL-3.0-or-later
/* preflight.c: what forbids an order, and what is only worth a warning. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "acme/util/failure.h"
#include "acme/renewal/preflight.h"
#include "common/identifier.h"

struct given {
	const char *name;
	enum dns_status ipv4, ipv6, caa;
	enum caa_verdict verdict;
	const char *cause; /* NULL: it may succeed */
	const char *doubt; /* NULL: none */
};

static void check(const struct given *given)
{
	struct preflight_name name = {.caa.verdict = given->verdict};
	char doubt[PREFLIGHT_DOUBT_MAX];
	struct failure failure = {0};
	struct identifier identifier;

	assert_int_equal(identifier_parse(&identifier, given->name), IDENTIFIER_OK);
	name.identifier = &identifier;
	name.lookup.ipv4.status = given->ipv4;
	name.lookup.ipv6.status = given->ipv6;
	name.lookup.caa.status = given->caa;
	name.caa.reason = given->verdict == CAA_FORBIDDEN ? CAA_NOBODY : CAA_NO_RECORDS;
	preflight_judge(&name, &failure);
	assert_int_equal(failure_is_set(&failure), given->cause != NULL);
	if (given->cause) {
		assert_non_null(strstr(failure.cause, given->cause));
		assert_non_null(strstr(failure.next_step, "--no-preflight"));
	}
	preflight_doubt(&name, doubt);
	if (given->doubt)
		assert_non_null(strstr(doubt, given->doubt));
	else
		assert_string_equal(doubt, "");
	failure_done(&failure);
}

static void test_good(void **state)
{
	(void)state;
	check(&(struct given){"a.example", DNS_FOUND, DNS_NO_DATA, DNS_NO_DATA, CAA_ALLOWED, NULL,
			      NULL});
	check(&(struct given){"a.example", DNS_FOUND, DNS_FOUND, DNS_FOUND, CAA_UNKNOWN, NULL,
			      NULL});
}

static void test_certain(void **state)
{
	(void)state;
	check(&(struct given){"a.example", DNS_NO_NAME, DNS_NO_NAME, DNS_NO_NAME, CAA_ALLOWED,
			      "NXDOMAIN", NULL});
	check(&(struct given){"a.example", DNS_FOUND, DNS_FOUND, DNS_FOUND, CAA_FORBIDDEN,
			      "lets no CA issue", NULL});
}

/* What is not known forbids nothing: half an answer, none, a resolver that is not there. */
static void test_not_known(void **state)
{
	(void)state;
	check(&(struct given){"a.example", DNS_NO_NAME, DNS_TIMED_OUT, DNS_TIMED_OUT, CAA_UNKNOWN,
			      NULL, NULL});
	check(&(struct given){"a.example", DNS_NO_RESOLVER, DNS_NO_RESOLVER, DNS_NO_RESOLVER,
			      CAA_UNKNOWN, NULL, NULL});
}

static void test_doubt(void **state)
{
	(void)state;
	check(&(struct given){"a.example", DNS_NO_DATA, DNS_NO_DATA, DNS_NO_DATA, CAA_ALLOWED, NULL,
			      "has no address"});
	check(&(struct given){"a.example", DNS_FOUND, DNS_FOUND, DNS_FAILED, CAA_UNKNOWN, NULL,
			      "takes for a refusal"});
}

/* Of an IP address the DNS says nothing. */
static void test_address(void **state)
{
	(void)state;
	check(&(struct given){"192.0.2.1", DNS_NO_DATA, DNS_NO_DATA, DNS_FAILED, CAA_ALLOWED, NULL,
			      NULL});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),      cmocka_unit_test(test_certain),
		cmocka_unit_test(test_not_known), cmocka_unit_test(test_doubt),
		cmocka_unit_test(test_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
