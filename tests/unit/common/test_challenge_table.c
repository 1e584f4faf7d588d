// SPDX-License-Identifier: GPL-3.0-or-later
/* What the table promises, on real maps; its faults are in test_challenge_table_faults.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bpf/steer_abi.h"
#include "common/challenge_slots.h"
#include "common/clock.h"
#include "tests/unit/fixture.h"

#define NS_PER_S   1000000000ull
#define OTHER_UID  12345
#define OTHER_GID  12346
#define OUR_GID    4242
#define SLOT_COUNT 64

static int set_up(void **state)
{
	struct fixture *fixture = malloc(sizeof(*fixture));

	if (!fixture)
		return -1;
	fixture_init(fixture, SLOT_COUNT);
	fixture_make_table(fixture, SLOT_COUNT);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	fixture_done(*state);
	free(*state);
	return 0;
}

static struct identifier identifier_of(const char *name)
{
	struct identifier identifier;

	assert_int_equal(identifier_parse(&identifier, name), IDENTIFIER_OK);
	return identifier;
}

static int publish(struct fixture *fixture, const char *name, uint8_t mark, uint32_t ttl_s)
{
	struct identifier identifier = identifier_of(name);
	uint8_t digest[CHALLENGE_DIGEST_SIZE];

	memset(digest, mark, sizeof(digest));
	return challenge_table_publish(fixture->writer, &identifier, digest, ttl_s);
}

static int withdraw(struct fixture *fixture, const char *name, uint32_t grace_s)
{
	struct identifier identifier = identifier_of(name);

	return challenge_table_withdraw(fixture->writer, &identifier, NULL, grace_s);
}

static int find(struct fixture *fixture, const char *server_name, struct challenge *ret_challenge)
{
	return challenge_table_find(fixture->writer, server_name, strlen(server_name),
				    ret_challenge);
}

static uint64_t armed_until_ns(const struct fixture *fixture)
{
	struct steer_armed armed;
	__u32 zero = 0;

	assert_int_equal(bpf_map_lookup_elem(fixture->armed, &zero, &armed), 0);
	return armed.until_ns;
}

/* Whether `ns` is `after_s` seconds from now, within the two seconds that a busy machine may take. */
static bool is_from_now(uint64_t ns, uint32_t after_s)
{
	uint64_t expected_ns = clock_boottime_ns() + after_s * NS_PER_S;

	return ns <= expected_ns && ns + 2 * NS_PER_S > expected_ns;
}

static unsigned int count_pending(struct fixture *fixture)
{
	unsigned int count = 0;
	struct challenge challenge;
	uint32_t cursor = 0;

	while (challenge_table_next(fixture->writer, &cursor, &challenge) == 0)
		count++;
	return count;
}

static void sleep_ms(unsigned int ms)
{
	usleep(ms * 1000);
}

static void test_publish_and_find(void **state)
{
	static const struct {
		const char *name, *server_name;
	} cases[] = {
		{"www.example.com", "www.example.com"},
		{"WWW.example.org", "www.EXAMPLE.org."},
		{"192.0.2.7", "7.2.0.192.in-addr.arpa"},
		{"2001:db8::1",
		 "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.IP6.ARPA."},
	};
	struct fixture *fixture = *state;
	struct identifier identifier;
	struct challenge challenge;
	uint8_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(find(fixture, cases[i].server_name, &challenge), -ENOENT);
		assert_int_equal(publish(fixture, cases[i].name, i, 300), 0);
		assert_int_equal(find(fixture, cases[i].server_name, &challenge), 0);
		identifier = identifier_of(cases[i].name);
		assert_memory_equal(&challenge.cert.identifier, &identifier, sizeof(identifier));
		assert_int_equal(challenge.cert.digest[31], i);
		assert_int_equal(challenge.owner, geteuid());
		assert_true(is_from_now(challenge.published_ns, 0));
		assert_int_equal(challenge.expires_ns, challenge.published_ns + 300 * NS_PER_S);
		assert_in_range(challenge.cert.issued_at, time(NULL) - 2, time(NULL));
		assert_false(challenge.withdrawn);
	}
}

