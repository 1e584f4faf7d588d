// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/sim/scenarios.h"

#include <stddef.h>

const struct scenario scenarios[] = {
#define SCENARIO(name, text) {#name, text, scenario_##name},
#include "tests/sim/scenarios.table"
#undef SCENARIO
	{NULL, NULL, NULL},
};
