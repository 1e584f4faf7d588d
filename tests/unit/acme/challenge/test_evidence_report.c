// SPDX-License-Identifier: GPL-3.0-or-later
/* The evidence that is left without this host's own connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include "acme/net/dns_answer.h"
#include "acme/challenge/evidence_report.h"
#include "common/evidence.h"

static struct dns_address ipv4(const char *text)
{
	struct dns_address address = {.family = AF_INET};

	assert_int_equal(inet_pton(AF_INET, text, &address.ipv4), 1);
	return address;
}

static void add(struct evidence_of_name *seen, const char *text, uint32_t count)
{
	struct evidence_record *record = &seen->records[seen->record_count++];
	struct dns_address address = ipv4(text);

	*record = (struct evidence_record){.count = count, .result = EVIDENCE_ANSWERED};
	memcpy(record->address, &address.ipv4, sizeof(address.ipv4));
	seen->counts[EVIDENCE_ANSWERED] += count;
}

static void test_only_own(void **state)
{
	const struct dns_address own = ipv4("192.0.2.2");
	struct evidence_of_name seen = {0};

	(void)state;
	add(&seen, "192.0.2.2", 1);
	assert_true(evidence_report_forget(&seen, &own));
	assert_int_equal(seen.record_count, 0);
	assert_int_equal(seen.counts[EVIDENCE_ANSWERED], 0);
}

static void test_others_stay(void **state)
{
	const struct dns_address own = ipv4("192.0.2.2"), other = ipv4("198.51.100.9");
	struct evidence_of_name seen = {0};

	(void)state;
	add(&seen, "192.0.2.2", 1);
	add(&seen, "198.51.100.9", 3);
	assert_false(evidence_report_forget(&seen, &own));
	assert_int_equal(seen.record_count, 1);
	assert_memory_equal(seen.records[0].address, &other.ipv4, sizeof(other.ipv4));
	assert_int_equal(seen.counts[EVIDENCE_ANSWERED], 3);
}

/* A CA on this very host comes from the same address: one visit is ours. */
static void test_same_address(void **state)
{
	const struct dns_address own = ipv4("192.0.2.2");
	struct evidence_of_name seen = {0};

	(void)state;
	add(&seen, "192.0.2.2", 2);
	assert_false(evidence_report_forget(&seen, &own));
	assert_int_equal(seen.records[0].count, 1);
}

/* The same bytes are another address in the other family. */
static void test_other_family(void **state)
{
	struct dns_address own = {.family = AF_INET6};
	const struct dns_address bytes = ipv4("192.0.2.2");
	struct evidence_of_name seen = {0};

	(void)state;
	memcpy(&own.ipv6, &bytes.ipv4, sizeof(bytes.ipv4));
	add(&seen, "192.0.2.2", 1);
	assert_false(evidence_report_forget(&seen, &own));
	assert_int_equal(seen.record_count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_own),
		cmocka_unit_test(test_others_stay),
		cmocka_unit_test(test_same_address),
		cmocka_unit_test(test_other_family),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