static void test_other_names_are_not_found(void **state)
{
	static const struct {
		const char *name;
		size_t length;
	} others[] = {
		{"", 0},
		{".", 1},
		{"..", 2},
		{"ww.example.com", 14},
		{"www.example.co", 14},
		{"www.example.com..", 17},
		{"www.example.com\0", 16},
		{"www.example.com\0x", 17},
		{"www_example.com", 15},
		{"www\xaa"
		 "example.com",
		 15},
	};
	struct fixture *fixture = *state;
	struct challenge challenge;
	char longest[300];
	size_t i;

	assert_int_equal(publish(fixture, "www.example.com", 1, 300), 0);
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(challenge_table_find(fixture->writer, others[i].name,
						      others[i].length, &challenge),
				 -ENOENT);
	memset(longest, 'a', sizeof(longest));
	for (i = 250; i < sizeof(longest); i++)
		assert_int_equal(challenge_table_find(fixture->writer, longest, i, &challenge),
				 -ENOENT);
}

static void test_longest_name(void **state)
{
	struct fixture *fixture = *state;
	struct challenge challenge;
	char label[64] = {0}, name[256];

	memset(label, 'a', 63);
	snprintf(name, sizeof(name), "%s.%s.%s.%.61s", label, label, label, label);
	assert_int_equal(publish(fixture, name, 1, 300), 0);
	assert_int_equal(find(fixture, name, &challenge), 0);
	assert_string_equal(challenge.cert.identifier.value, name);
}

/* The signature belongs to the table's key and to what was found. */
static void test_certificate_verifies(void **state)
{
	struct fixture *fixture = *state;
	uint8_t der[CHALLENGE_CERT_DER_MAX];
	struct challenge challenge;
	char path[64];
	size_t size;
	int status;

	assert_int_equal(publish(fixture, "www.example.com", 1, 300), 0);
	assert_int_equal(find(fixture, "www.example.com", &challenge), 0);
	size = challenge_cert_der(challenge_table_key(fixture->writer), &challenge.cert, der);
	snprintf(path, sizeof(path), "%s/cert.der", fixture->root);
	fixture_write_file(path, der, size);
	free(fixture_run(&status,
			 "openssl x509 -inform DER -in %s -out %s.pem && "
			 "openssl verify -ignore_critical -check_ss_sig -CAfile %s.pem %s.pem 2>&1",
			 path, path, path, path));
	assert_int_equal(status, 0);
}

static void test_time_to_live(void **state)
{
	struct fixture *fixture = *state;
	struct challenge challenge;

	assert_int_equal(publish(fixture, "www.example.com", 1, 0), -EINVAL);
	assert_int_equal(publish(fixture, "www.example.com", 1, CHALLENGE_TTL_MAX_S + 1), -EINVAL);
	assert_int_equal(count_pending(fixture), 0);
	assert_int_equal(publish(fixture, "max.example.com", 1, CHALLENGE_TTL_MAX_S), 0);

	assert_int_equal(publish(fixture, "www.example.com", 1, 1), 0);
	assert_int_equal(find(fixture, "www.example.com", &challenge), 0);
	sleep_ms(1050);
	assert_int_equal(find(fixture, "www.example.com", &challenge), -ENOENT);
	assert_int_equal(withdraw(fixture, "www.example.com", 0), -ENOENT);
	assert_int_equal(count_pending(fixture), 1);
	assert_int_equal(publish(fixture, "www.example.com", 2, 60), 0);
	assert_int_equal(find(fixture, "www.example.com", &challenge), 0);
	assert_int_equal(challenge.cert.digest[0], 2);
}

