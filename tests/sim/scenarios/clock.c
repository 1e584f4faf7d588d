// SPDX-License-Identifier: GPL-3.0-or-later
/* Clocks that are wrong, and moments that cannot be believed. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/invariants.h"
#include "tests/sim/scenarios.h"
#include "tests/sim/world.h"

#define DAYS(days) ((int64_t)((days)*WORLD_DAY_S))

static void jump(struct world *world, int64_t by_s, double hours)
{
	sim_clock_jump(by_s);
	world_note_trouble(world, "the clock is wrong", sim_true_s(),
			   sim_true_s() + (int64_t)(hours * WORLD_HOUR_S), WORLD_ALL,
			   WORLD_CAS_MAX);
}

/* Row A6. */
void scenario_clock_ahead(void)
{
	struct world *world = world_ready(1, 3);

	world_run_days(world, 5);
	jump(world, DAYS(70), 48);
	world_run_days(world, 2);
	/* One renewal each is right: by this clock they are due. */
	world_expect(world->issued <= 6, "%llu certificates were issued for three",
		     (unsigned long long)world->issued);
	sim_clock_correct();
	world_run_days(world, 100);
	invariants_quiet(world);
	world_end(world);
}

/* Row A6. */
void scenario_windows_in_the_past(void)
{
	struct world *world = world_ready(1, 3);

	world_ca_trouble(world, 0, (struct model_trouble){.kind = TROUBLE_ARI_PAST}, 0, 10);
	world_run_days(world, 10);
	/* The CA is asked for windows daily, and wants each certificate replaced. */
	world_expect(world->issued <= 3 * 11, "%llu certificates were issued for three",
		     (unsigned long long)world->issued);
	world_run_days(world, 100);
	invariants_quiet(world);
	world_end(world);
}

/* Row A7. */
void scenario_years_ahead_for_an_hour(void)
{
	struct world *world = world_ready(1, 3);

	world_run_days(world, 58);
	jump(world, DAYS(2 * 365), 2);
	world_ca_trouble(world, 0, (struct model_trouble){.kind = TROUBLE_DOWN}, 0, 0.05);
	world_run_days(world, 1 / 24.0);
	sim_clock_correct();
	world_run_days(world, 30);
	invariants_quiet(world);
	world_end(world);
}

/* A clock that is months behind delays nothing for longer than it is wrong. */
void scenario_clock_behind(void)
{
	struct world *world = world_ready(1, 3);

	world_run_days(world, 50);
	jump(world, -DAYS(200), 3 * 24);
	world_run_days(world, 3);
	sim_clock_correct();
	world_run_days(world, 60);
	invariants_quiet(world);
	world_end(world);
}

/* Row A16. */
void scenario_not_before_ahead(void)
{
	struct world *world = world_with(2, 1);
	struct world_certificate *certificate;

	world->certificates[0].ca_count = 1;
	world->certificates[0].cas[0] = 1;
	model_ca_add_trouble(world->cas[1], &(struct model_trouble){.kind = TROUBLE_NOT_BEFORE,
								    .until_s = INT64_MAX,
								    .value = DAYS(20)});
	world_configure(world);
	world_start_daemon(world);
	world_run_days(world, 22);
	certificate = world_want(world, "c1.test");
	world_configure(world);
	world_await_all(world, 2);
	/* Due at day 82, when the other's newest begins at day 100 or so. */
	world_await_renewal(world, certificate, 65);
	world_run_days(world, 100);
	invariants_quiet(world);
	world_end(world);
}

/* Row B1. */
void scenario_due_when_it_comes(void)
{
	struct world *world = world_with(1, 1);

	/* They are dated back by an hour: two thirds of their life have passed. */
	model_ca_set_life(world->cas[0], 5400);
	world_configure(world);
	world_expect(world_verb(world, "renew", NULL) == 0, "renew fails");
	world_expect(world->issued == 1, "%llu were issued by one `renew`",
		     (unsigned long long)world->issued);
	world_start_daemon(world);
	world_run_days(world, 2);
	/* They live for 90 minutes. */
	world_expect(world->issued <= 2 * 64 + 1, "%llu were issued in two days",
		     (unsigned long long)world->issued);
	model_ca_set_life(world->cas[0], DAYS(90));
	world_run_days(world, 2);
	invariants_quiet(world);
	world_end(world);
}

/* The machine sleeps for a month. */
void scenario_long_sleep(void)
{
	struct world *world = world_ready(1, 3);

	world_run_days(world, 40);
	world_note_trouble(world, "the machine sleeps", sim_true_s(), sim_true_s() + DAYS(30),
			   WORLD_ALL, WORLD_CAS_MAX);
	sim_suspend(30 * SIM_DAY);
	world_run_days(world, 10);
	invariants_quiet(world);
	world_end(world);
}

/* Row A7.  Orders that a wrong clock has counted.*/
void scenario_limits_of_a_wrong_clock(void)
{
	struct world *world = world_begin(1);
	struct model_options options = world_ca_options(world, "a.test");
	char name[WORLD_NAME_MAX];
	size_t i;

	options.base = "https://acme-v02.api.letsencrypt.org";
	options.quirks.no_limits = false;
	world_add_ca(world, &options);
	for (i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "c%zu.test", i);
		world_want(world, name);
	}
	world_configure(world);
	jump(world, DAYS(2 * 365), 3);
	world_start_daemon(world);
	world_run_days(world, 3 / 24.0);
	sim_clock_correct();
	world_run_days(world, 90);
	invariants_quiet(world);
	world_end(world);
}
