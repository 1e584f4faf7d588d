// SPDX-License-Identifier: GPL-3.0-or-later
/* Years without trouble. */
#include <stdio.h>

#include "tests/sim/invariants.h"
#include "tests/sim/scenarios.h"
#include "tests/sim/world.h"

#define CERTIFICATES 50

void scenario_plain_year(void)
{
	struct world *world = world_begin(1);
	struct model_options options = world_ca_options(world, "ca.test");
	struct world_certificate *certificate;
	char name[WORLD_NAME_MAX];
	size_t ca = world_add_ca(world, &options), i;

	for (i = 0; i < CERTIFICATES; i++) {
		snprintf(name, sizeof(name), "www.site%zu.example", i);
		certificate = world_want(world, name);
		certificate->has_own_hook = i % 5 == 0;
	}
	world_configure(world);
	world_start_daemon(world);
	world_await_all(world, 1);
	world_expect(model_ca_counts(world->cas[ca])->orders == CERTIFICATES,
		     "one order for each certificate");
	world_run_days(world, 365);
	invariants_quiet(world);
	/* 60 of 90 days: five or six renewals of each. */
	world_expect(world->issued >= 6 * CERTIFICATES && world->issued <= 8 * CERTIFICATES,
		     "%llu certificates were issued", (unsigned long long)world->issued);
	world_expect(model_ca_counts(world->cas[ca])->accounts == 1, "one account");
	world_end(world);
}