static void test_publishing_again_replaces(void **state)
{
	struct fixture *fixture = *state;
	struct challenge first, second;

	assert_int_equal(publish(fixture, "www.example.com", 1, 300), 0);
	assert_int_equal(find(fixture, "www.example.com", &first), 0);
	assert_int_equal(publish(fixture, "www.example.com", 2, 60), 0);
	assert_int_equal(find(fixture, "www.example.com", &second), 0);
	assert_int_equal(second.cert.digest[0], 2);
	assert_int_equal(second.expires_ns, second.published_ns + 60 * NS_PER_S);
	assert_int_not_equal(second.generation, first.generation);
	assert_int_equal(count_pending(fixture), 1);
}

static void test_withdraw(void **state)
{
	struct fixture *fixture = *state;
	struct challenge challenge;

	assert_int_equal(withdraw(fixture, "www.example.com", 0), -ENOENT);
	assert_int_equal(publish(fixture, "www.example.com", 1, 300), 0);
	assert_int_equal(withdraw(fixture, "www.example.com", 0), 0);
	assert_int_equal(find(fixture, "www.example.com", &challenge), -ENOENT);
	assert_int_equal(withdraw(fixture, "www.example.com", 0), -ENOENT);
	assert_int_equal(count_pending(fixture), 0);
}

static void test_grace(void **state)
{
	struct fixture *fixture = *state;
	struct challenge challenge;

	assert_int_equal(publish(fixture, "www.example.com", 1, 300), 0);
	assert_int_equal(withdraw(fixture, "www.example.com", 60), 0);
	assert_int_equal(find(fixture, "www.example.com", &challenge), 0);
	assert_true(challenge.withdrawn);
	assert_true(is_from_now(challenge.expires_ns, 60));
	assert_true(is_from_now(challenge.published_ns, 0));
	/* Withdrawing again may shorten the grace, never prolong it. */
	assert_int_equal(withdraw(fixture, "www.example.com", 120), 0);
	assert_int_equal(find(fixture, "www.example.com", &challenge), 0);
	assert_true(is_from_now(challenge.expires_ns, 60));
	assert_int_equal(withdraw(fixture, "www.example.com", 1), 0);
	assert_int_equal(find(fixture, "www.example.com", &challenge), 0);
	assert_int_equal(count_pending(fixture), 1);
	sleep_ms(1050);
	assert_int_equal(find(fixture, "www.example.com", &challenge), -ENOENT);
	assert_int_equal(count_pending(fixture), 0);

	/* A grace beyond the end of the name's own time is none. */
	assert_int_equal(publish(fixture, "www.example.com", 1, 10), 0);
	assert_int_equal(withdraw(fixture, "www.example.com", UINT32_MAX), 0);
	assert_int_equal(find(fixture, "www.example.com", &challenge), 0);
	assert_true(challenge.withdrawn);
	assert_true(is_from_now(challenge.expires_ns, 10));
	/* Published once more in its grace, a name is simply pending. */
	assert_int_equal(publish(fixture, "www.example.com", 2, 300), 0);
	assert_int_equal(find(fixture, "www.example.com", &challenge), 0);
	assert_false(challenge.withdrawn);
}

static void test_armed_word(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(armed_until_ns(fixture), 0);
	assert_int_equal(publish(fixture, "a.example", 1, 300), 0);
	assert_true(is_from_now(armed_until_ns(fixture), 300));
	assert_int_equal(publish(fixture, "b.example", 1, 600), 0);
	assert_true(is_from_now(armed_until_ns(fixture), 600));
	assert_int_equal(publish(fixture, "c.example", 1, 100), 0);
	assert_true(is_from_now(armed_until_ns(fixture), 600));
	/* Only the last withdrawal lowers it, to the end of the longest grace. */
	assert_int_equal(withdraw(fixture, "b.example", 15), 0);
	assert_true(is_from_now(armed_until_ns(fixture), 600));
	assert_int_equal(withdraw(fixture, "b.example", 10), 0);
	assert_int_equal(withdraw(fixture, "a.example", 0), 0);
	assert_true(is_from_now(armed_until_ns(fixture), 600));
	assert_int_equal(withdraw(fixture, "c.example", 0), 0);
	assert_true(is_from_now(armed_until_ns(fixture), 15));
	/* And it rises again. */
	assert_int_equal(publish(fixture, "a.example", 1, 300), 0);
	assert_true(is_from_now(armed_until_ns(fixture), 300));
	/* Replacing a name does not count it twice. */
	assert_int_equal(publish(fixture, "a.example", 2, 300), 0);
	assert_int_equal(publish(fixture, "b.example", 2, 300), 0);
	assert_int_equal(withdraw(fixture, "a.example", 0), 0);
	assert_true(is_from_now(armed_until_ns(fixture), 300));
	assert_int_equal(withdraw(fixture, "b.example", 0), 0);
	assert_true(is_from_now(armed_until_ns(fixture), 15));
}

