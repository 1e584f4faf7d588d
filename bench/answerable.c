// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * How long it takes until a challenge can be answered: answerable ROOT COUNT.  One
 * thread publishes, as the agent does; the other asks the table for the name without
 * pause, as the responder does at a ClientHello.  Prints for each name the microseconds
 * from the call to publish() until it is found.  Run by publishing.py.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/challenge_table.h"
#include "common/identifier.h"
#include "common/paths.h"

#define TTL_S     3600
#define COUNT_MAX 100000
#define NAME_SIZE 64

struct measurement {
	struct challenge_table *reader;
	unsigned long count;
	atomic_ulong wanted; /* names that the reader has found, and waits for the next */
	uint64_t *found_ns, *published_ns;
};

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void make_name(char ret_name[NAME_SIZE], unsigned long number)
{
	snprintf(ret_name, NAME_SIZE, "answer-%lu.example.com", number);
}

static void *read_names(void *argument)
{
	struct measurement *measurement = argument;
	struct challenge challenge;
	char name[NAME_SIZE];

	for (unsigned long i = 0; i < measurement->count; i++) {
		make_name(name, i);
		atomic_store(&measurement->wanted, i + 1);
		while (challenge_table_find(measurement->reader, name, strlen(name), &challenge))
			;
		measurement->found_ns[i] = clock_ns();
	}
	return NULL;
}

static int publish_names(struct measurement *measurement, struct challenge_table *writer)
{
	const uint8_t digest[CHALLENGE_DIGEST_SIZE] = {0};
	struct identifier identifier;
	char name[NAME_SIZE];
	int err = 0;

	for (unsigned long i = 0; !err && i < measurement->count; i++) {
		make_name(name, i);
		if (identifier_parse(&identifier, name) != IDENTIFIER_OK)
			return -EINVAL;
		while (atomic_load(&measurement->wanted) != i + 1)
			;
		measurement->published_ns[i] = clock_ns();
		err = challenge_table_publish(writer, &identifier, digest, TTL_S);
	}
	return err;
}

static int measure(struct measurement *measurement, const struct paths *paths)
{
	struct challenge_table *writer;
	pthread_t thread;
	int err;

	err = challenge_table_open(&writer, paths, CHALLENGE_TABLE_WRITE);
	if (err)
		return err;
	err = challenge_table_open(&measurement->reader, paths, CHALLENGE_TABLE_READ);
	if (!err)
		err = -pthread_create(&thread, NULL, read_names, measurement);
	if (!err)
		err = publish_names(measurement, writer);
	/* A reader whose name never comes would wait for ever: the process ends instead. */
	if (!err)
		pthread_join(thread, NULL);
	return err;
}

int main(int argc, char **argv)
{
	struct measurement measurement = {.count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0};
	struct paths paths;
	int err;

	if (!measurement.count || measurement.count > COUNT_MAX) {
		fprintf(stderr, "usage: answerable ROOT COUNT (1 to %d)\n", COUNT_MAX);
		return 2;
	}
	measurement.found_ns = calloc(measurement.count, sizeof(uint64_t));
	measurement.published_ns = calloc(measurement.count, sizeof(uint64_t));
	err = measurement.found_ns && measurement.published_ns ? paths_init(&paths, argv[1])
							       : -ENOMEM;
	if (!err)
		err = measure(&measurement, &paths);
	if (err) {
		fprintf(stderr, "answerable: %s: %s\n", argv[1], strerror(-err));
		return 1;
	}
	for (unsigned long i = 0; i < measurement.count; i++)
		printf("%.3f\n",
		       (double)(measurement.found_ns[i] - measurement.published_ns[i]) / 1e3);
	return 0;
}
