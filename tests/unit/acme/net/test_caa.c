// SPDX-License-Identifier: GPL-3.0-or-later
/* CAA: the examples of RFC 8659 and RFC 8657, and what else is found in the wild. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "acme/net/caa.h"

#define ACCOUNT "https://ca.example/account/1234"
#define RECORDS 4

static const char *const issuers[] = {"ca.example", "ca.example.net"};

static const struct caa_question question = {
	.issuers = issuers, .issuer_count = 2, .method = "tls-alpn-01", .account_url = ACCOUNT};
static const struct caa_question without_account = {
	.issuers = issuers, .issuer_count = 2, .method = "tls-alpn-01"};
static const struct caa_question without_issuers = {.method = "tls-alpn-01",
						    .account_url = ACCOUNT};

struct record {
	uint8_t flags;
	const char *tag, *value;
};

struct vector {
	struct record records[RECORDS];
	enum caa_verdict verdict;
	enum caa_reason reason;
	int decides; /* the record that does; -1: none */
};

static void check(const struct vector *vector, const struct caa_question *asked)
{
	struct caa_record records[RECORDS];
	struct caa_finding finding;
	size_t count = 0;

	for (; count < RECORDS && vector->records[count].tag; count++)
		records[count] = (struct caa_record){
			.flags = vector->records[count].flags,
			.tag = (char *)vector->records[count].tag,
			.value = (char *)vector->records[count].value,
			.value_size = strlen(vector->records[count].value),
		};
	finding = caa_judge(records, count, asked);
	if (finding.verdict != vector->verdict || finding.reason != vector->reason)
		fail_msg("'%s': %s, %s", count ? records[0].value : "none",
			 caa_verdict_name(finding.verdict), caa_reason_name(finding.reason));
	if (vector->decides < 0)
		assert_null(finding.record);
	else
		assert_ptr_equal(finding.record, &records[vector->decides]);
}

#define CHECK_ALL(vectors, asked)                                         \
	for (size_t n = 0; n < sizeof(vectors) / sizeof(*(vectors)); n++) \
	check(&(vectors)[n], asked)

#define ISSUE(value)              \
	{                         \
		0, "issue", value \
	}

static void test_issuers(void **state)
{
	static const struct vector vectors[] = {
		{{{0}}, CAA_ALLOWED, CAA_NO_RECORDS, -1},
		{{ISSUE("ca.example")}, CAA_ALLOWED, CAA_PERMITTED, 0},
		{{ISSUE("CA.Example")}, CAA_ALLOWED, CAA_PERMITTED, 0},
		{{ISSUE("ca.example.net")}, CAA_ALLOWED, CAA_PERMITTED, 0},
		{{{0, "ISSUE", "ca.example"}}, CAA_ALLOWED, CAA_PERMITTED, 0},
		{{ISSUE(" \tca.example\t ")}, CAA_ALLOWED, CAA_PERMITTED, 0},
		{{ISSUE("ca.example; account=230123")}, CAA_ALLOWED, CAA_PERMITTED, 0},
		{{ISSUE("ca.example ; ")}, CAA_ALLOWED, CAA_PERMITTED, 0},
		{{ISSUE("ca.example;a=b;c = d ; e=")}, CAA_ALLOWED, CAA_PERMITTED, 0},
		{{ISSUE("other.example")}, CAA_FORBIDDEN, CAA_OTHER_ISSUER, 0},
		{{ISSUE("a.ca.example")}, CAA_FORBIDDEN, CAA_OTHER_ISSUER, 0},
		{{ISSUE("ca.exampl")}, CAA_FORBIDDEN, CAA_OTHER_ISSUER, 0},
		{{ISSUE(";")}, CAA_FORBIDDEN, CAA_NOBODY, 0},
		{{ISSUE("")}, CAA_FORBIDDEN, CAA_NOBODY, 0},
		{{ISSUE(" ; a=b")}, CAA_FORBIDDEN, CAA_NOBODY, 0},
		{{ISSUE("other.example"), ISSUE("ca.example")}, CAA_ALLOWED, CAA_PERMITTED, 1},
		{{ISSUE("ca.example"), ISSUE(";")}, CAA_ALLOWED, CAA_PERMITTED, 0},
		{{ISSUE(";"), ISSUE("other.example")}, CAA_FORBIDDEN, CAA_OTHER_ISSUER, 1},
	};

	(void)state;
	CHECK_ALL(vectors, &question);
}

