// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/sim/generator.h"

#include <stdio.h>
#include <string.h>

#include "tests/sim/invariants.h"
#include "tests/sim/scenarios.h"
#include "tests/sim/world.h"

/* After all trouble: pauses of a day, one more attempt, hooks, and the floor after a refusal. */
#define QUIET_DAYS 8

/* Many short lives are not simulated for long: a seed takes a second of CPU at most. */
#define RENEWALS_MAX 300.0

#define LETS_ENCRYPT "https://acme-v02.api.letsencrypt.org"

double generator_part(struct world *world)
{
	return (double)dice_below(&world->dice, 1000000) / 1e6;
}

uint64_t generator_ms(double day)
{
	return (uint64_t)(day * (double)SIM_DAY);
}

uint64_t generator_bits_of(const struct world *world, const char *name)
{
	uint64_t bits = 0;
	size_t i, k;

	for (i = 0; i < world->certificate_count; i++)
		for (k = 0; k < world->certificates[i].name_count; k++)
			if (strcmp(world->certificates[i].names[k], name) == 0)
				bits |= WORLD_BIT(i);
	return bits;
}

/* --- CAs -------------------------------------------------------------------------------------- */

static void choose_quirks(struct world *world, struct model_quirks *quirks)
{
	struct dice *dice = &world->dice;

	quirks->no_ari = dice_chance(dice, 30);
	quirks->no_caa_identities = dice_chance(dice, 30);
	quirks->reuses_orders = dice_chance(dice, 40);
	quirks->fresh_authorizations = dice_chance(dice, 30);
	quirks->failed_stays_pending = dice_chance(dice, 20);
	quirks->not_ready_once = dice_chance(dice, 10);
	quirks->empty_bodies = dice_chance(dice, 10);
	quirks->no_finalize_location = dice_chance(dice, 20);
}

static void add_ca(struct world *world, int64_t life_s)
{
	char name[WORLD_NAME_MAX];
	struct model_options options;

	snprintf(name, sizeof(name), "%c.test", (char)('a' + world->ca_count));
	options = world_ca_options(world, name);
	options.life_s = life_s;
	options.validation_ms = (uint32_t)dice_between(&world->dice, 100, 5000);
	options.ari_pause_s = dice_chance(&world->dice, 50) ? WORLD_DAY_S : 6 * WORLD_HOUR_S;
	/* The first is mostly Let's Encrypt, whose limits the agent knows. */
	if (!world->ca_count && dice_chance(&world->dice, 70)) {
		options.base = LETS_ENCRYPT;
		options.quirks.no_limits = false;
	} else {
		choose_quirks(world, &options.quirks);
	}
	world_add_ca(world, &options);
}

static int64_t choose_life_s(struct world *world)
{
	switch (dice_below(&world->dice, 5)) {
	case 0:
		return 160 * WORLD_HOUR_S;
	case 1:
		return 45 * WORLD_DAY_S;
	default:
		return 90 * WORLD_DAY_S;
	}
}

/* --- certificates ----------------------------------------------------------------------------- */

static void choose_cas(struct world *world, struct world_certificate *certificate)
{
	size_t first = dice_below(&world->dice, world->ca_count), i;

	certificate->ca_count = 1 + dice_below(&world->dice, world->ca_count);
	for (i = 0; i < certificate->ca_count; i++)
		certificate->cas[i] = (first + i) % world->ca_count;
}

static void want_one(struct world *world, size_t domains)
{
	struct dice *dice = &world->dice;
	struct world_certificate *certificate;
	char name[WORLD_NAME_MAX];
	size_t domain = dice_below(dice, domains), i;

	snprintf(name, sizeof(name), "w%zu.d%zu.test", world->certificate_count, domain);
	certificate = world_want(world, name);
	certificate->name_count = 1 + (dice_chance(dice, 30) ? dice_below(dice, 3) : 0);
	/* Names after the first may be in several certificates. */
	for (i = 1; i < certificate->name_count; i++)
		snprintf(certificate->names[i], WORLD_NAME_MAX, "common%zu.d%zu.test", i, domain);
	choose_cas(world, certificate);
	if (dice_chance(dice, 10))
		strcpy(certificate->key_type, "p384");
	certificate->has_own_hook = dice_chance(dice, 20);
	certificate->reuses_key = dice_chance(dice, 10);
}

/* Returns how long a certificate lives. */
static int64_t make_world(struct world *world)
{
	struct dice *dice = &world->dice;
	size_t cas = 1 + dice_below(dice, 3), count = 1 + dice_below(dice, 8), i;
	int64_t life_s = choose_life_s(world);

	if (dice_chance(dice, 20))
		count = 1 + dice_below(dice, 60);
	for (i = 0; i < cas; i++)
		add_ca(world, life_s);
	/* At most 20 a domain, so that the limit of 50 a week allows them twice. */
	for (i = 0; i < count; i++)
		want_one(world, 1 + count / 10);
	world->hook_ms = (uint64_t)dice_between(dice, 10, 20000);
	return life_s;
}

/* --- a seed ----------------------------------------------------------------------------------- */

void scenario_seed(uint64_t seed)
{
	struct world *world = world_begin(seed);
	double days, most;
	int64_t life_s;

	life_s = make_world(world);
	days = (double)dice_between(&world->dice, 30, dice_chance(&world->dice, 20) ? 400 : 120);
	most = RENEWALS_MAX * (double)life_s / WORLD_DAY_S / (double)world->certificate_count;
	days = days < most ? days : most < 30 ? 30 : most;
	generator_plan_trouble(world, days);
	if (dice_chance(&world->dice, 60))
		generator_plan_operator(world, days);
	world_configure(world);
	world_start_daemon(world);
	world_run_days(world, days + QUIET_DAYS);
	invariants_quiet(world);
	world_end(world);
}
