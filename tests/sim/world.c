// SPDX-License-Identifier: GPL-3.0-or-later
/* The world as a whole: CAs, the configuration, the daemon, and time that passes. */
#include "tests/sim/world.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/invariants.h"
#include "tests/sim/world_internal.h"

#define RESTART_MS      (10 * SIM_SECOND)
#define VERB_MS         (2 * SIM_HOUR)
#define CONFIG_MAX      65536
#define ARGUMENTS_MAX   32
#define VALIDATION_MS   700
#define AUTHORIZATION_S (7 * WORLD_HOUR_S)

static const char *last_output;

/* --- making it -------------------------------------------------------------------------------- */

struct world *world_begin(uint64_t seed)
{
	struct world *world = calloc(1, sizeof(*world));

	if (!world)
		abort();
	world->seed = seed;
	world->dice = dice_split(seed, 0x3013d);
	world->hook_ms = SIM_SECOND;
	world->violations_are_fatal = true;
	world->callbacks = (struct sim_world){
		.context = world,
		.transport = world_transport,
		.hook = world_hook,
		.dns = world_dns,
		.probe = world_probe,
		.ended = world_ended,
	};
	sim_begin(seed, WORLD_START_S, &world->callbacks);
	world_install_hooks();
	world->ticked_s = sim_true_s();
	return world;
}

void world_end(struct world *world)
{
	size_t i;

	sim_end();
	for (i = 0; i < world->ca_count; i++)
		model_ca_free(world->cas[i]);
	free(world);
	last_output = NULL;
}

struct model_options world_ca_options(struct world *world, const char *name)
{
	struct model_options options = {
		.name = name,
		.seed = world->seed + world->ca_count,
		.life_s = 90 * WORLD_DAY_S,
		.authorization_s = AUTHORIZATION_S,
		.validation_ms = VALIDATION_MS,
		.ari_pause_s = WORLD_DAY_S,
		.quirks = {.no_limits = true},
	};

	return options;
}

size_t world_add_ca(struct world *world, const struct model_options *options)
{
	struct model_options complete = *options;
	char base[MODEL_URL_MAX];
	size_t place = world->ca_count;

	snprintf(base, sizeof(base), "https://%s", options->name);
	if (!complete.base)
		complete.base = base;
	world_connect_ca(world, &complete.host);
	world->cas[place] = model_ca_new(&complete);
	world_expect(world->cas[place], "the model CA %s cannot be made", options->name);
	snprintf(world->ca_names[place], WORLD_NAME_MAX, "ca%zu", place);
	world->ca_count++;
	return place;
}

struct world_certificate *world_want(struct world *world, const char *name)
{
	struct world_certificate *certificate = &world->certificates[world->certificate_count++];

	world_expect(world->certificate_count <= WORLD_CERTIFICATES_MAX, "too many certificates");
	snprintf(certificate->name, WORLD_NAME_MAX, "%s", name);
	snprintf(certificate->names[0], WORLD_NAME_MAX, "%s", name);
	certificate->name_count = 1;
	certificate->ca_count = 1;
	strcpy(certificate->key_type, "p256");
	certificate->is_wanted = true;
	certificate->wanted_s = certificate->clear_s = certificate->any_clear_s = sim_true_s();
	return certificate;
}

struct world_certificate *world_find(struct world *world, const char *name)
{
	size_t i;

	for (i = 0; i < world->certificate_count; i++)
		if (strcmp(world->certificates[i].name, name) == 0)
			return &world->certificates[i];
	return NULL;
}

struct world *world_with(size_t cas, size_t certificates)
{
	struct world *world = world_begin(1);
	struct model_options options;
	struct world_certificate *certificate;
	char name[WORLD_NAME_MAX];
	size_t i, k;

	for (i = 0; i < cas; i++) {
		snprintf(name, sizeof(name), "%c.test", (char)('a' + i));
		options = world_ca_options(world, name);
		world_add_ca(world, &options);
	}
	for (i = 0; i < certificates; i++) {
		snprintf(name, sizeof(name), "c%zu.test", i);
		certificate = world_want(world, name);
		for (k = 0; k < cas; k++)
			certificate->cas[k] = k;
		certificate->ca_count = cas;
	}
	return world;
}

struct world *world_ready(size_t cas, size_t certificates)
{
	struct world *world = world_with(cas, certificates);

	world_configure(world);
	world_start_daemon(world);
	world_await_all(world, 1);
	return world;
}

/* --- the configuration ------------------------------------------------------------------------ */

struct text {
	char bytes[CONFIG_MAX];
	size_t size;
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *text, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	text->size += (size_t)vsnprintf(text->bytes + text->size, CONFIG_MAX - text->size, format,
					arguments);
	va_end(arguments);
	world_expect(text->size < CONFIG_MAX, "the configuration is too long");
}

static void add_certificate(struct text *text, const struct world *world,
			    const struct world_certificate *certificate)
{
	size_t i;

	add(text, "\n[certificate %s]\nnames =", certificate->name);
	for (i = 0; i < certificate->name_count; i++)
		add(text, " %s", certificate->names[i]);
	add(text, "\nca =");
	for (i = 0; i < certificate->ca_count; i++)
		add(text, " %s", world->ca_names[certificate->cas[i]]);
	add(text, "\nkey-type = %s\n", certificate->key_type);
	if (certificate->profile[0])
		add(text, "preferred-profile = %s\n", certificate->profile);
	if (certificate->reuses_key)
		add(text, "reuse-key = yes\n");
	if (certificate->has_own_hook)
		add(text, "deploy-hook = load %s\n", certificate->name);
}

