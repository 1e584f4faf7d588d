// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What the table survives: writers at once, writers killed anywhere, no memory,
 * damage, and hostile members of the group.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf/name_hash.h"
#include "bpf/steer_abi.h"
#include "common/challenge_slots.h"
#include "common/clock.h"
#include "tests/unit/fixture.h"

#define NS_PER_S   1000000000ull
#define SLOT_COUNT 64
#define TTL_S      300

static int set_up(void **state)
{
	struct fixture *fixture = malloc(sizeof(*fixture));

	if (!fixture)
		return -1;
	fixture_init(fixture, STEER_CHALLENGES_MAX);
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

	if (identifier_parse(&identifier, name) != IDENTIFIER_OK)
		abort();
	return identifier;
}

/* The mark fills the digest and is added to the time to live, so that a mixture shows. */
static int publish(struct challenge_table *table, const char *name, uint8_t mark)
{
	struct identifier identifier = identifier_of(name);
	uint8_t digest[CHALLENGE_DIGEST_SIZE];

	memset(digest, mark, sizeof(digest));
	return challenge_table_publish(table, &identifier, digest, TTL_S + mark);
}

static int withdraw(struct challenge_table *table, const char *name, uint32_t grace_s)
{
	struct identifier identifier = identifier_of(name);

	return challenge_table_withdraw(table, &identifier, NULL, grace_s);
}

/* find, and that what was found is of one piece. */
static int find(struct challenge_table *table, const char *name, struct challenge *ret_challenge)
{
	struct challenge challenge;
	uint8_t mark;
	size_t i;
	int err;

	err = challenge_table_find(table, name, strlen(name), &challenge);
	if (err)
		return err;
	mark = challenge.cert.digest[0];
	for (i = 0; i < sizeof(challenge.cert.digest); i++)
		assert_int_equal(challenge.cert.digest[i], mark);
	if (!challenge.withdrawn)
		assert_int_equal(challenge.expires_ns,
				 challenge.published_ns + (TTL_S + mark) * NS_PER_S);
	assert_string_equal(challenge.cert.identifier.value, name);
	*ret_challenge = challenge;
	return 0;
}

static uint64_t key_of(const struct fixture *fixture, const char *name)
{
	const __u64 key[2] = {fixture->hash_key[0], fixture->hash_key[1]};
	__u64 buffer[NAME_BUFFER_SIZE / 8] = {0};

	memcpy(buffer, name, strlen(name));
	return name_hash(key, buffer);
}

static unsigned int count_entries(const struct fixture *fixture)
{
	unsigned int count = 0;
	uint64_t key;
	int err;

	err = bpf_map_get_next_key(fixture->challenges, NULL, &key);
	for (; !err; count++)
		err = bpf_map_get_next_key(fixture->challenges, &key, &key);
	return count;
}

static bool is_unclean(const struct fixture *fixture)
{
	struct slots slots;
	bool unclean;

	assert_int_equal(slots_open(&slots, fixture->paths.table, false), 0);
	unclean = slots.state->unclean;
	slots_done(&slots);
	return unclean;
}

/*
 * That every slot is either free and in the list of the free, or in use and the
 * map's, and that all counts are right.  For tables that a writer has left in
 * order and whose names have not expired.
 */
static void assert_sound(const struct fixture *fixture)
{
	unsigned int used = 0, armed = 0, unused = 0, listed = 0;
	struct challenge challenge;
	struct slots slots;
	struct slot slot;
	uint32_t cursor = 0, index;

	assert_int_equal(slots_open(&slots, fixture->paths.table, false), 0);
	assert_int_equal(slots.state->unclean, 0);
	for (index = 0; index < slots_high_water(&slots); index++) {
		assert_int_equal(slots_read(&slots, index, &slot), 0);
		used += slot.state == SLOT_USED;
		unused += slot.state == SLOT_FREE;
	}
	assert_int_equal(used + unused, slots_high_water(&slots));
	for (index = slots.state->first_free; index; index = slot.next_free) {
		assert_int_equal(slots_read(&slots, index - 1, &slot), 0);
		assert_int_equal(slot.state, SLOT_FREE);
		assert_true(listed++ < unused);
	}
	assert_int_equal(listed, unused);
	while (challenge_table_next(fixture->writer, &cursor, &challenge) == 0) {
		assert_true(fixture_cert_verifies(challenge_table_key(fixture->writer),
						  &challenge.cert));
		armed += !challenge.withdrawn;
		used--;
	}
	assert_int_equal(used, 0);
	assert_int_equal(slots.state->used, slots_high_water(&slots) - unused);
	assert_int_equal(slots.state->armed_count, armed);
	assert_int_equal(count_entries(fixture), slots.state->used);
	slots_done(&slots);
}

