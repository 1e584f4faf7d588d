// SPDX-License-Identifier: GPL-3.0-or-later
/* CAs that differ from Let's Encrypt. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/invariants.h"
#include "tests/sim/scenarios.h"
#include "tests/sim/world.h"

static struct world *world_of(struct model_quirks quirks)
{
	struct world *world = world_begin(1);
	struct model_options options = world_ca_options(world, "a.test");

	quirks.no_limits = true;
	options.quirks = quirks;
	world_add_ca(world, &options);
	return world;
}

/* Row B2. */
void scenario_two_key_types(void)
{
	struct world *world = world_of((struct model_quirks){.reuses_orders = true});
	struct world_certificate *rsa = world_want(world, "c0.test"), *ec;

	strcpy(rsa->key_type, "rsa2048");
	ec = world_want(world, "ec");
	strcpy(ec->names[0], "c0.test");
	world_configure(world);
	world_start_daemon(world);
	world_await_all(world, 1);
	world_expect(model_ca_counts(world->cas[0])->reused == 0, "both share an order");
	world_run_days(world, 100);
	invariants_quiet(world);
	world_end(world);
}

/* Row A4. */
void scenario_name_in_two_certificates(void)
{
	struct world *world = world_of((struct model_quirks){.fresh_authorizations = true});
	struct world_certificate *first = world_want(world, "c0.test");
	struct world_certificate *second = world_want(world, "c1.test");

	strcpy(first->names[1], "common.test");
	strcpy(second->names[1], "common.test");
	first->name_count = second->name_count = 2;
	world_configure(world);
	world_start_daemon(world);
	world_run_days(world, 1 / 24.0);
	world_expect(model_ca_counts(world->cas[0])->failed_validations == 0,
		     "%llu validations failed",
		     (unsigned long long)model_ca_counts(world->cas[0])->failed_validations);
	world_await_all(world, 1);
	world_end(world);
}

/* Row B4. */
void scenario_failed_challenge_stays_pending(void)
{
	struct world *world = world_of((struct model_quirks){.failed_stays_pending = true});
	struct sim_process *certonly;

	world_want(world, "c0.test")->is_by_hand = true;
	world_configure(world);
	strcpy(world->unreachable, "c0.test");
	world_note_trouble(world, "unreachable", sim_true_s(), sim_true_s() + WORLD_HOUR_S, 1,
			   WORLD_CAS_MAX);
	certonly = world_start_verb("certonly", "--no-preflight", "-d", "c0.test", NULL);
	world_expect(sim_wait(certonly, SIM_HOUR) != 0, "a name that nobody reaches was validated");
	world_expect(strstr(sim_errors(certonly), "likely firewall") != NULL,
		     "the CA's reason is not shown: %s", sim_errors(certonly));
	/* Within the time of one order the challenge is asked for again. */
	certonly = world_start_verb("certonly", "--no-preflight", "-d", "c0.test", NULL);
	sim_run_for(3 * SIM_SECOND);
	world->unreachable[0] = '\0';
	world_expect(sim_wait(certonly, SIM_HOUR) == 0, "certonly gives up: %s",
		     sim_errors(certonly));
	world_end(world);
}

/* Row B5. */
void scenario_not_ready_once(void)
{
	struct world *world = world_of((struct model_quirks){.not_ready_once = true});

	world_want(world, "c0.test");
	world_configure(world);
	world_start_daemon(world);
	world_run_days(world, 1 / 24.0);
	world_expect(model_ca_counts(world->cas[0])->orders == 1, "%llu orders were made",
		     (unsigned long long)model_ca_counts(world->cas[0])->orders);
	world_await_all(world, 1);
	world_end(world);
}

/* Row B5. */
void scenario_stale_replicas(void)
{
	struct world *world = world_of((struct model_quirks){0});

	world_want(world, "c0.test");
	model_ca_add_trouble(
		world->cas[0],
		&(struct model_trouble){.kind = TROUBLE_STALE, .until_s = INT64_MAX, .value = 5});
	world_configure(world);
	world_start_daemon(world);
	world_run_days(world, 1 / 24.0);
	world_expect(model_ca_counts(world->cas[0])->orders == 1, "%llu orders were made",
		     (unsigned long long)model_ca_counts(world->cas[0])->orders);
	world_await_all(world, 1);
	world_end(world);
}

/* Row B5. */
void scenario_empty_bodies(void)
{
	struct world *world =
		world_of((struct model_quirks){.empty_bodies = true, .no_finalize_location = true});

	world_want(world, "c0.test");
	world_configure(world);
	world_start_daemon(world);
	world_run_days(world, 1 / 24.0);
	world_expect(model_ca_counts(world->cas[0])->orders == 1, "%llu orders were made",
		     (unsigned long long)model_ca_counts(world->cas[0])->orders);
	world_await_all(world, 1);
	world_end(world);
}

/* Without renewal information a third of the life decides. */
void scenario_no_renewal_info(void)
{
	struct world *world = world_of((struct model_quirks){.no_ari = true});
	size_t i;
	char name[WORLD_NAME_MAX];

	for (i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "c%zu.test", i);
		world_want(world, name);
	}
	world_configure(world);
	world_start_daemon(world);
	world_run_days(world, 200);
	invariants_quiet(world);
	world_end(world);
}
