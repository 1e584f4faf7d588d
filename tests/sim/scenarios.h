/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of named scenarios, and what a seed runs. */
#ifndef TESTS_SIM_SCENARIOS_H
#define TESTS_SIM_SCENARIOS_H

#include <stdint.h>

struct scenario {
	const char *name; /* NULL ends the table */
	const char *text; /* what is true, as a sentence */
	void (*run)(void); /* returns, or sim_fail() */
};

extern const struct scenario scenarios[];

#define SCENARIO(name, text) void scenario_##name(void);
#include "tests/sim/scenarios.table"
#undef SCENARIO

/* Everything that this seed decides, from sim_begin() to sim_end(). */
void scenario_seed(uint64_t seed);

#endif