/* --- several at once ------------------------------------------------------------- */

#define BUSY_NAMES 8

static void busy_name(char ret_name[32], unsigned int number)
{
	snprintf(ret_name, 32, "n%u.example.com", number);
}

/*
 * Write until killed: publish, publish again, withdraw at once and with grace.
 * Closes `ready` when it has begun.
 */
static void write_for_ever(const struct fixture *fixture, unsigned int seed, int ready)
{
	struct challenge_table *table;
	char name[32];
	int result;

	if (challenge_table_open(&table, &fixture->paths, CHALLENGE_TABLE_WRITE))
		_exit(1);
	for (;;) {
		unsigned int dice = (unsigned int)rand_r(&seed);

		busy_name(name, dice / 64 % BUSY_NAMES);
		if (dice % 8 < 5)
			result = publish(table, name, (uint8_t)(dice / 512));
		else
			result = withdraw(table, name, dice % 8 == 7 ? 100 : 0);
		if (result && result != -ENOENT)
			_exit(2);
		if (ready >= 0)
			close(ready);
		ready = -1;
	}
}

static pid_t start_writer(const struct fixture *fixture, unsigned int seed)
{
	int ready[2];
	pid_t pid;
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready[0]);
		write_for_ever(fixture, seed, ready[1]);
	}
	assert_true(pid > 0);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 0);
	close(ready[0]);
	return pid;
}

