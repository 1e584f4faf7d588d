// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/challenge/evidence_report.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "acme/net/dns_answer.h"
#include "acme/util/output.h"
#include "common/evidence.h"
#include "common/identifier.h"
#include "common/paths.h"

#define US_PER_S  1000000
#define US_PER_MS 1000

/* --- names and texts -------------------------------------------------------------------------- */

static const struct {
	const char *name; /* for JSON */
	const char *text;
} results[EVIDENCE_RESULTS] = {
	[EVIDENCE_ANSWERED] = {"answered", "answered with the challenge's certificate"},
	[EVIDENCE_ALERT] = {"alert", "ended by the client with an alert"},
	[EVIDENCE_FAILED] = {"failed", "ended by an error in the handshake"},
	[EVIDENCE_LEFT] = {"left", "closed by the client during the handshake"},
	[EVIDENCE_DEADLINE] = {"deadline", "not finished by the client in time"},
};

static const struct {
	const char *name;
	const char *text;
} vias[EVIDENCE_VIAS] = {
	[EVIDENCE_STEERED] = {"steered", "steered"},
	[EVIDENCE_ADOPTED] = {"adopted", "steered (adopted)"},
	[EVIDENCE_STANDALONE] = {"standalone", "standalone"},
};

static const struct {
	enum evidence_feature feature;
	const char *name;
} features[] = {
	{EVIDENCE_GROUP_X25519MLKEM768, "group_x25519mlkem768"},
	{EVIDENCE_GROUP_X25519, "group_x25519"},
	{EVIDENCE_GROUP_P256, "group_secp256r1"},
	{EVIDENCE_SHARE_X25519MLKEM768, "share_x25519mlkem768"},
	{EVIDENCE_SHARE_X25519, "share_x25519"},
	{EVIDENCE_SHARE_P256, "share_secp256r1"},
	{EVIDENCE_RETRIED, "hello_retry_request"},
	{EVIDENCE_UPPER_CASE, "upper_case_name"},
	{EVIDENCE_TRAILING_DOT, "trailing_dot"},
};

#define FEATURES (sizeof(features) / sizeof(*features))

/* The alerts of RFC 8446 section 6.2 that a validator sends or gets. */
static const struct {
	uint8_t code;
	const char *name;
} alerts[] = {
	{0, "close_notify"},
	{10, "unexpected_message"},
	{20, "bad_record_mac"},
	{40, "handshake_failure"},
	{42, "bad_certificate"},
	{43, "unsupported_certificate"},
	{46, "certificate_unknown"},
	{47, "illegal_parameter"},
	{48, "unknown_ca"},
	{50, "decode_error"},
	{51, "decrypt_error"},
	{70, "protocol_version"},
	{80, "internal_error"},
	{90, "user_canceled"},
	{109, "missing_extension"},
	{112, "unrecognized_name"},
	{120, "no_application_protocol"},
};

struct alert_text {
	char text[32];
};

static struct alert_text alert_text(uint8_t code)
{
	struct alert_text alert = {""};
	size_t i;

	snprintf(alert.text, sizeof(alert.text), "alert %u", code);
	for (i = 0; i < sizeof(alerts) / sizeof(*alerts); i++)
		if (alerts[i].code == code)
			snprintf(alert.text, sizeof(alert.text), "%s", alerts[i].name);
	return alert;
}

struct address_text {
	char text[INET6_ADDRSTRLEN];
};

static struct address_text address_text(const struct evidence_record *record)
{
	struct address_text address = {""};

	inet_ntop(record->ipv6 ? AF_INET6 : AF_INET, record->address, address.text,
		  sizeof(address.text));
	return address;
}

static const char *version_text(const struct evidence_record *record)
{
	switch (record->tls_version) {
	case 0x0303:
		return "TLS 1.2";
	case 0x0304:
		return "TLS 1.3";
	default:
		return "no TLS version";
	}
}

/* False for a record of another version of the responder, with values unknown here. */
static bool is_understood(const struct evidence_record *record)
{
	return record->result < EVIDENCE_RESULTS && record->via < EVIDENCE_VIAS;
}

/* --- reading ---------------------------------------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
	const struct evidence_record *left = a, *right = b;

	return (left->at_us > right->at_us) - (left->at_us < right->at_us);
}

static bool is_from(const struct evidence_record *record, const struct dns_address *address)
{
	if (record->ipv6 != (address->family == AF_INET6))
		return false;
	return !memcmp(record->address, &address->ipv4,
		       record->ipv6 ? sizeof(address->ipv6) : sizeof(address->ipv4));
}

static uint64_t sum_of(const struct evidence_of_name *seen)
{
	uint64_t sum = 0;
	int result;

	for (result = 0; result < EVIDENCE_RESULTS; result++)
		sum += seen->counts[result];
	return sum;
}

bool evidence_report_forget(struct evidence_of_name *seen, const struct dns_address *address)
{
	struct evidence_record *record = seen->records;
	uint32_t i;

	for (i = 0; i < seen->record_count && !is_from(&record[i], address); i++)
		;
	if (i < seen->record_count) {
		seen->counts[record[i].result]--;
		if (!--record[i].count)
			memmove(&record[i], &record[i + 1],
				(--seen->record_count - i) * sizeof(*record));
	}
	return !sum_of(seen);
}

int evidence_report_read(struct evidence_of_name *ret_seen, const struct paths *paths,
			 const struct identifier *identifier, uint64_t since_ns)
{
	struct evidence_of_name seen;
	struct evidence *evidence;
	int err;

	err = evidence_open(&evidence, paths->evidence, false);
	if (err)
		return err;
	err = evidence_find(evidence, identifier->sni, strlen(identifier->sni), &seen);
	evidence_free(evidence);
	if (!err && seen.armed_ns < since_ns)
		err = -ENOENT;
	if (err)
		return err;
	qsort(seen.records, seen.record_count, sizeof(seen.records[0]), by_time);
	*ret_seen = seen;
	return 0;
}

/* --- as text ---------------------------------------------------------------------------------- */

