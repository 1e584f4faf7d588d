// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/counters.h"
#include "tests/unit/fixture.h"

/* The enum's comments and names are the rule; the tables of counters.c follow. */
static void test_names_and_texts(void **state)
{
	FILE *file = fopen("bpf/steer_abi.h", "r");
	char line[256], name[64], text[200], lower[64];
	unsigned int counter = 0;
	bool found = false;
	char *close_comment;
	size_t i;

	(void)state;
	if (!file)
		fail_msg("no bpf/steer_abi.h here: run from the top of the tree");
	while (fgets(line, sizeof(line), file)) {
		found |= strcmp(line, "enum steer_counter {\n") == 0;
		close_comment = strstr(line, " */");
		if (!found || !close_comment)
			continue;
		*close_comment = '\0';
		if (sscanf(line, " STEER_%63[A-Z_], /* %199[^\n]", name, text) != 2)
			continue;
		for (i = 0; i <= strlen(name); i++)
			lower[i] = (char)tolower(name[i]);
		assert_string_equal(steer_counter_name(counter), lower);
		assert_string_equal(steer_counter_text(counter), text);
		counter++;
	}
	fclose(file);
	assert_int_equal(counter, STEER_COUNTERS);
}

static void test_read(void **state)
{
	int cpu_count = libbpf_num_possible_cpus(), cpu;
	uint64_t *values, sums[STEER_COUNTERS];
	struct fixture fixture;
	__u32 i;

	(void)state;
	assert_true(cpu_count > 0);
	values = calloc((size_t)cpu_count, sizeof(*values));
	assert_non_null(values);
	fixture_init(&fixture, 16);
	for (i = 0; i < STEER_COUNTERS; i++) {
		for (cpu = 0; cpu < cpu_count; cpu++)
			values[cpu] = 1000 * (i + 1) + (unsigned int)cpu;
		assert_int_equal(bpf_map_update_elem(fixture.counters, &i, values, BPF_ANY), 0);
	}
	assert_int_equal(counters_read(&fixture.paths, sums), 0);
	for (i = 0; i < STEER_COUNTERS; i++)
		assert_int_equal(sums[i],
				 (i + 1) * 1000 * cpu_count + cpu_count * (cpu_count - 1) / 2);
	fixture_done(&fixture);
	free(values);
}

static void test_errors(void **state)
{
	uint64_t sums[STEER_COUNTERS];
	struct fixture fixture;
	char pin[PATHS_MAX + 32];
	int small;

	(void)state;
	fixture_init(&fixture, 16);
	snprintf(pin, sizeof(pin), "%s/counters", fixture.paths.pins);
	assert_int_equal(unlink(pin), 0);
	assert_int_equal(counters_read(&fixture.paths, sums), -ENOENT);

	/* A map of another version: fewer counters. */
	small = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "counters", sizeof(__u32), sizeof(__u64),
			       STEER_COUNTERS - 1, NULL);
	assert_true(small >= 0);
	assert_int_equal(bpf_obj_pin(small, pin), 0);
	assert_int_equal(counters_read(&fixture.paths, sums), -EPROTO);
	close(small);
	assert_int_equal(unlink(pin), 0);

	/* Values that are larger than expected would overflow the reader's buffer. */
	small = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "counters", sizeof(__u32), 64,
			       STEER_COUNTERS, NULL);
	assert_true(small >= 0);
	assert_int_equal(bpf_obj_pin(small, pin), 0);
	assert_int_equal(counters_read(&fixture.paths, sums), -EPROTO);
	close(small);
	fixture_done(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_and_texts),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