/* Kill a child that must still have been alive. */
static void kill_writer(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void test_two_writers_and_a_reader(void **state)
{
	struct fixture *fixture = *state;
	uint64_t end_ns = clock_boottime_ns() + 2 * NS_PER_S;
	unsigned int found = 0, absent = 0, retried = 0, round = 0;
	struct challenge_table *reader;
	struct challenge challenge;
	pid_t writers[2];
	char name[32];
	int result;

	assert_int_equal(challenge_table_open(&reader, &fixture->paths, CHALLENGE_TABLE_READ), 0);
	writers[0] = start_writer(fixture, 1);
	writers[1] = start_writer(fixture, 2);
	while (clock_boottime_ns() < end_ns) {
		busy_name(name, round++ % BUSY_NAMES);
		result = find(reader, name, &challenge);
		found += result == 0;
		absent += result == -ENOENT;
		retried += result == -EAGAIN;
		assert_true(result == 0 || result == -ENOENT || result == -EAGAIN);
		if (result == 0 && found % 16 == 0)
			assert_true(fixture_cert_verifies(challenge_table_key(reader),
							  &challenge.cert));
	}
	kill_writer(writers[0]);
	kill_writer(writers[1]);
	challenge_table_free(reader);
	assert_true(found > 100 && absent > 0);
	assert_true(retried <= found / 1000);
	assert_int_equal(publish(fixture->writer, "www.example.com", 1), 0);
	assert_sound(fixture);
}

/* Write one slot until killed, each time with another byte all over. */
static void write_slot_for_ever(const struct fixture *fixture)
{
	struct slots slots;
	struct slot slot;
	uint32_t index;
	uint8_t mark;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (slots_open(&slots, fixture->paths.table, true) || slots_lock(&slots) < 0 ||
	    slots_take(&slots, &index))
		_exit(1);
	for (mark = 0;; mark++) {
		memset(&slot, mark, sizeof(slot));
		if (slots_write(&slots, index, &slot))
			_exit(2);
	}
}

/* A copy that was made while the slot was written is never taken for a whole one. */
static void test_torn_copies(void **state)
{
	struct fixture *fixture = *state;
	uint64_t end_ns = clock_boottime_ns() + NS_PER_S;
	unsigned int whole = 0, torn = 0;
	struct slot slot, expected;
	struct slots slots;
	int result;
	pid_t pid;

	assert_int_equal(slots_open(&slots, fixture->paths.table, false), 0);
	pid = fork();
	if (pid == 0)
		write_slot_for_ever(fixture);
	assert_true(pid > 0);
	while (clock_boottime_ns() < end_ns) {
		result = slots_read(&slots, 0, &slot);
		/* Before the first writing there is no slot at all. */
		if (result == -EBADMSG && !whole && !torn)
			continue;
		torn += result == -EAGAIN;
		if (result == -EAGAIN)
			continue;
		assert_int_equal(result, 0);
		whole++;
		memset(&expected, slot.state, sizeof(expected));
		expected.sequence = slot.sequence;
		expected.checksum = slot.checksum;
		assert_memory_equal(&slot, &expected, sizeof(slot));
	}
	kill_writer(pid);
	slots_done(&slots);
	assert_true(whole > 100);
	assert_true(torn > 0);
}

/* --- writers killed ---------------------------------------------------------------- */

static void assert_all_readable(const struct fixture *fixture)
{
	struct challenge challenge;
	unsigned int i;
	char name[32];
	int result;

	for (i = 0; i < BUSY_NAMES; i++) {
		busy_name(name, i);
		result = find(fixture->writer, name, &challenge);
		assert_true(result == 0 || result == -ENOENT);
	}
	assert_int_equal(find(fixture->writer, "steady.example.com", &challenge), 0);
	assert_int_equal(challenge.cert.digest[0], 77);
}

/* At any moment whatever: what was pending stays so, and the next writer finds order. */
static void test_writer_killed_at_random(void **state)
{
	struct fixture *fixture = *state;
	unsigned int round, unclean = 0, seed = 42;
	struct challenge challenge;
	pid_t pid;

	assert_int_equal(publish(fixture->writer, "steady.example.com", 77), 0);
	for (round = 0; round < 250; round++) {
		pid = start_writer(fixture, round);
		usleep((useconds_t)rand_r(&seed) % 2000);
		kill_writer(pid);
		unclean += is_unclean(fixture);
		assert_all_readable(fixture);
		assert_int_equal(publish(fixture->writer, "www.example.com", (uint8_t)round), 0);
		assert_int_equal(find(fixture->writer, "www.example.com", &challenge), 0);
		assert_int_equal(challenge.cert.digest[0], (uint8_t)round);
		assert_all_readable(fixture);
		assert_sound(fixture);
	}
	assert_true(unclean > 5);
}

struct operation {
	const char *what;
	int (*run)(struct challenge_table *table);
	int before, after; /* the name's mark; -1: not pending */
};

static int run_publish(struct challenge_table *table)
{
	return publish(table, "www.example.com", 2);
}

static int run_withdraw(struct challenge_table *table)
{
	return withdraw(table, "www.example.com", 0);
}

static int run_grace(struct challenge_table *table)
{
	return withdraw(table, "www.example.com", 100);
}

static const struct operation operations[] = {
	{"publish", run_publish, -1, 2},
	{"publish again", run_publish, 1, 2},
	{"withdraw", run_withdraw, 1, -1},
	{"withdraw with grace", run_grace, 1, 1},
};

/*
 * Run an operation in a child and kill it at its `stops`-th stop; each system
 * call stops twice, before and after.  False: it had ended by then.
 */
static bool kill_at_stop(const struct fixture *fixture, const struct operation *operation,
			 unsigned int stops)
{
	struct challenge_table *table;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (challenge_table_open(&table, &fixture->paths, CHALLENGE_TABLE_WRITE) ||
		    ptrace(PTRACE_TRACEME, 0, NULL, NULL) || raise(SIGSTOP))
			_exit(1);
		_exit(operation->run(table) ? 2 : 0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	while (stops--) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
		assert_true(WIFSTOPPED(status));
	}
	kill_writer(pid);
	return true;
}

/* Before and after each system call of each operation: the old state or the new one. */
static void test_writer_killed_at_each_system_call(void **state)
{
	struct fixture *fixture = *state;
	const struct operation *operation;
	struct challenge challenge;
	unsigned int stops;
	int mark;

	for (operation = operations; operation < operations + 4; operation++) {
		for (stops = 1;; stops++) {
			(void)withdraw(fixture->writer, "www.example.com", 0);
			assert_int_equal(publish(fixture->writer, "steady.example.com", 77), 0);
			if (operation->before >= 0)
				assert_int_equal(publish(fixture->writer, "www.example.com",
							 (uint8_t)operation->before),
						 0);
			if (!kill_at_stop(fixture, operation, stops))
				break;
			mark = find(fixture->writer, "www.example.com", &challenge)
				       ? -1
				       : challenge.cert.digest[0];
			assert_true(mark == operation->before || mark == operation->after);
			assert_all_readable(fixture);
			assert_int_equal(publish(fixture->writer, "other.example.com", 3), 0);
			assert_int_equal(find(fixture->writer, "www.example.com", &challenge)
						 ? -1
						 : challenge.cert.digest[0],
					 mark);
			assert_all_readable(fixture);
			assert_sound(fixture);
			assert_true(stops < 1000);
		}
		assert_true(stops > 10);
	}
}

/* --- no memory ----------------------------------------------------------------------- */

static void test_no_memory(void **state)
{
	struct fixture *fixture = *state, big;
	struct challenge challenge;
	unsigned int count, i;
	char name[32];
	int result = 0;

	(void)fixture;
	fixture_init(&big, STEER_CHALLENGES_MAX);
	fixture_make_table(&big, 10000);
	assert_int_equal(mount("tmpfs", big.root, "tmpfs", MS_REMOUNT, "size=256k"), 0);
	for (count = 0; count < 10000; count++) {
		busy_name(name, count);
		result = publish(big.writer, name, (uint8_t)count);
		if (result)
			break;
	}
	assert_int_equal(result, -ENOSPC);
	assert_true(count > 300);
	for (i = 0; i < count; i++) {
		busy_name(name, i);
		assert_int_equal(find(big.writer, name, &challenge), 0);
		assert_int_equal(challenge.cert.digest[0], (uint8_t)i);
	}
	assert_int_equal(mount("tmpfs", big.root, "tmpfs", MS_REMOUNT, "size=512k"), 0);
	busy_name(name, count);
	assert_int_equal(publish(big.writer, name, 1), 0);
	fixture_done(&big);
}

/* --- damage ---------------------------------------------------------------------------- */

/* Change one byte of the table's file; returns the old one. */
static uint8_t poke(const struct fixture *fixture, off_t offset, uint8_t value)
{
	int fd = open(fixture->paths.table, O_RDWR);
	uint8_t old;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &old, 1, offset), 1);
	assert_int_equal(pwrite(fd, &value, 1, offset), 1);
	close(fd);
	return old;
}

