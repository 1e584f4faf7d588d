/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An instance to test with: its directories on a tmpfs and its maps, pinned in a
 * bpffs.  The mounts live in a namespace of the test program, so that nothing
 * is left when it dies.  Needs root.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/challenge_table.h"
#include "common/paths.h"

struct fixture {
	char root[32];
	struct paths paths;
	int challenges, armed, counters; /* the maps' descriptors */
	uint64_t hash_key[2];
	struct challenge_table *writer;
};

/* Make the directories and the maps; the map "challenges" holds `names` at most. */
void fixture_init(struct fixture *fixture, uint32_t names);
/* Make the table and open it as fixture->writer. */
void fixture_make_table(struct fixture *fixture, uint32_t slots);
void fixture_done(struct fixture *fixture);

/* Run a shell command; its output (both streams), to be freed.  ret_status may be NULL. */
char *fixture_run(int *ret_status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whether the DER certificate's signature is the key's, as wolfCrypt sees it. */
bool fixture_cert_verifies(const struct challenge_key *key, const struct challenge_cert *cert);

void fixture_write_file(const char *path, const void *bytes, size_t size);

#endif
