// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/evidence.h"

#define NAME        "www.example.org"
#define ARMED_NS    1000
#define START_US    UINT64_C(1700000000000000)
#define HEADER_SIZE 4096
#define BUCKET_SIZE 6720
#define BUCKETS     2048

static char directory[32], path[64];
static struct evidence *writer, *reader;
static struct evidence_of_name found;

static int setup(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/evidence-XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/evidence", directory);
	assert_int_equal(evidence_create(path, getegid(), true), 0);
	assert_int_equal(evidence_open(&writer, path, true), 0);
	assert_int_equal(evidence_open(&reader, path, false), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	evidence_free(writer);
	evidence_free(reader);
	writer = reader = NULL;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(directory), 0);
	return 0;
}

/* One that came `after_us` after the start from 10.a.b.c. */
static struct evidence_record record_of(uint64_t after_us, unsigned int a, unsigned int b,
					unsigned int c, enum evidence_result result)
{
	return (struct evidence_record){
		.at_us = START_US + after_us,
		.address = {10, (uint8_t)a, (uint8_t)b, (uint8_t)c},
		.result = result,
		.alert_received = result == EVIDENCE_ALERT ? 42 : EVIDENCE_NO_ALERT,
		.alert_sent = EVIDENCE_NO_ALERT,
	};
}

static void add(const char *name, uint64_t armed_ns, struct evidence_record record)
{
	evidence_add(writer, name, strlen(name), armed_ns, &record);
}

static int find(const char *name)
{
	return evidence_find(reader, name, strlen(name), &found);
}

/* The record of 10.a.b.c with this outcome; NULL: there is none. */
static const struct evidence_record *found_of(unsigned int a, unsigned int b, unsigned int c,
					      enum evidence_result result)
{
	struct evidence_record wanted = record_of(0, a, b, c, result);

	for (uint32_t i = 0; i < found.record_count; i++)
		if (!memcmp(found.records[i].address, wanted.address, sizeof(wanted.address)) &&
		    found.records[i].result == result)
			return &found.records[i];
	return NULL;
}

/* Every connection is in a record or counted as in none. */
static void assert_adds_up(uint64_t connections)
{
	uint64_t counted = 0, told = found.unrecorded;

	for (int i = 0; i < EVIDENCE_RESULTS; i++)
		counted += found.counts[i];
	for (uint32_t i = 0; i < found.record_count; i++)
		told += found.records[i].count;
	assert_int_equal(counted, connections);
	assert_int_equal(told, connections);
}

/* --- the file ---------------------------------------------------------------------- */

static void test_file_is_the_groups_to_read(void **state)
{
	struct stat status;

	(void)state;
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0640);
	assert_int_equal(status.st_gid, getegid());
	assert_int_equal(status.st_size, HEADER_SIZE + BUCKETS * BUCKET_SIZE);
	/* What was never written takes no memory. */
	assert_in_range(status.st_blocks * 512, 1, 2 * HEADER_SIZE);
}

static void test_outlives_the_responder(void **state)
{
	(void)state;
	add(NAME, ARMED_NS, record_of(0, 1, 2, 3, EVIDENCE_ANSWERED));
	assert_int_equal(evidence_create(path, getegid(), false), 0);
	assert_int_equal(evidence_create(path, getegid(), true), 0);
	assert_int_equal(find(NAME), 0);
	evidence_free(reader);
	assert_int_equal(evidence_open(&reader, path, false), 0);
	assert_int_equal(find(NAME), 0);
	assert_int_equal(found.record_count, 1);
}

static void overwrite(off_t at, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY);

	assert_int_equal(pwrite(fd, bytes, size, at), size);
	close(fd);
}