static void test_damaged_header(void **state)
{
	struct fixture *fixture = *state;
	struct challenge_table *table;
	uint8_t old;
	off_t i;

	for (i = 0; i < (off_t)sizeof(struct slots_constants); i++) {
		old = poke(fixture, i, 0);
		poke(fixture, i, old ^ 0x10);
		assert_int_equal(
			challenge_table_open(&table, &fixture->paths, CHALLENGE_TABLE_READ),
			-EPROTO);
		poke(fixture, i, old);
	}
	assert_int_equal(challenge_table_open(&table, &fixture->paths, CHALLENGE_TABLE_READ), 0);
	challenge_table_free(table);
}

/* No byte of a slot can change unnoticed; and publishing again repairs it. */
static void test_damaged_slot(void **state)
{
	struct fixture *fixture = *state;
	struct challenge challenge, before;
	off_t start, i;
	uint8_t old;
	int result;

	assert_int_equal(publish(fixture->writer, "www.example.com", 1), 0);
	assert_int_equal(find(fixture->writer, "www.example.com", &before), 0);
	start = SLOTS_HEADER_SIZE + (off_t)before.slot * SLOT_SIZE;
	for (i = 0; i < SLOT_SIZE; i++) {
		old = poke(fixture, start + i, 0);
		poke(fixture, start + i, old ^ 0x02);
		result = find(fixture->writer, "www.example.com", &challenge);
		assert_int_equal(result, -EBADMSG);
		poke(fixture, start + i, old);
		assert_int_equal(find(fixture->writer, "www.example.com", &challenge), 0);
	}
	assert_memory_equal(&challenge, &before, sizeof(before));

	/* A slot that a dead writer left half written. */
	old = poke(fixture, start, 0);
	poke(fixture, start, old + 1);
	assert_int_equal(find(fixture->writer, "www.example.com", &challenge), -EAGAIN);
	poke(fixture, start + 200, 0xff);
	assert_int_equal(publish(fixture->writer, "www.example.com", 2), 0);
	assert_int_equal(find(fixture->writer, "www.example.com", &challenge), 0);
	assert_int_equal(challenge.cert.digest[0], 2);
	assert_sound(fixture);
}

