// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/identifier.h"

static void test_dns(void **state)
{
	static const struct {
		const char *text, *value;
	} cases[] = {
		{"example.com", "example.com"},
		{"WWW.Example.COM", "www.example.com"},
		{"example.com.", "example.com"},
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"1.example", "1.example"},
		{"a-b--c.example", "a-b--c.example"},
		{"1.2.3.4.example", "1.2.3.4.example"},
		{"4.3.2.1.in-addr.arpa", "4.3.2.1.in-addr.arpa"},
	};
	struct identifier identifier;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(identifier_parse(&identifier, cases[i].text), IDENTIFIER_OK);
		assert_int_equal(identifier.type, IDENTIFIER_DNS);
		assert_string_equal(identifier.value, cases[i].value);
		assert_string_equal(identifier.sni, cases[i].value);
		assert_string_equal(identifier_acme_type(&identifier), "dns");
	}
}

static void test_ipv4(void **state)
{
	static const uint8_t address[] = {192, 0, 2, 17};
	struct identifier identifier;

	(void)state;
	assert_int_equal(identifier_parse(&identifier, "192.0.2.17"), IDENTIFIER_OK);
	assert_int_equal(identifier.type, IDENTIFIER_IPV4);
	assert_memory_equal(identifier.address, address, sizeof(address));
	assert_string_equal(identifier.value, "192.0.2.17");
	assert_string_equal(identifier.sni, "17.2.0.192.in-addr.arpa");
	assert_string_equal(identifier_acme_type(&identifier), "ip");
}

static void test_ipv6(void **state)
{
	static const struct {
		const char *text, *value;
	} cases[] = {
		/* RFC 5952 section 4 */
		{"2001:db8::1", "2001:db8::1"},
		{"2001:0DB8:0000:0000:0000:0000:0000:0001", "2001:db8::1"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
		{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"2001:DB8::AbCd", "2001:db8::abcd"},
		{"[2001:db8::1]", "2001:db8::1"},
		{"::", "::"},
		{"::1", "::1"},
		{"::1:2", "::1:2"},
		{"::192.0.2.1", "::c000:201"},
		/* RFC 5952 section 5 */
		{"::ffff:c000:201", "::ffff:192.0.2.1"},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
		{"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
	};
	struct identifier identifier, again;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(identifier_parse(&identifier, cases[i].text), IDENTIFIER_OK);
		assert_int_equal(identifier.type, IDENTIFIER_IPV6);
		assert_string_equal(identifier.value, cases[i].value);
		assert_string_equal(identifier_acme_type(&identifier), "ip");
		assert_int_equal(identifier_parse(&again, identifier.value), IDENTIFIER_OK);
		assert_memory_equal(&again, &identifier, sizeof(again));
	}
	/* The example of RFC 8738 section 6. */
	assert_int_equal(identifier_parse(&identifier, "2001:db8::1"), IDENTIFIER_OK);
	assert_string_equal(
		identifier.sni,
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		enum identifier_error err;
	} cases[] = {
		{"", IDENTIFIER_EMPTY},
		{".", IDENTIFIER_EMPTY},
		{"*.example.com", IDENTIFIER_WILDCARD},
		{"*", IDENTIFIER_WILDCARD},
		{"a.*.example.com", IDENTIFIER_BAD_LABEL},
		{"*a.example.com", IDENTIFIER_BAD_LABEL},
		{"b\xc3\xbc"
		 "cher.example",
		 IDENTIFIER_NOT_ASCII},
		{"a_b.example", IDENTIFIER_BAD_LABEL},
		{"-a.example", IDENTIFIER_BAD_LABEL},
		{"a-.example", IDENTIFIER_BAD_LABEL},
		{"a..example", IDENTIFIER_BAD_LABEL},
		{".example", IDENTIFIER_BAD_LABEL},
		{"example..", IDENTIFIER_BAD_LABEL},
		{"a b.example", IDENTIFIER_BAD_LABEL},
		{"a.example\n", IDENTIFIER_BAD_LABEL},
		{"https://a.example", IDENTIFIER_BAD_LABEL},
		{"a.example:443", IDENTIFIER_BAD_LABEL},
		{"1.2.3", IDENTIFIER_BAD_LABEL},
		{"1.2.3.4.5", IDENTIFIER_BAD_LABEL},
		{"256.1.1.1", IDENTIFIER_BAD_LABEL},
		{"1.2.3.4.", IDENTIFIER_BAD_LABEL},
		{"01.2.3.4", IDENTIFIER_BAD_LABEL},
		{"17", IDENTIFIER_BAD_LABEL},
		{"::1::", IDENTIFIER_BAD_LABEL},
		{"fe80::1%eth0", IDENTIFIER_BAD_LABEL},
		{"[::1", IDENTIFIER_BAD_LABEL},
		{"[", IDENTIFIER_BAD_LABEL},
		{"[]", IDENTIFIER_BAD_LABEL},
		{"[1.2.3.4]", IDENTIFIER_BAD_LABEL},
	};
	struct identifier identifier, before;
	size_t i;

	(void)state;
	memset(&before, 0x5a, sizeof(before));
	identifier = before;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (identifier_parse(&identifier, cases[i].text) != cases[i].err)
			fail_msg("\"%s\": %s", cases[i].text,
				 identifier_error_text(
					 identifier_parse(&identifier, cases[i].text)));
		assert_memory_equal(&identifier, &before, sizeof(before));
	}
}

static void test_lengths(void **state)
{
	struct identifier identifier;
	char name[300] = {0}, label[65] = {0};

	(void)state;
	memset(label, 'a', 63);
	/* 63 + 1 + 63 + 1 + 63 + 1 + 61 = 253 */
	sprintf(name, "%s.%s.%s.%.61s", label, label, label, label);
	assert_int_equal(strlen(name), 253);
	assert_int_equal(identifier_parse(&identifier, name), IDENTIFIER_OK);
	assert_string_equal(identifier.sni, name);
	strcat(name, ".");
	assert_int_equal(identifier_parse(&identifier, name), IDENTIFIER_OK);
	name[253] = 'a';
	assert_int_equal(identifier_parse(&identifier, name), IDENTIFIER_TOO_LONG);
	sprintf(name, "%sa.example", label);
	assert_int_equal(identifier_parse(&identifier, name), IDENTIFIER_BAD_LABEL);
}

static void test_single_label(void **state)
{
	struct identifier identifier;

	(void)state;
	assert_int_equal(identifier_parse(&identifier, "LocalHost"), IDENTIFIER_SINGLE_LABEL);
	assert_string_equal(identifier.value, "localhost");
	assert_int_equal(identifier_parse(&identifier, "printer."), IDENTIFIER_SINGLE_LABEL);
	assert_string_equal(identifier.sni, "printer");
}

static void test_texts(void **state)
{
	(void)state;
	assert_non_null(strstr(identifier_error_text(IDENTIFIER_WILDCARD), "dns-01"));
	assert_non_null(strstr(identifier_error_text(IDENTIFIER_NOT_ASCII), "xn--"));
	assert_string_not_equal(identifier_error_text(IDENTIFIER_TOO_LONG),
				identifier_error_text(IDENTIFIER_BAD_LABEL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dns),     cmocka_unit_test(test_ipv4),
		cmocka_unit_test(test_ipv6),    cmocka_unit_test(test_refused),
		cmocka_unit_test(test_lengths), cmocka_unit_test(test_single_label),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