static void test_other_layouts_are_refused_and_replaced(void **state)
{
	const uint32_t version = 77;
	struct evidence *evidence = NULL;

	(void)state;
	overwrite(8, &version, sizeof(version));
	assert_int_equal(evidence_open(&evidence, path, false), -EPROTO);
	assert_int_equal(evidence_create(path, getegid(), true), 0);
	assert_int_equal(evidence_open(&evidence, path, false), 0);
	evidence_free(evidence);
	assert_int_equal(truncate(path, HEADER_SIZE), 0);
	assert_int_equal(evidence_open(&evidence, path, false), -EPROTO);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(evidence_open(&evidence, path, false), -ENOENT);
	assert_int_equal(evidence_create(path, getegid(), true), 0);
}

static void test_truncated_under_us(void **state)
{
	(void)state;
	/* For each test cmocka puts a handler of its own in the place of the mapping's. */
	evidence_free(writer);
	evidence_free(reader);
	assert_int_equal(evidence_open(&writer, path, true), 0);
	assert_int_equal(evidence_open(&reader, path, false), 0);
	add(NAME, ARMED_NS, record_of(0, 1, 2, 3, EVIDENCE_ANSWERED));
	assert_false(evidence_is_lost(writer));
	assert_int_equal(truncate(path, HEADER_SIZE), 0);
	assert_int_equal(find(NAME), -EBADMSG);
	add(NAME, ARMED_NS, record_of(0, 1, 2, 3, EVIDENCE_ANSWERED));
	assert_true(evidence_is_lost(writer));
}

/* As many as a responder has threads. */
static void test_many_mappings(void **state)
{
	struct evidence *many[100];

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(evidence_open(&many[i], path, false), 0);
	for (int i = 0; i < 100; i++)
		evidence_free(many[i]);
}

/* --- what is kept --------------------------------------------------------------------- */

static void test_keeps_what_came(void **state)
{
	const struct evidence_record record = {
		.at_us = START_US,
		.duration_us = 1234,
		.address = {0x20, 0x01, 0x0d, 0xb8, [15] = 9},
		.features = EVIDENCE_SHARE_X25519 | EVIDENCE_RETRIED,
		.hello_size = 1509,
		.tls_version = 0x0304,
		.hello_pieces = 2,
		.ipv6 = 1,
		.result = EVIDENCE_ALERT,
		.via = EVIDENCE_ADOPTED,
		.alert_received = 0,
		.alert_sent = 40,
	};
	struct evidence_record expected = record;

	(void)state;
	assert_int_equal(find(NAME), -ENOENT);
	add(NAME, ARMED_NS, record);
	expected.count = 1;
	assert_int_equal(find(NAME), 0);
	assert_int_equal(found.armed_ns, ARMED_NS);
	assert_int_equal(found.record_count, 1);
	assert_memory_equal(&found.records[0], &expected, sizeof(expected));
	assert_int_equal(found.counts[EVIDENCE_ALERT], 1);
	assert_adds_up(1);
	/* As a validator may spell it. */
	assert_int_equal(find("WWW.example.ORG."), 0);
	add("wWw.eXample.org.", ARMED_NS, record);
	assert_int_equal(find(NAME), 0);
	assert_adds_up(2);
	assert_int_equal(find("www.example.or"), -ENOENT);
	assert_int_equal(find(""), -ENOENT);
}

static void test_one_record_an_address_and_outcome(void **state)
{
	const struct evidence_record *record;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		add(NAME, ARMED_NS,
		    record_of(i, 1, 1, 1, i % 2 ? EVIDENCE_ALERT : EVIDENCE_ANSWERED));
	assert_int_equal(find(NAME), 0);
	assert_int_equal(found.record_count, 2);
	assert_int_equal(found.unrecorded, 0);
	assert_adds_up(1000);
	record = found_of(1, 1, 1, EVIDENCE_ANSWERED);
	assert_non_null(record);
	assert_int_equal(record->count, 500);
	assert_int_equal(record->at_us, START_US + 998);
	/* The last of those that were no answer. */
	add(NAME, ARMED_NS, record_of(2000, 1, 1, 1, EVIDENCE_LEFT));
	assert_int_equal(find(NAME), 0);
	assert_null(found_of(1, 1, 1, EVIDENCE_ALERT));
	assert_int_equal(found_of(1, 1, 1, EVIDENCE_LEFT)->count, 501);
}

