// SPDX-License-Identifier: GPL-3.0-or-later
/* An operator who runs verbs and edits the configuration while the daemon works. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/generator.h"
#include "tests/sim/world.h"

#define FORCED_HOURS 72 /* what an operator asks for may come so late, and be made again */
#define MORE_DAYS    2 /* until all that an operator has begun is over */

struct act {
	struct world *world;
	const struct deed *deed;
	size_t place; /* of a certificate */
};

struct deed {
	const char *what;
	unsigned int weight;
	void (*run)(struct act *act, struct world_certificate *certificate);
};

static void renew_all(struct act *act, struct world_certificate *certificate)
{
	(void)act;
	(void)certificate;
	world_start_verb("renew", NULL);
}

static void renew_one(struct act *act, struct world_certificate *certificate)
{
	(void)act;
	world_force(certificate, FORCED_HOURS);
	world_start_verb("renew", "--cert-name", certificate->name, "--force-renewal", NULL);
}

static void force_all(struct act *act, struct world_certificate *certificate)
{
	size_t i;

	(void)certificate;
	for (i = 0; i < act->world->certificate_count; i++)
		world_force(&act->world->certificates[i], FORCED_HOURS);
	world_start_verb("renew", "--force-renewal", NULL);
}

static void certonly(struct act *act, struct world_certificate *certificate)
{
	(void)act;
	world_force(certificate, FORCED_HOURS);
	world_start_verb("certonly", "-d", certificate->names[0], "--cert-name", certificate->name,
			 NULL);
}

static void roll_over(struct act *act, struct world_certificate *certificate)
{
	(void)act;
	(void)certificate;
	world_start_verb("rollover", NULL);
}

static void look(struct act *act, struct world_certificate *certificate)
{
	(void)act;
	(void)certificate;
	world_start_verb("plan", NULL);
	world_start_verb("certificates", NULL);
}

static void change_key_type(struct act *act, struct world_certificate *certificate)
{
	strcpy(certificate->key_type, strcmp(certificate->key_type, "p256") == 0 ? "p384" : "p256");
	certificate->is_key_type_new = true;
	world_configure(act->world);
}

static void add_name(struct act *act, struct world_certificate *certificate)
{
	if (certificate->name_count == WORLD_NAMES_MAX)
		return;
	snprintf(certificate->names[certificate->name_count], WORLD_NAME_MAX, "more%zu.more.test",
		 certificate->name_count);
	certificate->name_count++;
	certificate->wanted_s = sim_true_s();
	world_force(certificate, FORCED_HOURS);
	world_configure(act->world);
}

static void change_ca(struct act *act, struct world_certificate *certificate)
{
	size_t i;

	for (i = 0; i < certificate->ca_count; i++)
		certificate->cas[i] = (certificate->cas[i] + 1) % act->world->ca_count;
	world_configure(act->world);
}

/* It may come back by another of these. */
static void remove_one(struct act *act, struct world_certificate *certificate)
{
	certificate->is_wanted = !certificate->is_wanted;
	certificate->wanted_s = sim_true_s();
	world_configure(act->world);
}

static void add_one(struct act *act, struct world_certificate *certificate)
{
	struct world *world = act->world;
	struct world_certificate *more;
	char name[WORLD_NAME_MAX];
	size_t i;

	if (world->certificate_count > 60)
		return;
	snprintf(name, sizeof(name), "new%zu.test", world->certificate_count);
	more = world_want(world, name);
	more->ca_count = certificate->ca_count;
	for (i = 0; i < more->ca_count; i++)
		more->cas[i] = certificate->cas[i];
	world_configure(world);
}

static const struct deed deeds[] = {
	{"renew", 4, renew_all},
	{"renew --force-renewal of one", 4, renew_one},
	{"renew --force-renewal", 1, force_all},
	{"certonly of a configured name", 3, certonly},
	{"rollover", 3, roll_over},
	{"looks", 4, look},
	{"another key type", 2, change_key_type},
	{"another name", 2, add_name},
	{"other CAs", 2, change_ca},
	{"wants it no more, or again", 2, remove_one},
	{"wants one more", 3, add_one},
};

static void run(void *context)
{
	struct act *act = context;
	struct world *world = act->world;
	struct world_certificate *certificate =
		&world->certificates[act->place % world->certificate_count];

	sim_log("operator: %s (%s)", act->deed->what, certificate->name);
	act->deed->run(act, certificate);
}

static const struct deed *choose_deed(struct world *world)
{
	uint64_t sum = 0, at;
	size_t i;

	for (i = 0; i < sizeof(deeds) / sizeof(*deeds); i++)
		sum += deeds[i].weight;
	at = dice_below(&world->dice, sum);
	for (i = 0; at >= deeds[i].weight; i++)
		at -= deeds[i].weight;
	return &deeds[i];
}

void generator_plan_operator(struct world *world, double days)
{
	size_t count = (size_t)dice_between(&world->dice, 1, 3 + (int64_t)(days / 15)), i;
	struct act *act;
	double day;

	for (i = 0; i < count; i++) {
		act = calloc(1, sizeof(*act));
		if (!act)
			abort();
		act->world = world;
		act->deed = choose_deed(world);
		act->place = (size_t)dice_below(&world->dice, 1000);
		day = generator_part(world) * days;
		world_note_trouble(world, act->deed->what,
				   WORLD_START_S + (int64_t)(day * WORLD_DAY_S),
				   WORLD_START_S + (int64_t)((day + MORE_DAYS) * WORLD_DAY_S),
				   WORLD_ALL, WORLD_CAS_MAX);
		sim_after(generator_ms(day), run, act);
	}
}