static void test_damaged_entries(void **state)
{
	struct fixture *fixture = *state;
	uint64_t key = key_of(fixture, "www.example.com");
	struct steer_challenge entry, bad;
	struct challenge challenge;

	assert_int_equal(publish(fixture->writer, "www.example.com", 1), 0);
	assert_int_equal(bpf_map_lookup_elem(fixture->challenges, &key, &entry), 0);
	bad = entry;
	bad.slot = SLOT_COUNT + 1;
	assert_int_equal(bpf_map_update_elem(fixture->challenges, &key, &bad, BPF_ANY), 0);
	assert_int_equal(find(fixture->writer, "www.example.com", &challenge), -EBADMSG);
	bad.slot = UINT32_MAX;
	assert_int_equal(bpf_map_update_elem(fixture->challenges, &key, &bad, BPF_ANY), 0);
	assert_int_equal(find(fixture->writer, "www.example.com", &challenge), -EBADMSG);
	assert_int_equal(withdraw(fixture->writer, "www.example.com", 0), -ENOENT);

	assert_int_equal(publish(fixture->writer, "www.example.com", 1), 0);
	assert_int_equal(bpf_map_lookup_elem(fixture->challenges, &key, &entry), 0);
	bad = entry;
	bad.generation += 2;
	assert_int_equal(bpf_map_update_elem(fixture->challenges, &key, &bad, BPF_ANY), 0);
	assert_int_equal(find(fixture->writer, "www.example.com", &challenge), -EAGAIN);
	assert_int_equal(publish(fixture->writer, "www.example.com", 2), 0);
	assert_int_equal(find(fixture->writer, "www.example.com", &challenge), 0);
	assert_int_equal(challenge.cert.digest[0], 2);

	/* Somebody removed the entry: the slot is found and taken back. */
	assert_int_equal(bpf_map_delete_elem(fixture->challenges, &key), 0);
	assert_int_equal(find(fixture->writer, "www.example.com", &challenge), -ENOENT);
	assert_int_equal(publish(fixture->writer, "other.example.com", 1), 0);
	assert_int_equal(publish(fixture->writer, "other.example.com", 2), 0);
	assert_int_equal(count_entries(fixture), 1);
}

/* Two names with one hash: the second is refused, and is not answered for the first. */
static void test_colliding_names(void **state)
{
	struct fixture *fixture = *state;
	uint64_t first = key_of(fixture, "first.example.com");
	uint64_t second = key_of(fixture, "second.example.com");
	struct steer_challenge entry;
	struct challenge challenge;

	assert_int_equal(publish(fixture->writer, "first.example.com", 1), 0);
	assert_int_equal(bpf_map_lookup_elem(fixture->challenges, &first, &entry), 0);
	assert_int_equal(bpf_map_update_elem(fixture->challenges, &second, &entry, BPF_ANY), 0);
	assert_int_equal(find(fixture->writer, "second.example.com", &challenge), -ENOENT);
	assert_int_equal(publish(fixture->writer, "second.example.com", 2), -EEXIST);
	assert_int_equal(withdraw(fixture->writer, "second.example.com", 0), -ENOENT);
	assert_int_equal(find(fixture->writer, "first.example.com", &challenge), 0);
	assert_int_equal(challenge.cert.digest[0], 1);
}