/* RFC 8659 section 4.2: what does not follow the grammar names nobody. */
static void test_malformed(void **state)
{
	static const struct vector vectors[] = {
		{{ISSUE("%%%%%")}, CAA_FORBIDDEN, CAA_MALFORMED, 0},
		{{ISSUE("ca.example policy=ev")}, CAA_FORBIDDEN, CAA_MALFORMED, 0},
		{{ISSUE("ca.example.")}, CAA_FORBIDDEN, CAA_MALFORMED, 0},
		{{ISSUE("ca..example")}, CAA_FORBIDDEN, CAA_MALFORMED, 0},
		{{ISSUE("-ca.example")}, CAA_FORBIDDEN, CAA_MALFORMED, 0},
		{{ISSUE("ca-.example")}, CAA_FORBIDDEN, CAA_MALFORMED, 0},
		{{ISSUE("ca.example; a")}, CAA_FORBIDDEN, CAA_MALFORMED, 0},
		{{ISSUE("ca.example; a_b=c")}, CAA_FORBIDDEN, CAA_MALFORMED, 0},
		{{ISSUE("ca.example; a=b c")}, CAA_FORBIDDEN, CAA_MALFORMED, 0},
		{{ISSUE("ca.example;; a=b")}, CAA_FORBIDDEN, CAA_MALFORMED, 0},
		{{ISSUE("ca.example; =b")}, CAA_FORBIDDEN, CAA_MALFORMED, 0},
		{{ISSUE("ca.example; a=\x01")}, CAA_FORBIDDEN, CAA_MALFORMED, 0},
		{{ISSUE("ca.example; a=\xc3\xa4")}, CAA_FORBIDDEN, CAA_MALFORMED, 0},
		{{ISSUE("%"), ISSUE("ca.example")}, CAA_ALLOWED, CAA_PERMITTED, 1},
		{{ISSUE("%"), ISSUE("other.example")}, CAA_FORBIDDEN, CAA_OTHER_ISSUER, 1},
	};
	struct caa_record zero_inside = {
		.tag = (char *)"issue", .value = (char *)"ca.example\0", .value_size = 11};

	(void)state;
	CHECK_ALL(vectors, &question);
	assert_int_equal(caa_judge(&zero_inside, 1, &question).reason, CAA_MALFORMED);
}

static void test_other_properties(void **state)
{
	static const struct vector vectors[] = {
		{{{0, "issuewild", ";"}}, CAA_ALLOWED, CAA_NO_ISSUE, -1},
		{{{128, "issuewild", "other.example"}}, CAA_ALLOWED, CAA_NO_ISSUE, -1},
		{{{0, "iodef", "mailto:a@example.org"}}, CAA_ALLOWED, CAA_NO_ISSUE, -1},
		{{{0, "tbs", "Unknown"}}, CAA_ALLOWED, CAA_NO_ISSUE, -1},
		{{{0, "issuewild", "ca.example"}, ISSUE(";")}, CAA_FORBIDDEN, CAA_NOBODY, 1},
		{{{128, "issue", "ca.example"}}, CAA_ALLOWED, CAA_PERMITTED, 0},
		{{{128, "ISSUEMAIL", ";"}}, CAA_ALLOWED, CAA_NO_ISSUE, -1},
		/* RFC 8659 section 4.1, and what Boulder makes of a 1. */
		{{{128, "tbs", "Unknown"}}, CAA_FORBIDDEN, CAA_CRITICAL, 0},
		{{{1, "tbs", "Unknown"}}, CAA_FORBIDDEN, CAA_CRITICAL, 0},
		{{{2, "tbs", "Unknown"}}, CAA_ALLOWED, CAA_NO_ISSUE, -1},
		{{ISSUE("ca.example"), {128, "tbs", "Unknown"}}, CAA_FORBIDDEN, CAA_CRITICAL, 1},
	};

	(void)state;
	CHECK_ALL(vectors, &question);
}