static void test_begins_anew_when_armed_anew(void **state)
{
	(void)state;
	add(NAME, ARMED_NS, record_of(0, 1, 1, 1, EVIDENCE_ALERT));
	add(NAME, ARMED_NS + 1, record_of(1, 2, 2, 2, EVIDENCE_ANSWERED));
	/* One that had begun before. */
	add(NAME, ARMED_NS, record_of(0, 3, 3, 3, EVIDENCE_DEADLINE));
	assert_int_equal(find(NAME), 0);
	assert_int_equal(found.armed_ns, ARMED_NS + 1);
	assert_int_equal(found.record_count, 1);
	assert_non_null(found_of(2, 2, 2, EVIDENCE_ANSWERED));
	assert_adds_up(1);
}

/* --- strangers -------------------------------------------------------------------------- */

/* A whole network of addresses gets four records, and no other's. */
static void test_a_network_takes_few_records(void **state)
{
	(void)state;
	add(NAME, ARMED_NS, record_of(0, 1, 1, 1, EVIDENCE_ALERT));
	for (unsigned int i = 0; i < 2560; i++)
		add(NAME, ARMED_NS, record_of(i * 100000, 6, 6, i % 256, EVIDENCE_LEFT));
	add(NAME, ARMED_NS, record_of(1, 2, 2, 2, EVIDENCE_ANSWERED));
	assert_int_equal(find(NAME), 0);
	assert_int_equal(found.record_count, 2 + EVIDENCE_NETWORK_MAX);
	assert_non_null(found_of(1, 1, 1, EVIDENCE_ALERT));
	assert_non_null(found_of(2, 2, 2, EVIDENCE_ANSWERED));
	assert_adds_up(2562);
}

static void test_an_ipv6_network_too(void **state)
{
	struct evidence_record record = record_of(0, 0, 0, 0, EVIDENCE_ANSWERED);

	(void)state;
	record.ipv6 = 1;
	for (unsigned int i = 0; i < 100; i++) {
		record.address[6] = (uint8_t)i; /* another /64 of the same /48 */
		add(NAME, ARMED_NS, record);
	}
	record.address[5] = 1;
	add(NAME, ARMED_NS, record);
	assert_int_equal(find(NAME), 0);
	assert_int_equal(found.record_count, EVIDENCE_NETWORK_MAX + 1);
	assert_adds_up(101);
}

/* From everywhere: who came first stays, and the others change slowly. */
static void test_first_ones_stay_in_a_flood(void **state)
{
	const unsigned int first = EVIDENCE_RECORDS_MAX / 2;
	uint64_t changes = 0, last_us = 0;
	struct evidence_of_name before;

	(void)state;
	for (unsigned int i = 0; i < first; i++)
		add(NAME, ARMED_NS, record_of(i, 1, i, 1, EVIDENCE_ANSWERED));
	for (unsigned int i = 0; i < 60000; i++) {
		last_us = i * 100;
		add(NAME, ARMED_NS, record_of(last_us, 2 + i / 256, i % 256, 1, EVIDENCE_LEFT));
		before = found;
		assert_int_equal(find(NAME), 0);
		for (uint32_t j = 0; i && j < found.record_count; j++)
			changes += memcmp(found.records[j].address, before.records[j].address,
					  sizeof(before.records[j].address)) != 0;
	}
	for (unsigned int i = 0; i < first; i++)
		assert_non_null(found_of(1, i, 1, EVIDENCE_ANSWERED));
	assert_int_equal(found.record_count, EVIDENCE_RECORDS_MAX);
	assert_adds_up(first + 60000);
	/* The last eight, and each second as many. */
	assert_in_range(changes, 2 * first, (last_us / EVIDENCE_REST_US + 2) * first);
	/* A source that comes again is recorded, whatever the others do. */
	add(NAME, ARMED_NS, record_of(last_us, 1, 3, 1, EVIDENCE_ANSWERED));
	assert_int_equal(find(NAME), 0);
	assert_int_equal(found_of(1, 3, 1, EVIDENCE_ANSWERED)->count, 2);
}