/* The record of the last connection without the right answer; NULL: there is none. */
static const struct evidence_record *last_failed(const struct evidence_of_name *seen)
{
	size_t i = seen->record_count;

	while (i--)
		if (is_understood(&seen->records[i]) &&
		    seen->records[i].result != EVIDENCE_ANSWERED)
			return &seen->records[i];
	return NULL;
}

void evidence_report_sum_up(char ret_text[EVIDENCE_REPORT_MAX], const struct evidence_of_name *seen)
{
	const struct evidence_record *failed = seen ? last_failed(seen) : NULL;
	uint64_t sum = seen ? sum_of(seen) : 0;
	uint32_t answered = seen ? seen->counts[EVIDENCE_ANSWERED] : 0;

	if (!sum)
		snprintf(ret_text, EVIDENCE_REPORT_MAX,
			 "no connection for this challenge came to the responder: the CA never "
			 "arrived at this host, or its connection was not steered");
	else if (answered == sum)
		snprintf(ret_text, EVIDENCE_REPORT_MAX,
			 "%u connection%s came to this host and got the right answer: the failed "
			 "connections went to another host, or never arrived here",
			 answered, answered == 1 ? "" : "s");
	else if (failed)
		snprintf(ret_text, EVIDENCE_REPORT_MAX,
			 "%u of %" PRIu64 " connections that came to this host got the right "
			 "answer; the last of the others, from %s: %s%s%s",
			 answered, sum, address_text(failed).text, results[failed->result].text,
			 failed->result == EVIDENCE_ALERT ? ": " : "",
			 failed->result == EVIDENCE_ALERT ? alert_text(failed->alert_received).text
							  : "");
	else
		snprintf(ret_text, EVIDENCE_REPORT_MAX,
			 "%u of %" PRIu64
			 " connections that came to this host got the right answer",
			 answered, sum);
}

static void show_record(const struct evidence_record *record)
{
	char when[sizeof("12:00:00")], alert[64] = "";
	time_t at_s = (time_t)(record->at_us / US_PER_S);
	struct tm utc;

	if (!gmtime_r(&at_s, &utc) || !strftime(when, sizeof(when), "%H:%M:%S", &utc))
		when[0] = '\0';
	if (record->result == EVIDENCE_ALERT)
		snprintf(alert, sizeof(alert), ": %s", alert_text(record->alert_received).text);
	else if (record->result == EVIDENCE_FAILED && record->alert_sent != EVIDENCE_NO_ALERT)
		snprintf(alert, sizeof(alert), ": the responder sent %s",
			 alert_text(record->alert_sent).text);
	output_line("  %s UTC  %s  %s%s  (%s, %s, hello of %u bytes in %u piece%s, %u ms, %u of "
		    "this kind)",
		    when, address_text(record).text, results[record->result].text, alert,
		    version_text(record), vias[record->via].text, record->hello_size,
		    record->hello_pieces, record->hello_pieces == 1 ? "" : "s",
		    record->duration_us / US_PER_MS, record->count);
}

void evidence_report_show(const struct evidence_of_name *seen)
{
	size_t i;

	for (i = 0; i < seen->record_count; i++)
		if (is_understood(&seen->records[i]))
			show_record(&seen->records[i]);
	if (seen->unrecorded)
		output_line("  and %u more without a record", seen->unrecorded);
}

/* --- as JSON ---------------------------------------------------------------------------------- */

static json_t *alert_to_json(uint8_t code)
{
	return code == EVIDENCE_NO_ALERT ? json_null() : json_string(alert_text(code).text);
}

static json_t *record_to_json(const struct evidence_record *record)
{
	json_t *names = json_array();
	size_t i;

	for (i = 0; i < FEATURES; i++)
		if (record->features & features[i].feature)
			json_array_append_new(names, json_string(features[i].name));
	return json_pack("{s:f, s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:o, s:i, s:i, s:o, s:o}", "at",
			 (double)record->at_us / US_PER_S, "address", address_text(record).text,
			 "family", record->ipv6 ? "ipv6" : "ipv4", "result",
			 results[record->result].name, "via", vias[record->via].name, "tls_version",
			 record->tls_version, "duration_us", (json_int_t)record->duration_us,
			 "count", (json_int_t)record->count, "features", names, "hello_size",
			 record->hello_size, "hello_pieces", record->hello_pieces, "alert_received",
			 alert_to_json(record->alert_received), "alert_sent",
			 alert_to_json(record->alert_sent));
}

json_t *evidence_report_to_json(const struct evidence_of_name *seen)
{
	json_t *counts = json_object(), *records = json_array();
	char text[EVIDENCE_REPORT_MAX];
	size_t i;

	for (i = 0; i < EVIDENCE_RESULTS; i++)
		json_object_set_new(counts, results[i].name,
				    json_integer(seen ? seen->counts[i] : 0));
	for (i = 0; seen && i < seen->record_count; i++)
		if (is_understood(&seen->records[i]))
			json_array_append_new(records, record_to_json(&seen->records[i]));
	evidence_report_sum_up(text, seen);
	return json_pack("{s:s, s:o, s:I, s:o}", "summary", text, "counts", counts, "unrecorded",
			 (json_int_t)(seen ? seen->unrecorded : 0), "records", records);
}
