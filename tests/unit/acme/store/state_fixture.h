/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A state in a directory of its own, for the tests of state*.c. */
#ifndef TESTS_UNIT_ACME_STORE_STATE_FIXTURE_H
#define TESTS_UNIT_ACME_STORE_STATE_FIXTURE_H

#include <stdint.h>
#include <stdlib.h>

#include "acme/store/state.h"
#include "acme/util/failure.h"
#include "common/paths.h"
#include "tests/unit/fixture.h"

#define NOW   INT64_C(1800000000)
#define HOUR  INT64_C(3600)
#define DAY   (24 * HOUR)
#define CA    "https://ca.example/directory"
#define OTHER "https://other.example/directory"

struct state_test {
	char root[32];
	struct paths paths;
	struct state *state;
};

/* For cmocka_unit_test_setup_teardown(): the test gets a struct state_test. */
int state_test_setup(void **context);
int state_test_teardown(void **context);

/* Open the database; state_test_again() closes it first, as another start of the program does. */
struct state *state_test_open(struct state_test *test);
struct state *state_test_again(struct state_test *test);

/* Want a certificate for this name at CA, then OTHER; its id. */
int64_t state_test_want(struct state *state, const char *name, const char *source);

/* The lineage, for state_lineage_done(). */
struct state_lineage state_test_read(struct state *state, int64_t id);

/* Begin an order of it, as it is wanted now. */
void state_test_order(struct state *state, int64_t id);

/* A certificate of this life that the CA has issued now. */
struct state_certificate state_test_certificate(int64_t now_s, int64_t life_s);

/* What is due at CA, or OTHER, as text: "name name". */
const char *state_test_due(struct state *state, int64_t now_s, size_t max);

#endif