static void test_armed_word_after_expiry(void **state)
{
	struct fixture *fixture = *state;

	/* An expired name that nobody withdrew does not keep the classifier awake. */
	assert_int_equal(publish(fixture, "short.example", 1, 1), 0);
	assert_int_equal(publish(fixture, "long.example", 1, 300), 0);
	sleep_ms(1050);
	assert_int_equal(publish(fixture, "other.example", 1, 300), 0);
	assert_int_equal(withdraw(fixture, "other.example", 0), 0);
	assert_int_equal(withdraw(fixture, "long.example", 0), 0);
	assert_true(armed_until_ns(fixture) <= clock_boottime_ns());
}

/* Run `check` in a child as another user; its return value must be 0. */
static int as_other_user(struct fixture *fixture, int (*check)(struct fixture *fixture))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		challenge_table_free(fixture->writer);
		if (challenge_table_open(&fixture->writer, &fixture->paths, CHALLENGE_TABLE_WRITE))
			_exit(100);
		if (setegid(OTHER_GID) || setgroups(0, NULL) || seteuid(OTHER_UID))
			_exit(101);
		_exit(check(fixture));
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int check_refused(struct fixture *fixture)
{
	struct challenge challenge;

	if (publish(fixture, "www.example.com", 2, 300) != -EPERM)
		return 1;
	if (withdraw(fixture, "www.example.com", 0) != -EPERM)
		return 2;
	if (withdraw(fixture, "www.example.com", 15) != -EPERM)
		return 3;
	if (find(fixture, "www.example.com", &challenge) || challenge.cert.digest[0] != 1)
		return 4;
	return publish(fixture, "mine.example.com", 3, 300) ? 5 : 0;
}

static int check_taken_over(struct fixture *fixture)
{
	struct challenge challenge;

	if (publish(fixture, "www.example.com", 2, 300))
		return 1;
	if (find(fixture, "www.example.com", &challenge) || challenge.owner != OTHER_UID)
		return 2;
	return 0;
}

static void test_owners(void **state)
{
	struct fixture *fixture = *state;
	struct challenge challenge;

	assert_int_equal(publish(fixture, "www.example.com", 1, 300), 0);
	assert_int_equal(as_other_user(fixture, check_refused), 0);
	/* root is no exception: what it may do, it does as the owner. */
	assert_int_equal(find(fixture, "mine.example.com", &challenge), 0);
	assert_int_equal(challenge.owner, OTHER_UID);
	assert_int_equal(withdraw(fixture, "mine.example.com", 0), -EPERM);
	/* In its grace a name still belongs to its owner, then to nobody. */
	assert_int_equal(withdraw(fixture, "www.example.com", 1), 0);
	assert_int_equal(as_other_user(fixture, check_refused), 0);
	sleep_ms(1050);
	assert_int_equal(as_other_user(fixture, check_taken_over), 0);
}

