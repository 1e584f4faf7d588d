// SPDX-License-Identifier: GPL-3.0-or-later
/* What answers of resolvers come to: messages by the byte (RFC 1035 section 4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define CARES_NO_DEPRECATED
#include <ares.h>

#include "acme/net/caa.h"
#include "acme/net/dns_answer.h"

#define NAME "\3www\7example\3org" /* and the zero that ends the string */

struct message {
	uint8_t bytes[1024];
	size_t size;
};

static void add(struct message *message, const void *bytes, size_t size)
{
	memcpy(message->bytes + message->size, bytes, size);
	message->size += size;
}

static void begin(struct message *message, uint8_t type_high, uint8_t type_low, uint8_t answers)
{
	const uint8_t header[] = {0, 1, 0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0};
	const uint8_t question[] = {type_high, type_low, 0, 1};

	message->size = 0;
	add(message, header, sizeof(header));
	add(message, NAME, sizeof(NAME));
	add(message, question, sizeof(question));
}

/* Of the question's name. */
static void add_record(struct message *message, uint8_t type_high, uint8_t type_low,
		       const void *data, uint8_t size)
{
	const uint8_t record[] = {0xc0, 12, type_high, type_low, 0, 1, 0, 0, 0, 60, 0, size};

	add(message, record, sizeof(record));
	add(message, data, size);
}

static struct dns_answer read_message(enum dns_type type, const struct message *message)
{
	struct dns_answer answer;

	dns_answer_read(&answer, type, ARES_SUCCESS, message->bytes, (int)message->size);
	assert_int_equal(answer.type, type);
	return answer;
}

static void test_addresses(void **state)
{
	struct dns_answer answer;
	struct message message;

	(void)state;
	begin(&message, 0, 1, 2);
	add_record(&message, 0, 1, "\xc0\x00\x02\x01", 4);
	add_record(&message, 0, 1, "\xc0\x00\x02\x02", 4);
	answer = read_message(DNS_A, &message);
	assert_int_equal(answer.status, DNS_FOUND);
	assert_int_equal(answer.count, 2);
	assert_string_equal(dns_address_text(&answer.addresses[1]).text, "192.0.2.2");
	dns_answer_done(&answer);

	begin(&message, 0, 28, 1);
	add_record(&message, 0, 28, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2", 16);
	answer = read_message(DNS_AAAA, &message);
	assert_int_equal(answer.status, DNS_FOUND);
	assert_string_equal(dns_address_text(&answer.addresses[0]).text, "2001:db8::2");
	dns_answer_done(&answer);
}

/* The resolver follows it; what is at its end counts. */
static void test_behind_cname(void **state)
{
	const uint8_t target[] = "\1x\3org", record[] = {0xc0, 45, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4};
	struct dns_answer answer;
	struct message message;

	(void)state;
	begin(&message, 0, 1, 2);
	assert_int_equal(message.size, 33);
	add_record(&message, 0, 5, target, sizeof(target)); /* the target stands at 45 */
	add(&message, record, sizeof(record));
	add(&message, "\xc0\x00\x02\x07", 4);
	answer = read_message(DNS_A, &message);
	assert_int_equal(answer.status, DNS_FOUND);
	assert_string_equal(dns_address_text(&answer.addresses[0]).text, "192.0.2.7");
	dns_answer_done(&answer);

	/* Nothing is there. */
	begin(&message, 0, 1, 1);
	add_record(&message, 0, 5, target, sizeof(target));
	answer = read_message(DNS_A, &message);
	assert_int_equal(answer.status, DNS_NO_DATA);
	assert_null(answer.addresses);
}

static void test_caa(void **state)
{
	struct dns_answer answer;
	struct message message;

	(void)state;
	begin(&message, 1, 1, 2);
	add_record(&message, 1, 1, "\x80\5issue;", 8);
	add_record(&message, 1, 1, "\0\5iodefa\0b", 10);
	answer = read_message(DNS_CAA, &message);
	assert_int_equal(answer.status, DNS_FOUND);
	assert_int_equal(answer.count, 2);
	assert_int_equal(answer.caa[0].flags, 0x80);
	assert_string_equal(answer.caa[0].tag, "issue");
	assert_string_equal(answer.caa[0].value, ";");
	assert_int_equal(answer.caa[0].value_size, 1);
	assert_string_equal(answer.caa[1].tag, "iodef");
	assert_int_equal(answer.caa[1].value_size, 3);
	assert_memory_equal(answer.caa[1].value, "a\0b", 4);
	dns_answer_done(&answer);
	assert_null(answer.caa);
}

static void test_damaged(void **state)
{
	struct dns_answer answer;
	struct message message;

	(void)state;
	begin(&message, 1, 1, 1);
	add_record(&message, 1, 1, "\0\x7fissue", 7); /* the tag is longer than the record */
	answer = read_message(DNS_CAA, &message);
	assert_int_equal(answer.status, DNS_BAD_ANSWER);

	begin(&message, 0, 1, 1);
	add_record(&message, 0, 1, "\xc0\x00\x02\x01", 4);
	message.size -= 2;
	answer = read_message(DNS_A, &message);
	assert_int_equal(answer.status, DNS_BAD_ANSWER);
	assert_null(answer.addresses);
}

static void test_statuses(void **state)
{
	static const struct {
		int ares;
		enum dns_status status;
	} pairs[] = {
		{ARES_ENODATA, DNS_NO_DATA},          {ARES_ENOTFOUND, DNS_NO_NAME},
		{ARES_ESERVFAIL, DNS_FAILED},         {ARES_ENOTIMP, DNS_FAILED},
		{ARES_EREFUSED, DNS_REFUSED},         {ARES_ETIMEOUT, DNS_TIMED_OUT},
		{ARES_ECONNREFUSED, DNS_NO_RESOLVER}, {ARES_EBADRESP, DNS_BAD_ANSWER},
		{ARES_ENOMEM, DNS_NO_MEMORY},
	};
	struct dns_answer answer;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		dns_answer_read(&answer, DNS_A, pairs[i].ares, NULL, 0);
		assert_int_equal(answer.status, pairs[i].status);
		assert_int_equal(answer.count, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses), cmocka_unit_test(test_behind_cname),
		cmocka_unit_test(test_caa),       cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_statuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