static void test_names_are_bounded(void **state)
{
	unsigned int kept = 0, names = 2 * EVIDENCE_NAMES_MAX;
	struct stat status;
	char name[32];

	(void)state;
	for (unsigned int i = 0; i < names; i++) {
		snprintf(name, sizeof(name), "name-%u.example.org", i);
		add(name, ARMED_NS, record_of(i, 1, 1, 1, EVIDENCE_ANSWERED));
		/* One that is visited again and again stays. */
		if (i % 16 == 0)
			add("name-0.example.org", ARMED_NS,
			    record_of(i, 1, 1, 1, EVIDENCE_ANSWERED));
	}
	for (unsigned int i = 0; i < names; i++) {
		snprintf(name, sizeof(name), "name-%u.example.org", i);
		kept += find(name) == 0;
	}
	assert_in_range(kept, EVIDENCE_NAMES_MAX / 2, EVIDENCE_NAMES_MAX);
	assert_int_equal(find("name-0.example.org"), 0);
	snprintf(name, sizeof(name), "name-%u.example.org", names - 1);
	assert_int_equal(find(name), 0);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_size, HEADER_SIZE + BUCKETS * BUCKET_SIZE);
}

/* --- several at once ---------------------------------------------------------------------- */

#define WRITERS    3
#define ROUNDS     100000
#define SOME_NAMES 4

static atomic_bool writing;

/* Records all of whose parts tell the same number. */
static void *write_much(void *argument)
{
	unsigned int number = *(unsigned int *)argument;
	char name[32];

	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint8_t mark = (uint8_t)(i * WRITERS + number);
		struct evidence_record record = {.at_us = mark,
						 .duration_us = mark,
						 .features = mark,
						 .hello_size = mark,
						 .tls_version = mark,
						 .ipv6 = i % 2,
						 .alert_sent = mark};

		memset(record.address, (int)(number * 64 + i % 50), sizeof(record.address));
		snprintf(name, sizeof(name), "%u.example.org", i % SOME_NAMES);
		evidence_add(writer, name, strlen(name), ARMED_NS, &record);
	}
	return NULL;
}

static bool is_whole(const struct evidence_record *record)
{
	return record->duration_us == record->at_us && record->features == record->at_us &&
	       record->hello_size == record->at_us && record->tls_version == record->at_us &&
	       record->alert_sent == record->at_us && record->count > 0 &&
	       record->address[15] == record->address[0];
}

struct observation {
	uint64_t whole, torn;
};

static void *read_much(void *argument)
{
	struct observation *observation = argument;
	struct evidence_of_name name_found;
	char name[32];

	for (unsigned int i = 0; atomic_load(&writing); i++) {
		snprintf(name, sizeof(name), "%u.example.org", i % SOME_NAMES);
		if (evidence_find(reader, name, strlen(name), &name_found))
			continue;
		for (uint32_t j = 0; j < name_found.record_count; j++)
			++*(is_whole(&name_found.records[j]) ? &observation->whole
							     : &observation->torn);
	}
	return NULL;
}