static void test_full(void **state)
{
	struct fixture *fixture = *state;
	struct challenge challenge;
	char name[64];
	unsigned int i;

	for (i = 0; i < SLOT_COUNT; i++) {
		snprintf(name, sizeof(name), "n%u.example.com", i);
		assert_int_equal(publish(fixture, name, 1, i % 2 ? 300 : 1), 0);
	}
	assert_int_equal(publish(fixture, "late.example.com", 1, 300), -ENOSPC);
	assert_int_equal(find(fixture, "late.example.com", &challenge), -ENOENT);
	assert_int_equal(count_pending(fixture), SLOT_COUNT);
	assert_int_equal(withdraw(fixture, "n1.example.com", 0), 0);
	assert_int_equal(publish(fixture, "late.example.com", 1, 300), 0);
	assert_int_equal(publish(fixture, "later.example.com", 1, 300), -ENOSPC);
	/* What has expired makes room: all of it. */
	sleep_ms(1050);
	for (i = 0; i < SLOT_COUNT / 2; i++) {
		snprintf(name, sizeof(name), "again%u.example.com", i);
		assert_int_equal(publish(fixture, name, 1, 300), 0);
	}
	assert_int_equal(publish(fixture, "later.example.com", 1, 300), -ENOSPC);
	assert_int_equal(count_pending(fixture), SLOT_COUNT);
}

static void test_full_map(void **state)
{
	struct fixture *fixture = *state;
	struct challenge challenge;
	char name[64];
	uint64_t key;
	struct steer_challenge foreign = {.expires_ns = UINT64_MAX, .slot = UINT32_MAX};
	unsigned int i;

	/* The first writer on a new table would clear the map. */
	assert_int_equal(publish(fixture, "www.example.com", 1, 300), 0);
	assert_int_equal(withdraw(fixture, "www.example.com", 0), 0);
	/* The map is full while the table is not. */
	for (key = 0; bpf_map_update_elem(fixture->challenges, &key, &foreign, BPF_ANY) == 0; key++)
		;
	for (i = 0; i < 2 * SLOT_COUNT; i++) {
		snprintf(name, sizeof(name), "n%u.example.com", i);
		assert_int_equal(publish(fixture, name, 1, 300), -ENOSPC);
		assert_int_equal(find(fixture, name, &challenge), -ENOENT);
	}
	/* Every failure gave its slot back, as the space shows. */
	for (key = 0; key < SLOT_COUNT; key++)
		bpf_map_delete_elem(fixture->challenges, &key);
	for (i = 0; i < SLOT_COUNT; i++) {
		snprintf(name, sizeof(name), "n%u.example.com", i);
		assert_int_equal(publish(fixture, name, 1, 300), 0);
	}
}

/* Slots are taken back although nobody asks: the table does not grow with use. */
static void test_sweeping(void **state)
{
	struct fixture *fixture = *state;
	unsigned int i;
	char name[64];
	struct slots slots;

	for (i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "n%u.example.com", i);
		assert_int_equal(publish(fixture, name, 1, 300), 0);
		assert_int_equal(withdraw(fixture, name, 1), 0);
	}
	sleep_ms(1050);
	for (i = 0; i < 12; i++) {
		assert_int_equal(publish(fixture, "www.example.com", 1, 300), 0);
		assert_int_equal(count_pending(fixture), 1);
	}
	assert_int_equal(slots_open(&slots, fixture->paths.table, false), 0);
	assert_int_equal(slots.state->used, 1);
	assert_int_equal(slots.state->armed_count, 1);
	slots_done(&slots);
}

/* Memory is in proportion to what is pending, also after a peak. */
static void test_memory(void **state)
{
	struct fixture *fixture = *state;
	struct stat empty, full, after;
	char name[64];
	unsigned int i;

	assert_int_equal(stat(fixture->paths.table, &empty), 0);
	assert_true(empty.st_blocks * 512 <= SLOTS_HEADER_SIZE);
	for (i = 0; i < SLOT_COUNT; i++) {
		snprintf(name, sizeof(name), "n%u.example.com", i);
		assert_int_equal(publish(fixture, name, 1, 300), 0);
	}
	assert_int_equal(stat(fixture->paths.table, &full), 0);
	assert_true(full.st_blocks > empty.st_blocks);
	for (i = 0; i < SLOT_COUNT; i++) {
		snprintf(name, sizeof(name), "n%u.example.com", i);
		assert_int_equal(withdraw(fixture, name, 0), 0);
	}
	assert_int_equal(stat(fixture->paths.table, &after), 0);
	assert_int_equal(after.st_blocks, empty.st_blocks);
	assert_int_equal(publish(fixture, "www.example.com", 1, 300), 0);
	assert_int_equal(count_pending(fixture), 1);
}

