// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Arm many names at once, as the agent does with each: arm ROOT COUNT.  Prints how many
 * seconds it took.  Run by ratios.py and publishing.py beside an instance whose
 * responder has made the table.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/challenge_table.h"
#include "common/identifier.h"
#include "common/paths.h"

#define TTL_S     3600
#define COUNT_MAX 1000000

static double clock_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int arm(struct challenge_table *table, unsigned long count)
{
	const uint8_t digest[CHALLENGE_DIGEST_SIZE] = {0};
	struct identifier name;
	char text[64];
	int err = 0;

	for (unsigned long i = 0; !err && i < count; i++) {
		snprintf(text, sizeof(text), "name-%lu.example.com", i);
		if (identifier_parse(&name, text) != IDENTIFIER_OK)
			return -EINVAL;
		err = challenge_table_publish(table, &name, digest, TTL_S);
	}
	return err;
}

int main(int argc, char **argv)
{
	unsigned long count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	struct challenge_table *table;
	struct paths paths;
	int err;

	if (!count || count > COUNT_MAX) {
		fprintf(stderr, "usage: arm ROOT COUNT (1 to %d)\n", COUNT_MAX);
		return 2;
	}
	err = paths_init(&paths, argv[1]);
	if (!err)
		err = challenge_table_open(&table, &paths, CHALLENGE_TABLE_WRITE);
	if (!err) {
		double began_s = clock_s();

		err = arm(table, count);
		if (!err)
			printf("%.6f\n", clock_s() - began_s);
		challenge_table_free(table);
	}
	if (err)
		fprintf(stderr, "arm: cannot arm %lu names in %s: %s\n", count, argv[1],
			strerror(-err));
	return err ? 1 : 0;
}