static void test_maps_of_another_shape(void **state)
{
	static const struct {
		const char *pin;
		enum bpf_map_type type;
		uint32_t key_size, value_size;
	} cases[] = {
		{STEER_PIN_CHALLENGES, BPF_MAP_TYPE_HASH, 8, 4096},
		{STEER_PIN_CHALLENGES, BPF_MAP_TYPE_HASH, 16, 16},
		{STEER_PIN_CHALLENGES, BPF_MAP_TYPE_LRU_HASH, 8, 16},
		{STEER_PIN_ARMED, BPF_MAP_TYPE_ARRAY, 4, 64},
		{STEER_PIN_ARMED, BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8},
	};
	struct fixture *fixture = *state;
	struct challenge_table *table;
	char pin[PATHS_MAX + 32], saved[PATHS_MAX + 32];
	size_t i;
	int map;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(pin, sizeof(pin), "%s/%s", fixture->paths.pins, cases[i].pin);
		snprintf(saved, sizeof(saved), "%s/saved", fixture->paths.pins);
		assert_int_equal(rename(pin, saved), 0);
		map = bpf_map_create(cases[i].type, "other", cases[i].key_size, cases[i].value_size,
				     1, NULL);
		assert_true(map >= 0);
		assert_int_equal(bpf_obj_pin(map, pin), 0);
		assert_int_equal(
			challenge_table_open(&table, &fixture->paths, CHALLENGE_TABLE_WRITE),
			-EPROTO);
		close(map);
		assert_int_equal(unlink(pin), 0);
		assert_int_equal(rename(saved, pin), 0);
	}
}

/* --- hostile members of the group ---------------------------------------------------------- */

static void test_truncated(void **state)
{
	static const off_t sizes[] = {0, 100, SLOTS_HEADER_SIZE, SLOTS_HEADER_SIZE + SLOT_SIZE};
	struct fixture *fixture = *state;
	struct challenge_table *reader;
	struct challenge challenge;
	uint32_t cursor;
	unsigned int i;
	uint64_t hash_key[2];
	char name[32];
	size_t n;

	for (n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
		for (i = 0; i < SLOT_COUNT / 2; i++) {
			busy_name(name, i);
			assert_int_equal(publish(fixture->writer, name, 1), 0);
		}
		assert_int_equal(
			challenge_table_open(&reader, &fixture->paths, CHALLENGE_TABLE_READ), 0);
		assert_int_equal(truncate(fixture->paths.table, sizes[n]), 0);
		assert_int_equal(find(reader, name, &challenge), -EBADMSG);
		cursor = 0;
		while (challenge_table_next(reader, &cursor, &challenge) == 0)
			;
		assert_int_equal(publish(fixture->writer, name, 1), -EBADMSG);
		assert_int_equal(withdraw(fixture->writer, name, 0), -EBADMSG);
		challenge_table_free(reader);
		assert_int_equal(
			challenge_table_open(&reader, &fixture->paths, CHALLENGE_TABLE_READ),
			-EPROTO);
		/* A new table and all is well. */
		challenge_table_free(fixture->writer);
		fixture->writer = NULL;
		assert_int_equal(
			challenge_table_create(fixture->paths.table, 0, SLOT_COUNT, hash_key), 0);
		memcpy(fixture->hash_key, hash_key, sizeof(hash_key));
		assert_int_equal(challenge_table_open(&fixture->writer, &fixture->paths,
						      CHALLENGE_TABLE_WRITE),
				 0);
	}
}