static void test_walk(void **state)
{
	struct fixture *fixture = *state;
	unsigned int seen[SLOT_COUNT] = {0}, i, total = 0;
	struct challenge challenge;
	uint32_t cursor = 0;
	char name[64];

	for (i = 0; i < SLOT_COUNT; i++) {
		snprintf(name, sizeof(name), "n%u.example.com", i);
		assert_int_equal(publish(fixture, name, (uint8_t)i, i == 5 ? 1 : 300), 0);
	}
	assert_int_equal(withdraw(fixture, "n9.example.com", 0), 0);
	assert_int_equal(withdraw(fixture, "n7.example.com", 100), 0);
	sleep_ms(1050);
	while (challenge_table_next(fixture->writer, &cursor, &challenge) == 0) {
		assert_int_equal(sscanf(challenge.cert.identifier.value, "n%u.", &i), 1);
		assert_int_equal(challenge.cert.digest[0], i);
		assert_int_equal(challenge.withdrawn, i == 7);
		assert_int_equal(seen[i]++, 0);
		total++;
	}
	assert_int_equal(total, SLOT_COUNT - 2);
	assert_int_equal(challenge_table_next(fixture->writer, &cursor, &challenge), -ENOENT);
	cursor = UINT32_MAX;
	assert_int_equal(challenge_table_next(fixture->writer, &cursor, &challenge), -ENOENT);
}

/* Readers need to read, and nothing more. */
static void test_reader(void **state)
{
	struct fixture *fixture = *state;
	struct challenge_table *reader;
	struct challenge challenge;
	uint32_t cursor = 0;

	assert_int_equal(publish(fixture, "www.example.com", 1, 300), 0);
	assert_int_equal(challenge_table_open(&reader, &fixture->paths, CHALLENGE_TABLE_READ), 0);
	assert_memory_equal(challenge_table_key(reader), challenge_table_key(fixture->writer),
			    sizeof(struct challenge_key));
	assert_int_equal(challenge_table_find(reader, "www.example.com", 15, &challenge), 0);
	assert_int_equal(challenge_table_next(reader, &cursor, &challenge), 0);
	assert_int_equal(challenge_table_next(reader, &cursor, &challenge), -ENOENT);
	challenge_table_free(reader);
}

static int check_no_access(struct fixture *fixture)
{
	struct challenge_table *table;

	if (challenge_table_open(&table, &fixture->paths, CHALLENGE_TABLE_READ) != -EACCES)
		return 1;
	return challenge_table_open(&table, &fixture->paths, CHALLENGE_TABLE_WRITE) != -EACCES;
}

static void test_open_errors(void **state)
{
	struct fixture *fixture = *state, other;
	struct challenge_table *table;
	char pin[PATHS_MAX + 32];

	assert_int_equal(as_other_user(fixture, check_no_access), 0);
	fixture_init(&other, SLOT_COUNT);
	assert_int_equal(challenge_table_open(&table, &other.paths, CHALLENGE_TABLE_READ), -ENOENT);
	fixture_make_table(&other, SLOT_COUNT);
	snprintf(pin, sizeof(pin), "%s/armed", other.paths.pins);
	assert_int_equal(unlink(pin), 0);
	assert_int_equal(challenge_table_open(&table, &other.paths, CHALLENGE_TABLE_WRITE),
			 -ENOENT);
	assert_int_equal(challenge_table_open(&table, &other.paths, CHALLENGE_TABLE_READ), 0);
	challenge_table_free(table);
	snprintf(pin, sizeof(pin), "%s/challenges", other.paths.pins);
	assert_int_equal(unlink(pin), 0);
	assert_int_equal(challenge_table_open(&table, &other.paths, CHALLENGE_TABLE_READ), -ENOENT);
	fixture_done(&other);
}

