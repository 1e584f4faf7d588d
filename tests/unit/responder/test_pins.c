// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bpf/steer_abi.h"
#include "responder/handover.h"
#include "responder/steer.h"
#include "tests/unit/fixture.h"

#define NAME "kept.example.com"

static struct fixture fixture;
static uint64_t hash_key[2];

static int setup(void **state)
{
	(void)state;
	fixture_init(&fixture, 16);
	assert_int_equal(challenge_table_create(fixture.paths.table, 0, 16, hash_key), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_done(&fixture);
	return 0;
}

/* As a responder does it when it starts. */
static void open_maps(gid_t group, const uint64_t key[2])
{
	struct handover handover = {.lock_fd = -1, .control_fd = -1, .alive_fd = -1};
	const struct steer_options options = {.paths = &fixture.paths,
					      .group = group,
					      .handover = &handover,
					      .predecessor_fd = -1};
	struct steer *steer;

	assert_int_equal(steer_open_maps(&options, key, &steer), 0);
	assert_int_equal(steer_not(steer, &options), 0);
	steer_free(steer);
}

static void publish(void)
{
	static const uint8_t digest[CHALLENGE_DIGEST_SIZE] = {1};
	struct challenge_table *table;
	struct identifier identifier;

	assert_int_equal(identifier_parse(&identifier, NAME), IDENTIFIER_OK);
	assert_int_equal(challenge_table_open(&table, &fixture.paths, CHALLENGE_TABLE_WRITE), 0);
	assert_int_equal(challenge_table_publish(table, &identifier, digest, 60), 0);
	challenge_table_free(table);
}

static int find(void)
{
	struct challenge_table *table;
	struct challenge challenge;
	int err;

	assert_int_equal(challenge_table_open(&table, &fixture.paths, CHALLENGE_TABLE_READ), 0);
	err = challenge_table_find(table, NAME, strlen(NAME), &challenge);
	challenge_table_free(table);
	return err;
}

/* Also of one that never steered: nothing but the maps tells the next one. */
static void test_armed_names_outlive_a_responder(void **state)
{
	(void)state;
	open_maps(0, hash_key);
	publish();
	open_maps(0, hash_key);
	assert_int_equal(find(), 0);
}

static void test_another_tables_names_do_not(void **state)
{
	const uint64_t other_key[2] = {hash_key[0], hash_key[1] + 1};

	(void)state;
	open_maps(0, hash_key);
	publish();
	open_maps(0, other_key);
	assert_int_equal(find(), -ENOENT);
}

static void assert_is_of_group(const char *pin, gid_t group, mode_t mode)
{
	char path[PATHS_MAX + 32];
	struct stat status;

	snprintf(path, sizeof(path), "%s/%s", fixture.paths.pins, pin);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_uid, 0);
	assert_int_equal(status.st_gid, group);
	assert_int_equal(status.st_mode & 0777, mode);
}

/* The second start meets the pins of the first, which was given another group. */
static void test_the_group_of_the_last_start_has_the_rights(void **state)
{
	(void)state;
	for (gid_t group = 4321; group <= 4322; group++) {
		open_maps(group, hash_key);
		assert_is_of_group("", group, 0750);
		assert_is_of_group(STEER_PIN_CHALLENGES, group, 0660);
		assert_is_of_group(STEER_PIN_ARMED, group, 0660);
		assert_is_of_group(STEER_PIN_COUNTERS, group, 0640);
		assert_is_of_group(STEER_PIN_CONTROL, 0, 0600);
	}
}

/* Row W1.  Not even root writes what only programs are to write, or what the programs rely on. */
static void test_what_is_frozen(void **state)
{
	static const struct {
		const char *pin;
		int err;
	} pins[] = {
		{STEER_PIN_CONTROL, -EPERM}, {STEER_PIN_COUNTERS, -EPERM}, {STEER_PIN_ARMED, 0}};
	static const uint8_t value[65536];
	const uint32_t key = 0;

	(void)state;
	open_maps(0, hash_key);
	for (size_t i = 0; i < sizeof(pins) / sizeof(pins[0]); i++) {
		char path[PATHS_MAX + 32];
		int fd;

		snprintf(path, sizeof(path), "%s/%s", fixture.paths.pins, pins[i].pin);
		fd = bpf_obj_get(path);
		assert_true(fd >= 0);
		errno = 0;
		bpf_map_update_elem(fd, &key, value, BPF_ANY);
		assert_int_equal(-errno, pins[i].err);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_is_frozen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_armed_names_outlive_a_responder, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_another_tables_names_do_not, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_group_of_the_last_start_has_the_rights,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
