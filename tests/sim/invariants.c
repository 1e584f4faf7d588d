// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/sim/invariants.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/world.h"

#define DAY_S   WORLD_DAY_S
#define VERB_MS SIM_HOUR

void invariants_violated(struct world *world, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (world->violations_are_fatal)
		sim_fail("%s", text);
	sim_log("violated: %s", text);
}

bool invariants_may_be_damaged(const struct world *world)
{
	size_t i;

	for (i = 0; i < world->trouble_count; i++)
		if (strcmp(world->troubles[i].what, TROUBLE_DAMAGE) == 0)
			return true;
	return false;
}

/* --- issuing ---------------------------------------------------------------------------------- */

static bool same_certificate(const struct model_certificate *a, const struct model_certificate *b)
{
	size_t i;

	if (a->name_count != b->name_count || strcmp(a->key_type, b->key_type) != 0)
		return false;
	for (i = 0; i < a->name_count; i++)
		if (strcmp(a->names[i], b->names[i]) != 0)
			return false;
	return true;
}

static const struct world_certificate *wanted_by(const struct world *world,
						 const struct model_certificate *issued)
{
	size_t i, k, found;

	for (i = 0; i < world->certificate_count; i++) {
		const struct world_certificate *wanted = &world->certificates[i];

		for (k = found = 0; k < issued->name_count; k++)
			found += strcmp(issued->names[k], wanted->name) == 0;
		if (found && strcmp(wanted->key_type, issued->key_type) == 0)
			return wanted;
	}
	return NULL;
}

/* What never came into use was issued in vain: the agent refuses it, as by a wrong clock. */
static int64_t floor_of(const struct world *world, const struct world_certificate *wanted,
			const struct model_certificate *old, size_t ca)
{
	int64_t life_s = old->not_after_s - old->not_before_s;
	int64_t least_s = life_s / 4 < FLOOR_S ? life_s / 4 : FLOOR_S;
	int64_t floor_s = life_s * FLOOR_PER_MILLE / 1000;

	if (floor_s < least_s || model_ca_wants_replacements(world->cas[ca]) ||
	    strcmp(old->serial, wanted->disk.serial) != 0)
		return least_s;
	return floor_s;
}

/* No two issuances within the floor, by whichever CA, unless somebody else asked for it. */
void invariants_issued(struct world *world, const struct model_certificate *issued)
{
	const struct world_certificate *wanted = wanted_by(world, issued);
	const struct model_certificate *old;
	int64_t apart_s;
	size_t i;

	world->issued++;
	world_look_at_disk(world);
	if (!wanted || sim_true_s() < wanted->forced_s)
		return;
	for (i = 0; i < world->ca_count; i++) {
		for (old = model_ca_newest(world->cas[i]); old; old = old->next) {
			if (old == issued || old->revoked_at_s || !same_certificate(old, issued))
				continue;
			apart_s = issued->issued_at_s - old->issued_at_s;
			if (apart_s < floor_of(world, wanted, old, i))
				invariants_violated(world, "%s: issued again after %lld s",
						    wanted->name, (long long)apart_s);
			break;
		}
	}
}

/* --- each hour -------------------------------------------------------------------------------- */

/* Whether this trouble happened since the last look. */
static bool is_present(const struct world *world, const struct world_trouble *trouble)
{
	return trouble->from_s <= sim_true_s() && trouble->until_s > world->ticked_s;
}

/* What was troubled in the last hour was not clear until now. */
static void note_trouble(struct world *world, struct world_certificate *certificate, uint64_t bit)
{
	bool is_troubled[WORLD_CAS_MAX] = {false}, all = false, some = false;
	size_t i, troubled = 0;

	for (i = 0; i < world->trouble_count; i++) {
		const struct world_trouble *trouble = &world->troubles[i];

		if (!(trouble->certificates & bit) || !is_present(world, trouble))
			continue;
		if (trouble->ca == WORLD_CAS_MAX)
			all = true;
		else
			is_troubled[trouble->ca] = true;
	}
	for (i = 0; i < certificate->ca_count; i++)
		troubled += is_troubled[certificate->cas[i]];
	some = all || troubled;
	if (some)
		certificate->clear_s = sim_true_s();
	if (all || troubled == certificate->ca_count)
		certificate->any_clear_s = sim_true_s();
}