/* Run `check` as an ordinary user of the group, who has no capability. */
static int as_member(struct fixture *fixture, int (*check)(struct fixture *fixture))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (setgroups(0, NULL) || setgid(OUR_GID) || setuid(OTHER_UID))
			_exit(100);
		_exit(check(fixture));
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int check_member_reads(struct fixture *fixture)
{
	struct challenge_table *table;
	struct challenge challenge;

	if (challenge_table_open(&table, &fixture->paths, CHALLENGE_TABLE_WRITE) != -EACCES)
		return 1;
	if (challenge_table_open(&table, &fixture->paths, CHALLENGE_TABLE_READ))
		return 2;
	if (challenge_table_find(table, "www.example.com", 15, &challenge))
		return 3;
	challenge_table_free(table);
	return 0;
}

static int check_member_writes(struct fixture *fixture)
{
	struct slots slots;

	challenge_table_free(fixture->writer);
	if (challenge_table_open(&fixture->writer, &fixture->paths, CHALLENGE_TABLE_WRITE))
		return 1;
	/* As if the last writer had died: repairing needs no capability either. */
	if (slots_open(&slots, fixture->paths.table, true))
		return 4;
	slots.state->unclean = 1;
	slots_done(&slots);
	if (publish(fixture, "mine.example.com", 2, 300))
		return 2;
	if (withdraw(fixture, "mine.example.com", 15))
		return 3;
	return 0;
}

static void test_group_members(void **state)
{
	struct fixture *fixture = *state;
	uint64_t hash_key[2];
	int status;

	assert_int_equal(publish(fixture, "www.example.com", 1, 300), 0);
	assert_int_equal(
		challenge_table_create(fixture->paths.table, OUR_GID, SLOT_COUNT, hash_key), 0);
	free(fixture_run(&status,
			 "cd %s && chgrp %d challenges armed && chmod 640 challenges armed",
			 fixture->paths.pins, OUR_GID));
	assert_int_equal(status, 0);
	assert_int_equal(as_member(fixture, check_member_reads), 0);
	free(fixture_run(&status, "cd %s && chmod 660 challenges armed", fixture->paths.pins));
	assert_int_equal(status, 0);
	assert_int_equal(as_member(fixture, check_member_writes), 0);
}

static void test_create_keeps_a_good_table(void **state)
{
	struct fixture *fixture = *state;
	struct challenge challenge;
	uint64_t hash_key[2];
	struct stat status;

	assert_int_equal(publish(fixture, "www.example.com", 1, 300), 0);
	assert_int_equal(
		challenge_table_create(fixture->paths.table, OUR_GID, SLOT_COUNT, hash_key), 0);
	assert_memory_equal(hash_key, fixture->hash_key, sizeof(hash_key));
	assert_int_equal(stat(fixture->paths.table, &status), 0);
	assert_int_equal(status.st_gid, OUR_GID);
	assert_int_equal(status.st_mode & 07777, 0660);
	assert_int_equal(find(fixture, "www.example.com", &challenge), 0);
	assert_int_equal(publish(fixture, "two.example.com", 1, 300), 0);
}

static void test_create_replaces_another_table(void **state)
{
	struct fixture *fixture = *state;
	struct challenge_table *table;
	struct challenge_key old_key = *challenge_table_key(fixture->writer);
	struct challenge challenge;
	struct steer_challenge entry;
	uint64_t hash_key[2], key;

	assert_int_equal(publish(fixture, "www.example.com", 1, 300), 0);
	assert_int_equal(challenge_table_create(fixture->paths.table, 0, SLOT_COUNT / 2, hash_key),
			 0);
	assert_memory_not_equal(hash_key, fixture->hash_key, sizeof(hash_key));
	/* A process that still has the old one open gets an error, and arms nothing. */
	assert_int_equal(publish(fixture, "two.example.com", 1, 300), -ESTALE);
	assert_int_equal(withdraw(fixture, "www.example.com", 0), -ESTALE);

	assert_int_equal(challenge_table_open(&table, &fixture->paths, CHALLENGE_TABLE_WRITE), 0);
	assert_memory_not_equal(&old_key, challenge_table_key(table), sizeof(old_key));
	assert_int_equal(challenge_table_find(table, "www.example.com", 15, &challenge), -ENOENT);
	/* The first writer clears the old table's names out of the map. */
	challenge_table_free(fixture->writer);
	fixture->writer = table;
	assert_int_equal(publish(fixture, "two.example.com", 1, 300), 0);
	assert_int_equal(find(fixture, "two.example.com", &challenge), 0);
	assert_int_equal(bpf_map_get_next_key(fixture->challenges, NULL, &key), 0);
	assert_int_equal(bpf_map_lookup_elem(fixture->challenges, &key, &entry), 0);
	assert_int_equal(entry.generation, challenge.generation);
	assert_int_equal(bpf_map_get_next_key(fixture->challenges, &key, &key), -ENOENT);
}