/* A bus error that is none of the table's still ends the process. */
static void test_other_bus_errors(void **state)
{
	struct fixture *fixture = *state;
	struct challenge_table *table;
	char path[64];
	int status, fd;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/other", fixture->root);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	pid = fork();
	if (pid == 0) {
		volatile char *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

		/* Neither the test library's handler nor a core file; then ours. */
		signal(SIGBUS, SIG_DFL);
		prctl(PR_SET_DUMPABLE, 0);
		if (page == MAP_FAILED || ftruncate(fd, 0) ||
		    challenge_table_open(&table, &fixture->paths, CHALLENGE_TABLE_READ))
			_exit(0);
		_exit(page[0]);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
	close(fd);
}

/* Any of the table's own answers, but no crash, no hang and no nonsense. */
static void assert_answers(struct challenge_table *table, unsigned int *seed)
{
	struct challenge challenge;
	uint32_t cursor = 0;
	unsigned int i, steps = 0;
	char name[32];
	int result;

	for (i = 0; i < BUSY_NAMES; i++) {
		busy_name(name, i);
		result = challenge_table_find(table, name, strlen(name), &challenge);
		assert_true(result == 0 || result == -ENOENT || result == -EAGAIN ||
			    result == -EBADMSG);
		if (result == 0)
			assert_string_equal(challenge.cert.identifier.sni, name);
	}
	while (challenge_table_next(table, &cursor, &challenge) == 0)
		assert_true(steps++ < SLOT_COUNT);
	busy_name(name, (unsigned int)rand_r(seed) % BUSY_NAMES);
	result = withdraw(table, name, (unsigned int)rand_r(seed) % 2);
	assert_true(result == 0 || result == -ENOENT || result == -EPERM);
	busy_name(name, (unsigned int)rand_r(seed) % BUSY_NAMES);
	result = publish(table, name, 5);
	assert_true(result == 0 || result == -EPERM || result == -EEXIST || result == -ENOSPC);
	if (result == 0) {
		assert_int_equal(challenge_table_find(table, name, strlen(name), &challenge), 0);
		assert_int_equal(challenge.cert.digest[0], 5);
	}
}

/* Bytes changed at random, in the header's state and in the slots. */
static void test_random_damage(void **state)
{
	struct fixture *fixture = *state;
	unsigned int round, i, seed = 7;
	char name[32];
	off_t offset;

	for (round = 0; round < 3000; round++) {
		for (i = 0; i < 3; i++) {
			busy_name(name, (unsigned int)rand_r(&seed) % BUSY_NAMES);
			(void)publish(fixture->writer, name, (uint8_t)round);
		}
		for (i = (unsigned int)rand_r(&seed) % 8; i; i--) {
			if (rand_r(&seed) % 2)
				offset = SLOTS_STATE_OFFSET +
					 rand_r(&seed) % (int)sizeof(struct slots_state);
			else
				offset = SLOTS_HEADER_SIZE + rand_r(&seed) % (12 * SLOT_SIZE);
			poke(fixture, offset, (uint8_t)rand_r(&seed));
		}
		assert_answers(fixture->writer, &seed);
	}
}

/* Slots that are wrong but have the right checksum, and a state to match. */
static void test_forged_slots(void **state)
{
	struct fixture *fixture = *state;
	unsigned int round, seed = 11;
	struct slots slots;
	struct slot slot;
	uint32_t index;

	for (round = 0; round < 3000; round++) {
		assert_answers(fixture->writer, &seed);
		assert_int_equal(slots_open(&slots, fixture->paths.table, true), 0);
		if (slots_lock(&slots) < 0)
			fail();
		index = (uint32_t)rand_r(&seed) % 12;
		if (slots_read(&slots, index, &slot) == 0) {
			switch (rand_r(&seed) % 8) {
			case 0:
				slot.next_free = (uint32_t)rand_r(&seed);
				break;
			case 1:
				slot.next_free = index + 1;
				break;
			case 2:
				slot.state ^= 3;
				break;
			case 3:
				slot.name_length = (uint8_t)rand_r(&seed);
				break;
			case 4:
				slot.name[rand_r(&seed) % 16] = (char)rand_r(&seed);
				break;
			case 5:
				slot.expires_ns = (uint64_t)rand_r(&seed) << 33;
				break;
			case 6:
				slot.ttl_s = (uint32_t)rand_r(&seed);
				break;
			case 7:
				memset(slot.name, 'a', sizeof(slot.name));
				slot.name_length = 255;
				break;
			}
			/* Under the number that the map knows, now and then. */
			if (rand_r(&seed) % 2)
				slots.state->last_sequence = slot.sequence - 2;
			(void)slots_write(&slots, index, &slot);
		}
		if (rand_r(&seed) % 4 == 0)
			slots.state->first_free = (uint32_t)rand_r(&seed) % 16;
		if (rand_r(&seed) % 4 == 0)
			slots.state->used = (uint32_t)rand_r(&seed) % 3;
		slots_unlock(&slots, true);
		slots_done(&slots);
	}
}

#define table_test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		table_test(test_two_writers_and_a_reader),
		table_test(test_torn_copies),
		table_test(test_writer_killed_at_random),
		table_test(test_writer_killed_at_each_system_call),
		table_test(test_no_memory),
		table_test(test_damaged_header),
		table_test(test_damaged_slot),
		table_test(test_damaged_entries),
		table_test(test_colliding_names),
		table_test(test_maps_of_another_shape),
		table_test(test_truncated),
		table_test(test_other_bus_errors),
		table_test(test_random_damage),
		table_test(test_forged_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
