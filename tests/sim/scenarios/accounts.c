// SPDX-License-Identifier: GPL-3.0-or-later
/* Accounts that change beside the daemon. */
#include <stdio.h>

#include "tests/sim/invariants.h"
#include "tests/sim/scenarios.h"
#include "tests/sim/world.h"

/* Row A8. */
void scenario_rollover_beside_the_daemon(void)
{
	struct world *world = world_ready(1, 3);

	world_run_days(world, 1);
	world_expect(world_verb(world, "rollover", NULL) == 0, "rollover fails: %s",
		     world_output());
	world_run_days(world, 100);
	invariants_quiet(world);
	world_expect(model_ca_counts(world->cas[0])->accounts == 1, "a second account was made");
	world_end(world);
}

/* Row A8. */
void scenario_new_account_beside_the_daemon(void)
{
	struct world *world = world_ready(1, 3);

	world_run_days(world, 1);
	world_expect(world_verb(world, "update_account", "--deactivate", NULL) == 0,
		     "update_account fails: %s", world_output());
	world_expect(world_verb(world, "register", "--agree-tos", NULL) == 0, "register fails: %s",
		     world_output());
	world_run_days(world, 100);
	invariants_quiet(world);
	world_end(world);
}

/* Row A8. */
void scenario_account_unknown_to_the_ca(void)
{
	struct world *world = world_ready(1, 3);

	world_run_days(world, 1);
	model_ca_forget_accounts(world->cas[0]);
	world_run_days(world, 100);
	invariants_quiet(world);
	world_expect(model_ca_counts(world->cas[0])->accounts == 2, "%llu accounts were made",
		     (unsigned long long)model_ca_counts(world->cas[0])->accounts);
	world_end(world);
}

/* Row B3. */
void scenario_binding_mistyped(void)
{
	static const char right[] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n";
	static const char wrong[] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHhA\n";
	struct world *world = world_begin(1);
	struct model_options options = world_ca_options(world, "a.test");
	char path[256];
	size_t i;

	options.quirks.wants_binding_always = true;
	options.binding_id = "kid-1";
	for (i = 0; i < sizeof(options.binding_key); i++)
		options.binding_key[i] = (uint8_t)i;
	world_add_ca(world, &options);
	world_want(world, "c0.test");
	snprintf(path, sizeof(path), "%s/etc/sidestep/key", sim_root());
	world->binding_file = path;
	world_configure(world);
	sim_file_write("etc/sidestep/key", wrong);
	world_expect(world_verb(world, "register", "--agree-tos", NULL) != 0,
		     "the CA takes a wrong binding");
	sim_file_write("etc/sidestep/key", right);
	world_expect(world_verb(world, "register", "--agree-tos", NULL) == 0,
		     "the right binding is refused: %s", world_output());
	world_start_daemon(world);
	world_await_all(world, 1);
	invariants_quiet(world);
	world_end(world);
}