/* RFC 8657. */
static void test_parameters(void **state)
{
	static const struct vector vectors[] = {
		{{ISSUE("ca.example; validationmethods=tls-alpn-01")},
		 CAA_ALLOWED,
		 CAA_PERMITTED,
		 0},
		{{ISSUE("ca.example; ValidationMethods=dns-01,tls-alpn-01")},
		 CAA_ALLOWED,
		 CAA_PERMITTED,
		 0},
		{{ISSUE("ca.example; validationmethods=dns-01,http-01")},
		 CAA_FORBIDDEN,
		 CAA_OTHER_METHOD,
		 0},
		{{ISSUE("ca.example; validationmethods=tls-alpn-011")},
		 CAA_FORBIDDEN,
		 CAA_OTHER_METHOD,
		 0},
		{{ISSUE("ca.example; validationmethods=TLS-ALPN-01")},
		 CAA_FORBIDDEN,
		 CAA_OTHER_METHOD,
		 0},
		{{ISSUE("ca.example; validationmethods=")}, CAA_FORBIDDEN, CAA_OTHER_METHOD, 0},
		{{ISSUE("ca.example; validationmethods=,")}, CAA_FORBIDDEN, CAA_OTHER_METHOD, 0},
		{{ISSUE("ca.example; validationmethods=tls-alpn-01; validationmethods=dns-01")},
		 CAA_FORBIDDEN,
		 CAA_MALFORMED,
		 0},
		{{ISSUE("ca.example; accounturi=" ACCOUNT)}, CAA_ALLOWED, CAA_PERMITTED, 0},
		{{ISSUE("ca.example; accounturi=" ACCOUNT "5")},
		 CAA_FORBIDDEN,
		 CAA_OTHER_ACCOUNT,
		 0},
		{{ISSUE("ca.example; accounturi=HTTPS://ca.example/account/1234")},
		 CAA_FORBIDDEN,
		 CAA_OTHER_ACCOUNT,
		 0},
		{{ISSUE("ca.example; accounturi=")}, CAA_FORBIDDEN, CAA_OTHER_ACCOUNT, 0},
		{{ISSUE("ca.example; accounturi=" ACCOUNT "; accounturi=" ACCOUNT)},
		 CAA_FORBIDDEN,
		 CAA_MALFORMED,
		 0},
		{{ISSUE("ca.example; accounturi=" ACCOUNT "; validationmethods=dns-01")},
		 CAA_FORBIDDEN,
		 CAA_OTHER_METHOD,
		 0},
		{{ISSUE("ca.example; accounturi=x:1"), ISSUE("ca.example; accounturi=" ACCOUNT)},
		 CAA_ALLOWED,
		 CAA_PERMITTED,
		 1},
		{{ISSUE("ca.example; validationmethods=dns-01"), ISSUE("other.example")},
		 CAA_FORBIDDEN,
		 CAA_OTHER_METHOD,
		 0},
		{{ISSUE("other.example; accounturi=" ACCOUNT)}, CAA_FORBIDDEN, CAA_OTHER_ISSUER, 0},
	};

	(void)state;
	CHECK_ALL(vectors, &question);
}

static void test_unknown_account(void **state)
{
	static const struct vector vectors[] = {
		{{ISSUE("ca.example")}, CAA_ALLOWED, CAA_PERMITTED, 0},
		{{ISSUE("ca.example; accounturi=x:1")}, CAA_UNKNOWN, CAA_ACCOUNT_UNKNOWN, 0},
		{{ISSUE("ca.example; accounturi=x:1"), ISSUE("other.example")},
		 CAA_UNKNOWN,
		 CAA_ACCOUNT_UNKNOWN,
		 0},
		{{ISSUE("ca.example; accounturi=x:1; validationmethods=dns-01")},
		 CAA_FORBIDDEN,
		 CAA_OTHER_METHOD,
		 0},
	};

	(void)state;
	CHECK_ALL(vectors, &without_account);
}

/* What holds for every CA holds for one that does not tell its name, too. */
static void test_unknown_issuer(void **state)
{
	static const struct vector vectors[] = {
		{{{0}}, CAA_ALLOWED, CAA_NO_RECORDS, -1},
		{{ISSUE(";")}, CAA_FORBIDDEN, CAA_NOBODY, 0},
		{{ISSUE("ca.example")}, CAA_UNKNOWN, CAA_ISSUER_UNKNOWN, 0},
		{{ISSUE("ca.example; validationmethods=dns-01")},
		 CAA_FORBIDDEN,
		 CAA_OTHER_METHOD,
		 0},
		{{ISSUE("a.example; validationmethods=dns-01"), ISSUE("b.example")},
		 CAA_UNKNOWN,
		 CAA_ISSUER_UNKNOWN,
		 1},
	};

	(void)state;
	CHECK_ALL(vectors, &without_issuers);
}

static void test_climbing(void **state)
{
	const char *name = "a.b.example";

	(void)state;
	name = caa_parent(name);
	assert_string_equal(name, "b.example");
	name = caa_parent(name);
	assert_string_equal(name, "example");
	assert_null(caa_parent(name));
	assert_null(caa_parent("example."));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_issuers),          cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_other_properties), cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_unknown_account),  cmocka_unit_test(test_unknown_issuer),
		cmocka_unit_test(test_climbing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
