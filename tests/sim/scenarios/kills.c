// SPDX-License-Identifier: GPL-3.0-or-later
/* kill -9, and errors, at every seam of what changes something.  The daemon is started again. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "tests/sim/everywhere.h"
#include "tests/sim/invariants.h"
#include "tests/sim/scenarios.h"
#include "tests/sim/world.h"

static struct world *world;
static bool is_full; /* the disk, for an hour */

/* While the disk is full, nobody must be served or renewed. */
static void note_trouble(void)
{
	if (is_full)
		world_note_trouble(world, TROUBLE_DAMAGE, sim_true_s(),
				   sim_true_s() + 2 * WORLD_HOUR_S, WORLD_ALL, WORLD_CAS_MAX);
}

/* Days for what waits a day after a failure, and then all must be as if nothing had happened. */
static void finish_well(struct sim_process *process)
{
	(void)process;
	world->was_killed_anywhere = true;
	world->hooks = HOOKS_RIGHT;
	world_start_daemon(world);
	world_run_days(world, 3);
	invariants_quiet(world);
	world_end(world);
}

static void settle_process(struct sim_process *process)
{
	sim_wait(process, SIM_DAY);
}

/* --- the first issue by the daemon ----------------------------------------------------------------- */

static void begin_empty(void)
{
	world = world_with(1, 1);
	world_configure(world);
}

static struct sim_process *start_daemon(void)
{
	note_trouble();
	world_start_daemon(world);
	return world->daemon;
}

static void settle_issued(struct sim_process *process)
{
	(void)process;
	world_await_all(world, 2);
}

static const struct everywhere first_issue = {begin_empty, start_daemon, settle_issued,
					      finish_well};

void scenario_kill_first_issue(void)
{
	everywhere_kill(&first_issue);
}

void scenario_full_first_issue(void)
{
	is_full = true;
	everywhere_fail(&first_issue, ENOSPC, SIM_HOUR);
}

void scenario_error_first_issue(void)
{
	everywhere_fail(&first_issue, EIO, 0);
}

/* --- a renewal with its deployment ------------------------------------------------------------------- */

static void begin_issued(void)
{
	world = world_ready(1, 1);
	world_run_days(world, 5);
	world_stop_daemon(world, SIGTERM);
	sim_run_for(SIM_MINUTE);
}

static struct sim_process *start_renewal(void)
{
	note_trouble();
	world_force(&world->certificates[0], 4 * 24);
	return world_start_verb("renew", "--force-renewal", NULL);
}

static const struct everywhere renewal = {begin_issued, start_renewal, settle_process, finish_well};

void scenario_kill_renewal(void)
{
	everywhere_kill(&renewal);
}

void scenario_full_renewal(void)
{
	is_full = true;
	everywhere_fail(&renewal, ENOSPC, SIM_HOUR);
}

void scenario_error_renewal(void)
{
	everywhere_fail(&renewal, EIO, 0);
}

/* --- going back, because a server refuses the certificate ---------------------------------------------- */

static struct sim_process *start_refused(void)
{
	world->hooks = HOOKS_REFUSE_NEW;
	world_note_trouble(world, "new certificates are refused", sim_true_s(),
			   sim_true_s() + WORLD_DAY_S + BOUND_REFUSED_S, WORLD_ALL, WORLD_CAS_MAX);
	return start_renewal();
}

static void finish_refused(struct sim_process *process)
{
	world_start_daemon(world);
	world_run_days(world, 1);
	world_expect(world_serves_disk(&world->certificates[0]),
		     "not the certificate that the servers took last is on the disk");
	world_run_days(world, 4);
	finish_well(process);
}

static const struct everywhere going_back = {begin_issued, start_refused, settle_process,
					     finish_refused};

void scenario_kill_going_back(void)
{
	everywhere_kill(&going_back);
}

/* --- another account key ------------------------------------------------------------------------------- */

static struct sim_process *start_rollover(void)
{
	return world_start_verb("rollover", NULL);
}

/* The account must go on to work. */
static void finish_rollover(struct sim_process *process)
{
	world_force(&world->certificates[0], 4 * 24);
	world_expect(world_verb(world, "renew", "--force-renewal", NULL) == 0,
		     "the account does not work any more: %s", world_output());
	world_expect(model_ca_counts(world->cas[0])->accounts == 1, "a second account was made");
	finish_well(process);
}

static const struct everywhere rollover = {begin_issued, start_rollover, settle_process,
					   finish_rollover};

void scenario_kill_rollover(void)
{
	everywhere_kill(&rollover);
}

/* --- delete -------------------------------------------------------------------------------------------- */

static void begin_by_hand(void)
{
	world = world_with(1, 1);
	world->certificates[0].is_by_hand = true;
	world_configure(world);
	world_expect(world_verb(world, "certonly", "-d", "c0.test", NULL) == 0, "certonly fails");
}

static struct sim_process *start_delete(void)
{
	world->certificates[0].is_wanted = false;
	return world_start_verb("delete", "c0.test", NULL);
}

/* It can be deleted again, or nothing is left of it. */
static void finish_deleted(struct sim_process *process)
{
	(void)process;
	world_verb(world, "delete", "c0.test", NULL);
	world_expect(world_verb(world, "plan", "--json", NULL) == 0, "plan fails: %s",
		     world_output());
	world_expect(!strstr(world_output(), "c0.test"), "it is still planned: %s", world_output());
	world_look_at_disk(world);
	world_expect(!world->certificates[0].disk.serial[0], "it is still on the disk");
	world_end(world);
}

static const struct everywhere delete = {begin_by_hand, start_delete, settle_process,
					 finish_deleted};

void scenario_kill_delete(void)
{
	everywhere_kill(&delete);
}