static int64_t latest(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* When the agent should have a new one at the latest, if all had been well. */
static int64_t due_s(const struct world *world, const struct world_certificate *certificate)
{
	const struct world_leaf *leaf = &certificate->disk;
	const struct model_certificate *issued = NULL;
	int64_t life_s = leaf->not_after_s - leaf->not_before_s;
	size_t i;

	if (!leaf->serial[0] || leaf->name_count != certificate->name_count ||
	    (!certificate->is_key_type_new && strcmp(leaf->key_type, certificate->key_type) != 0))
		return certificate->wanted_s;
	/* A CA without renewal information lets nobody know of a revocation. */
	for (i = 0; i < world->ca_count && !issued; i++)
		if (model_ca_has_ari(world->cas[i]))
			issued = model_ca_find(world->cas[i], leaf->serial);
	/* The agent asks for renewal windows once a day. */
	if (issued && issued->revoked_at_s)
		return latest(issued->revoked_at_s + DAY_S, certificate->wanted_s);
	return leaf->not_before_s + life_s * BOUND_DUE_PER_MILLE / 1000;
}

static void check_renewal(struct world *world, const struct world_certificate *certificate)
{
	const struct world_leaf *leaf = &certificate->disk;
	int64_t now_s = sim_true_s(), since_s = due_s(world, certificate);

	if (leaf->serial[0] && leaf->not_after_s - leaf->not_before_s < BOUND_LIFE_LEAST_S)
		return;
	if (now_s - latest(latest(since_s, certificate->clear_s), certificate->wanted_s) >
	    BOUND_RENEWED_S)
		invariants_violated(world, "%s: due since day %.2f, clear since day %.2f",
				    certificate->name, (double)(since_s - WORLD_START_S) / DAY_S,
				    (double)(certificate->clear_s - WORLD_START_S) / DAY_S);
	if (leaf->serial[0] && now_s > leaf->not_after_s &&
	    now_s - latest(certificate->any_clear_s, certificate->wanted_s) > BOUND_FAILOVER_S)
		invariants_violated(world, "%s: has ended, though one of its CAs was well",
				    certificate->name);
}

static void check_served(struct world *world, const struct world_certificate *certificate)
{
	if (certificate->disk.serial[0] && !world_serves_disk(certificate) &&
	    sim_true_s() - latest(certificate->disk_s, certificate->clear_s) > BOUND_SERVED_S)
		invariants_violated(world, "%s: %s is on the disk, and %s is served",
				    certificate->name, certificate->disk.serial,
				    certificate->served.serial[0] ? certificate->served.serial
								  : "nothing");
}

static void check_ca(struct world *world, struct model_ca *ca)
{
	const struct model_counts *counts = model_ca_counts(ca);

	if (counts->pestered)
		invariants_violated(world, "%s: a limit was reached, and asked again too early",
				    model_ca_name(ca));
	if (counts->bad_requests)
		invariants_violated(world, "%s: got %llu malformed requests", model_ca_name(ca),
				    (unsigned long long)counts->bad_requests);
}

void invariants_tick(struct world *world)
{
	size_t i;

	world_look_at_disk(world);
	for (i = 0; i < world->certificate_count; i++) {
		struct world_certificate *certificate = &world->certificates[i];

		note_trouble(world, certificate, WORLD_BIT(i));
		if (!certificate->is_wanted)
			continue;
		check_renewal(world, certificate);
		check_served(world, certificate);
	}
	for (i = 0; i < world->ca_count; i++)
		check_ca(world, world->cas[i]);
	world->ticked_s = sim_true_s();
}

/* --- when all is quiet ------------------------------------------------------------------------ */

/* What the verb answers with --json.  NULL: it fails. */
static json_t *ask(struct world *world, const char *verb)
{
	json_t *answer;

	if (world_verb(world, verb, "--json", NULL))
		invariants_violated(world, "sidestep %s fails: %s", verb, world_output());
	answer = json_loads(world_output(), 0, NULL);
	if (!answer)
		invariants_violated(world, "sidestep %s writes no JSON: %s", verb, world_output());
	return answer;
}

static const json_t *named(const json_t *array, const char *name)
{
	const json_t *entry;
	const char *text;
	size_t i;

	json_array_foreach (array, i, entry) {
		text = json_string_value(json_object_get(entry, "name"));
		if (text && strcmp(text, name) == 0)
			return entry;
	}
	return NULL;
}

static void check_plan(struct world *world, const json_t *plan)
{
	const char *reason;
	size_t i;

	for (i = 0; i < world->certificate_count; i++) {
		const struct world_certificate *certificate = &world->certificates[i];
		const json_t *entry = named(plan, certificate->name);

		if (!certificate->is_wanted)
			continue;
		reason = json_string_value(json_object_get(entry, "reason"));
		if (!entry)
			invariants_violated(world, "%s is not in the plan", certificate->name);
		else if (!reason || !*reason)
			invariants_violated(world, "%s is in the plan without a reason",
					    certificate->name);
		else if (json_integer_value(json_object_get(entry, "not_after")) !=
			 certificate->disk.not_after_s)
			invariants_violated(world, "%s: the state and the disk differ",
					    certificate->name);
	}
}

static void check_certificates(struct world *world, const json_t *certificates)
{
	const char *serial;
	size_t i;

	for (i = 0; i < world->certificate_count; i++) {
		const struct world_certificate *certificate = &world->certificates[i];

		if (!certificate->is_wanted)
			continue;
		serial = json_string_value(
			json_object_get(named(certificates, certificate->name), "serial"));
		if (!serial || strcasecmp(serial, certificate->disk.serial) != 0)
			invariants_violated(world, "%s: `sidestep certificates` shows %s, not %s",
					    certificate->name, serial ? serial : "nothing",
					    certificate->disk.serial);
		if (!world_serves_disk(certificate))
			invariants_violated(world, "%s: the disk has %s, and served is %s",
					    certificate->name, certificate->disk.serial,
					    certificate->served.serial);
	}
}

void invariants_quiet(struct world *world)
{
	json_t *plan, *certificates;

	invariants_tick(world);
	plan = ask(world, "plan");
	check_plan(world, json_object_get(plan, "plan"));
	json_decref(plan);
	certificates = ask(world, "certificates");
	check_certificates(world, json_object_get(certificates, "certificates"));
	json_decref(certificates);
	world_expect(sim_table_count() == 0, "%zu names are still armed", sim_table_count());
	invariants_leftovers(world);
}