static void test_readers_see_whole_records(void **state)
{
	unsigned int numbers[WRITERS];
	pthread_t writers[WRITERS], observer;
	struct observation observation = {0};
	uint64_t counted = 0;
	char name[32];

	(void)state;
	atomic_store(&writing, true);
	assert_int_equal(pthread_create(&observer, NULL, read_much, &observation), 0);
	for (unsigned int i = 0; i < WRITERS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&writers[i], NULL, write_much, &numbers[i]), 0);
	}
	for (unsigned int i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&writing, false);
	pthread_join(observer, NULL);
	assert_true(observation.whole > 0);
	assert_int_equal(observation.torn, 0);
	for (unsigned int i = 0; i < SOME_NAMES; i++) {
		snprintf(name, sizeof(name), "%u.example.org", i);
		assert_int_equal(find(name), 0);
		assert_adds_up(found.counts[EVIDENCE_ANSWERED]);
		counted += found.counts[EVIDENCE_ANSWERED];
	}
	/* One that is interrupted while it writes makes the others give up theirs: rarely. */
	assert_in_range(counted, (uint64_t)WRITERS * ROUNDS / 2, WRITERS * ROUNDS);
}

/* The place of the only bucket that was written. */
static off_t find_bucket(void)
{
	int fd = open(path, O_RDONLY);
	uint64_t sequence = 0;
	off_t at;

	for (at = HEADER_SIZE; !sequence; at += BUCKET_SIZE)
		assert_int_equal(pread(fd, &sequence, sizeof(sequence), at), sizeof(sequence));
	close(fd);
	return at - BUCKET_SIZE;
}

static void test_a_writer_killed_at_work(void **state)
{
	const uint64_t odd = 4711;

	(void)state;
	add(NAME, ARMED_NS, record_of(0, 1, 1, 1, EVIDENCE_ANSWERED));
	overwrite(find_bucket(), &odd, sizeof(odd));
	assert_int_equal(find(NAME), -EAGAIN);
	add(NAME, ARMED_NS, record_of(0, 1, 1, 1, EVIDENCE_ANSWERED));
	/* A successor cannot know that it is not being written just now. */
	assert_int_equal(evidence_create(path, getegid(), false), 0);
	assert_int_equal(find(NAME), -EAGAIN);
	assert_int_equal(evidence_create(path, getegid(), true), 0);
	assert_int_equal(find(NAME), -ENOENT);
	add(NAME, ARMED_NS, record_of(0, 1, 1, 1, EVIDENCE_ANSWERED));
	assert_int_equal(find(NAME), 0);
	assert_adds_up(1);
}

static void test_damage_is_found_or_harmless(void **state)
{
	uint8_t noise[BUCKET_SIZE - 8];
	off_t bucket;
	int err;

	(void)state;
	add(NAME, ARMED_NS, record_of(0, 1, 1, 1, EVIDENCE_ANSWERED));
	bucket = find_bucket();
	srandom(1);
	for (int i = 0; i < 1000; i++) {
		for (size_t j = 0; j < sizeof(noise); j++)
			noise[j] = (uint8_t)random();
		/* Behind the key of the first entry, so that it is found. */
		overwrite(bucket + 72, noise, sizeof(noise) - 64);
		err = find(NAME);
		assert_true(err == 0 || err == -EBADMSG);
		add(NAME, UINT64_MAX, record_of(0, 1, 1, 1, EVIDENCE_ANSWERED));
		assert_int_equal(find(NAME), 0);
		assert_adds_up(1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_file_is_the_groups_to_read),
		TEST(test_outlives_the_responder),
		TEST(test_other_layouts_are_refused_and_replaced),
		TEST(test_truncated_under_us),
		TEST(test_many_mappings),
		TEST(test_keeps_what_came),
		TEST(test_one_record_an_address_and_outcome),
		TEST(test_begins_anew_when_armed_anew),
		TEST(test_a_network_takes_few_records),
		TEST(test_an_ipv6_network_too),
		TEST(test_first_ones_stay_in_a_flood),
		TEST(test_names_are_bounded),
		TEST(test_readers_see_whole_records),
		TEST(test_a_writer_killed_at_work),
		TEST(test_damage_is_found_or_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