void world_configure(struct world *world)
{
	static struct text text;
	size_t i;

	text.size = 0;
	add(&text, "[sidestep]\nagree-tos = yes\nca = %s\n%s", world->ca_names[0], world->settings);
	for (i = 0; i < world->ca_count; i++) {
		add(&text, "\n[ca %s]\nserver = %s\n%s", world->ca_names[i],
		    model_ca_directory_url(world->cas[i]), world->ca_settings[i]);
		if (world->binding_file && i == 0)
			add(&text, "eab-kid = kid-1\neab-hmac-key-file = %s\n",
			    world->binding_file);
	}
	for (i = 0; i < world->certificate_count; i++)
		if (world->certificates[i].is_wanted && !world->certificates[i].is_by_hand)
			add_certificate(&text, world, &world->certificates[i]);
	sim_file_write("etc/sidestep/sidestep.conf", text.bytes);
	if (world->daemon && sim_is_running(world->daemon))
		sim_signal(world->daemon, SIGHUP);
}

/* --- the daemon ------------------------------------------------------------------------------- */

static void start_again(void *context)
{
	struct world *world = context;

	if (world->daemon_is_wanted && (!world->daemon || !sim_is_running(world->daemon)))
		world->daemon = sim_start("daemon", (const char *const[]){"run", NULL});
}

void world_start_daemon(struct world *world)
{
	world->daemon_is_wanted = true;
	start_again(world);
}

void world_stop_daemon(struct world *world, int signal)
{
	world->daemon_is_wanted = false;
	world_restart_daemon(world, signal);
}

void world_restart_daemon(struct world *world, int signal)
{
	if (world->daemon && sim_is_running(world->daemon))
		sim_signal(world->daemon, signal);
}

void world_ended(void *context, struct sim_process *process)
{
	struct world *world = context;

	if (process == world->daemon && world->daemon_is_wanted)
		sim_after(RESTART_MS, start_again, world);
}

static struct sim_process *start_verb(const char *verb, va_list list)
{
	const char *arguments[ARGUMENTS_MAX] = {verb};
	size_t count = 0;

	while (arguments[count] && count < ARGUMENTS_MAX - 2)
		arguments[++count] = va_arg(list, const char *);
	return sim_start(verb, arguments);
}

struct sim_process *world_start_verb(const char *verb, ...)
{
	struct sim_process *process;
	va_list list;

	va_start(list, verb);
	process = start_verb(verb, list);
	va_end(list);
	return process;
}

int world_verb(struct world *world, const char *verb, ...)
{
	struct sim_process *process;
	va_list list;
	int status;

	(void)world;
	va_start(list, verb);
	process = start_verb(verb, list);
	va_end(list);
	status = sim_wait(process, VERB_MS);
	last_output = sim_output(process);
	return status;
}

const char *world_output(void)
{
	return last_output ? last_output : "";
}

/* --- time ------------------------------------------------------------------------------------- */

static void run_hour(struct world *world)
{
	sim_run_for(SIM_HOUR);
	if (world->daemon)
		sim_forget_output(world->daemon);
	invariants_tick(world);
}

void world_run_days(struct world *world, double days)
{
	uint64_t hours = (uint64_t)(days * 24 + 0.5);

	while (hours--)
		run_hour(world);
}

void world_await_renewal(struct world *world, const struct world_certificate *certificate,
			 double days)
{
	char old[41];
	double day;

	world_look_at_disk(world);
	strcpy(old, certificate->disk.serial);
	for (day = 0; day < days; day += 1.0 / 24) {
		run_hour(world);
		if (strcmp(old, certificate->disk.serial) != 0)
			return;
	}
	sim_fail("%s was not renewed in %.1f days", certificate->name, days);
}

static const struct world_certificate *first_missing(const struct world *world)
{
	size_t i;

	for (i = 0; i < world->certificate_count; i++)
		if (world->certificates[i].is_wanted && !world_serves_disk(&world->certificates[i]))
			return &world->certificates[i];
	return NULL;
}

void world_await_all(struct world *world, double days)
{
	double day = 0;

	while (first_missing(world)) {
		world_expect(day < days, "%s: not issued and served in %.1f days",
			     first_missing(world)->name, days);
		run_hour(world);
		day += 1.0 / 24;
	}
}

void world_force(struct world_certificate *certificate, double hours)
{
	certificate->forced_s = sim_true_s() + (int64_t)(hours * WORLD_HOUR_S);
}

/* --- trouble ---------------------------------------------------------------------------------- */

void world_note_trouble(struct world *world, const char *what, int64_t from_s, int64_t until_s,
			uint64_t certificates, size_t ca)
{
	world_expect(world->trouble_count < WORLD_TROUBLES_MAX, "too much trouble");
	world->troubles[world->trouble_count++] = (struct world_trouble){
		.what = what,
		.from_s = from_s,
		.until_s = until_s,
		.certificates = certificates,
		.ca = ca,
	};
	sim_log("trouble: %s, from day %.2f to %.2f", what,
		(double)(from_s - WORLD_START_S) / WORLD_DAY_S,
		(double)(until_s - WORLD_START_S) / WORLD_DAY_S);
}

void world_ca_trouble(struct world *world, size_t ca, struct model_trouble trouble, double from,
		      double until)
{
	trouble.from_s = sim_true_s() + (int64_t)(from * WORLD_DAY_S);
	trouble.until_s = sim_true_s() + (int64_t)(until * WORLD_DAY_S);
	model_ca_add_trouble(world->cas[ca], &trouble);
	world_note_trouble(world, model_trouble_name(trouble.kind), trouble.from_s, trouble.until_s,
			   WORLD_ALL, ca);
}