/* --- a kernel before 5.19, which lets nobody without CAP_BPF use maps ------------------- */

/* From here on bpf() fails in this process with EPERM. */
static int refuse_bpf(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* What works without maps; 0, or which step does not. */
static int without_maps(struct fixture *fixture)
{
	struct challenge challenge;

	if (refuse_bpf())
		return 1;
	if (find(fixture, "WWW.example.com.", &challenge) || challenge.cert.digest[0] != 3)
		return 2;
	if (find(fixture, "7.2.0.192.in-addr.arpa", &challenge) || challenge.cert.digest[0] != 4)
		return 3;
	if (find(fixture, "withdrawn.example.com", &challenge) != -ENOENT)
		return 4;
	if (find(fixture, "expired.example.com", &challenge) != -ENOENT)
		return 5;
	if (find(fixture, "other.example.com", &challenge) != -ENOENT)
		return 6;
	/* And whoever would publish hears why it cannot. */
	return publish(fixture, "x.example.com", 1, 60) == -EOPNOTSUPP ? 0 : 7;
}

static void test_readers_need_no_map(void **state)
{
	struct fixture *fixture = *state;
	int status;
	pid_t pid;

	assert_int_equal(publish(fixture, "expired.example.com", 1, 1), 0);
	assert_int_equal(publish(fixture, "withdrawn.example.com", 1, 60), 0);
	assert_int_equal(publish(fixture, "www.example.com", 2, 600), 0);
	assert_int_equal(publish(fixture, "www.example.com", 3, 60), 0);
	assert_int_equal(publish(fixture, "192.0.2.7", 4, 60), 0);
	assert_int_equal(withdraw(fixture, "withdrawn.example.com", 0), 0);
	sleep_ms(1100);
	pid = fork();
	if (!pid)
		_exit(without_maps(fixture));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_create_errors(void **state)
{
	struct fixture *fixture = *state;
	char path[PATHS_MAX + 32];
	uint64_t hash_key[2];

	snprintf(path, sizeof(path), "%s/nowhere/challenges", fixture->root);
	assert_int_equal(challenge_table_create(path, 0, SLOT_COUNT, hash_key), -ENOENT);
	snprintf(path, sizeof(path), "%s/link", fixture->root);
	assert_int_equal(symlink(fixture->paths.table, path), 0);
	assert_int_equal(challenge_table_create(path, 0, SLOT_COUNT, hash_key), -ELOOP);
}

#define table_test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		table_test(test_publish_and_find),
		table_test(test_other_names_are_not_found),
		table_test(test_longest_name),
		table_test(test_certificate_verifies),
		table_test(test_time_to_live),
		table_test(test_publishing_again_replaces),
		table_test(test_withdraw),
		table_test(test_grace),
		table_test(test_armed_word),
		table_test(test_armed_word_after_expiry),
		table_test(test_owners),
		table_test(test_full),
		table_test(test_full_map),
		table_test(test_sweeping),
		table_test(test_memory),
		table_test(test_walk),
		table_test(test_reader),
		table_test(test_open_errors),
		table_test(test_group_members),
		table_test(test_create_keeps_a_good_table),
		table_test(test_create_replaces_another_table),
		table_test(test_create_errors),
		table_test(test_readers_need_no_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
