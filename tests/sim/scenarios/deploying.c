// SPDX-License-Identifier: GPL-3.0-or-later
/* From the disk to the servers. */
#include <signal.h>
#include <string.h>

#include "tests/sim/invariants.h"
#include "tests/sim/scenarios.h"
#include "tests/sim/world.h"

static void end_daemon(void *context)
{
	world_restart_daemon(context, SIGTERM);
}

/* Row A9.  Another order hangs, for which the reload waits when SIGTERM comes.*/
static void ended_after(uint64_t delay_ms)
{
	struct world *world = world_with(2, 2);

	world->certificates[0].ca_count = world->certificates[1].ca_count = 1;
	world->certificates[1].cas[0] = 1;
	world_ca_trouble(
		world, 1,
		(struct model_trouble){.kind = TROUBLE_SILENT, .resources = RESOURCE_NEW_ORDER}, 0,
		5);
	world_configure(world);
	world_start_daemon(world);
	sim_after(delay_ms, end_daemon, world);
	world_run_days(world, 8);
	invariants_quiet(world);
	world_end(world);
}

/* Row A9. */
void scenario_ended_before_the_hooks(void)
{
	uint64_t delay_ms;

	for (delay_ms = 500; delay_ms < 90000; delay_ms = delay_ms * 5 / 4)
		ended_after(delay_ms);
}

/* What hooks do for a week must not lead to other certificates than the newest. */
static void hooks_fail(enum world_hooks kind)
{
	struct world *world = world_ready(1, 4);
	uint64_t issued;

	world_run_days(world, 58);
	world->hooks = kind;
	world_note_trouble(world, "hooks fail", sim_true_s(), sim_true_s() + 7 * WORLD_DAY_S,
			   WORLD_ALL, WORLD_CAS_MAX);
	world_run_days(world, 7);
	issued = world->issued;
	world->hooks = HOOKS_RIGHT;
	world_run_days(world, 4);
	invariants_quiet(world);
	/* None of this is the certificates' fault. */
	world_expect(issued == 8 && world->issued == 8, "%llu were issued for four",
		     (unsigned long long)world->issued);
	world_end(world);
}

/* Row A3. */
void scenario_server_not_running(void)
{
	hooks_fail(HOOKS_FAIL);
}

/* Rows A2 and A32. */
void scenario_hook_cannot_be_started(void)
{
	hooks_fail(HOOKS_ABSENT);
}

/* Row A3. */
void scenario_hook_hangs(void)
{
	hooks_fail(HOOKS_HANG);
}

/* Row A32. */
void scenario_hook_dies(void)
{
	hooks_fail(HOOKS_KILLED);
}

/* Row A3. */
void scenario_configuration_broken(void)
{
	hooks_fail(HOOKS_REFUSE);
}

/* Row A3. */
void scenario_certificates_refused(void)
{
	struct world *world = world_ready(1, 4);
	size_t i;

	world_run_days(world, 58);
	world->hooks = HOOKS_REFUSE_NEW;
	world_note_trouble(world, "new certificates are refused", sim_true_s(),
			   sim_true_s() + 7 * WORLD_DAY_S + BOUND_REFUSED_S, WORLD_ALL,
			   WORLD_CAS_MAX);
	world_run_days(world, 7);
	for (i = 0; i < 4; i++)
		world_expect(world_serves_disk(&world->certificates[i]),
			     "%s: not the certificate that the servers took last is on the disk",
			     world->certificates[i].name);
	world_expect(world->issued > 4 && world->issued <= 4 * 5, "%llu were issued for four",
		     (unsigned long long)world->issued);
	world->hooks = HOOKS_RIGHT;
	world_run_days(world, 6);
	invariants_quiet(world);
	world_end(world);
}

/* Row A29. */
void scenario_table_replaced(void)
{
	struct world *world = world_ready(1, 3);

	world_run_days(world, 10);
	sim_table_renew();
	world_run_days(world, 100);
	invariants_quiet(world);
	world_end(world);
}

static void responder_up(void *context)
{
	struct world *world = context;

	world->responder_is_down = false;
	sim_responder_set(true);
}

/* The responder is away when certificates fall due. */
void scenario_responder_away(void)
{
	struct world *world = world_ready(1, 3);

	world_run_days(world, 58);
	world->responder_is_down = true;
	sim_responder_set(false);
	sim_after(5 * SIM_DAY, responder_up, world);
	world_note_trouble(world, "no responder", sim_true_s(), sim_true_s() + 5 * WORLD_DAY_S,
			   WORLD_ALL, WORLD_CAS_MAX);
	world_run_days(world, 20);
	invariants_quiet(world);
	world_end(world);
}
