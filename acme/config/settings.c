// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/config/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/config/arguments.h"
#include "acme/config/config.h"
#include "acme/config/known_cas.h"
#include "acme/util/name.h"
#include "acme/util/failure.h"
#include "acme/util/json.h"

#define DRY_RUN_DIRECTORY "/dry-run" /* below the state directory */

/* --- precedence ---------------------------------------------------------------------------------- */

/* The places that may give a setting, the strongest first. */
enum place { PLACE_COMMAND_LINE, PLACE_SECTION, PLACE_SIDESTEP, PLACES };

enum setting_kind { KIND_TEXT, KIND_PATH, KIND_FLAG };

struct setting_row {
	enum setting_kind kind;
	size_t given; /* offset in the struct of what a place gives */
	size_t value; /* offset in the struct of the values */
};

#define ROW(type, kind, member) \
	{KIND_##kind, offsetof(struct type##_given, member), offsetof(struct type, member)},
#define CA_ROW(kind, member, ...)          ROW(ca_settings, kind, member)
#define CERTIFICATE_ROW(kind, member, ...) ROW(certificate_settings, kind, member)

static const struct setting_row ca_rows[] = {CA_SETTINGS(CA_ROW)};
static const struct setting_row certificate_rows[] = {CERTIFICATE_SETTINGS(CERTIFICATE_ROW)};

/* Take the value that a place gives.  False: it gives none. */
static bool take_given(enum setting_kind kind, const void *given, void *value)
{
	if (kind == KIND_FLAG) {
		if (*(const enum setting_flag *)given)
			*(bool *)value = *(const enum setting_flag *)given == SETTING_YES;
		return *(const enum setting_flag *)given;
	}
	/* An empty text says that there is none, whatever weaker places say. */
	if (*(const char *const *)given)
		*(const char **)value =
			**(const char *const *)given ? *(const char *const *)given : NULL;
	return *(const char *const *)given;
}

/* Each value is that of the strongest place that gives one.  `places` may have NULLs. */
static void resolve(void *values, const struct setting_row *rows, size_t count,
		    const void *const places[PLACES])
{
	enum place place;
	size_t i;

	for (i = 0; i < count; i++)
		for (place = 0; place < PLACES; place++)
			if (places[place] &&
			    take_given(rows[i].kind, (const char *)places[place] + rows[i].given,
				       (char *)values + rows[i].value))
				break;
}

void settings_of_ca(struct ca_settings *ret_ca, const struct settings *settings, const char *server)
{
	const struct config_section *section = settings_ca_section(settings, server);
	const void *const places[PLACES] = {
		[PLACE_COMMAND_LINE] = &settings->command_line,
		[PLACE_SECTION] = section ? &section->ca : NULL,
		[PLACE_SIDESTEP] = settings->config ? &config_defaults(settings->config)->ca : NULL,
	};

	*ret_ca = (struct ca_settings){0};
	resolve(ret_ca, ca_rows, sizeof(ca_rows) / sizeof(*ca_rows), places);
}

const char *settings_account(const struct settings *settings, const char *server, const char *named)
{
	struct ca_settings ca;

	if (named)
		return named;
	settings_of_ca(&ca, settings, server);
	return ca.account ? ca.account : ACCOUNT_DEFAULT;
}

/* `command_line` and `section` may be NULL. */
static void resolve_certificate(struct certificate_settings *ret_certificate,
				const struct certificate_settings_given *command_line,
				const struct config_section *section, const struct config *config)
{
	const void *const places[PLACES] = {
		[PLACE_COMMAND_LINE] = command_line,
		[PLACE_SECTION] = section ? &section->certificate : NULL,
		[PLACE_SIDESTEP] = &config_defaults(config)->certificate,
	};

	*ret_certificate = (struct certificate_settings){0};
	resolve(ret_certificate, certificate_rows,
		sizeof(certificate_rows) / sizeof(*certificate_rows), places);
}

/* --- CAs ------------------------------------------------------------------------------------------ */

const struct config_section *settings_ca_section(const struct settings *settings,
						 const char *server)
{
	return settings->config ? config_ca(settings->config, server) : NULL;
}

const char *settings_ca_name(const struct settings *settings, const char *server)
{
	const struct config_section *ca = settings_ca_section(settings, server);

	return ca ? ca->label : known_ca_name(server);
}

const char *settings_find_server(const struct settings *settings, const char *name,
				 const char *place, struct failure *failure)
{
	const struct config_section *ca = settings_ca_section(settings, name);
	const char *server = ca ? ca->server : known_ca_url(name);

	if (!server && strstr(name, "://"))
		server = name;
	if (!server)
		failure_set(failure,
			    "name a [ca] section of the configuration, give the https:// URL of a "
			    "directory, or one of: " KNOWN_CA_NAMES,
			    "%s: no CA is called '%s'", place, name);
	else if (strncmp(server, "http://", 7) == 0)
		failure_set(failure, "give the https:// URL",
			    "%s: ACME is spoken over HTTPS only: %s", place, server);
	else if (!url_is_usable(server))
		failure_set(failure, "give one like https://acme-v02.api.letsencrypt.org/directory",
			    "%s: this is not the https:// URL of an ACME directory: %s", place,
			    server);
	return failure_is_set(failure) ? NULL : server;
}

/*
 * The directory URLs of `cas`, as in config_section.cas; of an empty list those of [sidestep], or
 * Let's Encrypt's.  0, or -1 with `failure` filled in, which begins with `place` or that of [sidestep].
 */
static int find_servers(struct string_list *ret_servers, const struct settings *settings,
			const struct string_list *cas, const char *place, struct failure *failure)
{
	const struct string_list fallback = STRING_LIST(CA_DEFAULT);
	const char *server;
	size_t i;

	if (!cas->count) {
		cas = &config_defaults(settings->config)->cas;
		place = config_place(config_defaults(settings->config), "ca");
	}
	if (!cas->count)
		cas = &fallback;
	*ret_servers = (struct string_list){0};
	for (i = 0; i < cas->count && !failure_is_set(failure); i++) {
		server = settings_find_server(settings, cas->items[i], place, failure);
		if (server && string_list_add(ret_servers, server))
			failure_set_errno(failure, ENOMEM, "reading the CAs");
	}
	if (!failure_is_set(failure))
		return 0;
	string_list_done(ret_servers);
	return -1;
}

bool settings_is_staging(const char *server)
{
	return known_ca_is_staging(server);
}

const struct paths *settings_account_paths(const struct settings *settings, const char *server)
{
	return settings_is_staging(server) ? settings->paths : settings->real_paths;
}

const char *settings_staging(const char *server)
{
	const char *staging = known_ca_staging(server);

	return staging ? staging : server;
}

int settings_of_section(struct certificate_spec *ret_spec, const struct settings *settings,
			const struct config_section *section, struct failure *failure)
{
	*ret_spec = (struct certificate_spec){
		.account = section->ca.account,
		.tenant = section->tenant,
	};
	resolve_certificate(&ret_spec->settings, NULL, section, settings->config);
	return find_servers(&ret_spec->cas, settings, &section->cas, config_place(section, "ca"),
			    failure);
}

/* --- loading -------------------------------------------------------------------------------------- */

/* The CAs that the command line or [sidestep] names. */
static int load_cas(struct settings *settings, const char *given, struct failure *failure)
{
	struct string_list names = {0};
	int err = -1;

	if (given && string_list_split(&names, given, " \t"))
		failure_set_errno(failure, ENOMEM, "reading the CAs");
	else
		err = find_servers(&settings->cas, settings, &names, "--server", failure);
	string_list_done(&names);
	return err;
}

/*
 * A place of its own for the state.  One CA is enough for a trial, and no hook runs; a CA that is not
 * given is the one for trials.
 */
static int load_dry_run(struct settings *settings, bool is_given, struct failure *failure)
{
	const char *server = settings->cas.items[0];
	struct paths *paths = &settings->dry_run_paths;
	struct string_list cas = {0};

	*paths = *settings->real_paths;
	if (strlen(paths->state) + strlen(DRY_RUN_DIRECTORY) >= sizeof(paths->state)) {
		failure_set_errno(failure, ENAMETOOLONG, "preparing the dry run in %s",
				  paths->state);
		return -1;
	}
	strcat(paths->state, DRY_RUN_DIRECTORY);
	settings->paths = paths;
	if (string_list_add(&cas, is_given ? server : settings_staging(server))) {
		failure_set_errno(failure, ENOMEM, "reading the CAs");
		return -1;
	}
	string_list_done(&settings->cas);
	settings->cas = cas;
	settings->certificate.deploy_hook = NULL;
	return 0;
}

/* --- numbers of this host ------------------------------------------------------------------------ */

#define HOOK_TIMEOUT_S   300
#define KEEP_GENERATIONS 3
#define KEEP_DAYS        90

/* Take a number of [sidestep] where it is given. */
static int load_number(uint32_t *number, const struct config_section *section, const char *name,
		       const char *text, uint32_t min, uint32_t max, struct failure *failure)
{
	unsigned long value;
	char *end;

	if (!text)
		return 0;
	value = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || value < min || value > max) {
		failure_set(failure, NULL, "%s: %s takes a number from %u to %u, not '%s'",
			    config_place(section, name), name, min, max, text);
		return -1;
	}
	*number = (uint32_t)value;
	return 0;
}

static int load_numbers(struct settings *settings, const struct config_section *section,
			struct failure *failure)
{
	if (load_number(&settings->hook_timeout_s, section, "hook-timeout", section->hook_timeout,
			1, 3600, failure) ||
	    load_number(&settings->keep_generations, section, "keep-generations",
			section->keep_generations, 1, 1000, failure) ||
	    load_number(&settings->keep_days, section, "keep-days", section->keep_days, 0, 10000,
			failure))
		return -1;
	return 0;
}

static int load_configuration(struct settings *settings, const struct arguments *arguments,
			      struct failure *failure)
{
	struct config *config;

	if (config_read(&config, settings->paths, failure))
		return -1;
	settings->config = config;
	settings->resolver =
		arguments->resolver ? arguments->resolver : config_defaults(config)->resolver;
	settings->notify = config_defaults(config)->notify;
	settings->no_preflight |= config_defaults(config)->preflight == SETTING_NO;
	resolve_certificate(&settings->certificate, &arguments->certificate, NULL, config);
	if (load_cas(settings, arguments->server, failure))
		return -1;
	if (settings->dry_run && load_dry_run(settings, arguments->server, failure))
		return -1;
	if (load_numbers(settings, config_defaults(config), failure))
		return -1;
	settings->server = settings->cas.items[0];
	return 0;
}

int settings_load(struct settings **ret_settings, const struct arguments *arguments,
		  struct failure *failure)
{
	struct settings *settings = calloc(1, sizeof(*settings));

	if (!settings) {
		failure_set_errno(failure, ENOMEM, "reading the configuration");
		return -1;
	}
	settings->paths = settings->real_paths = &arguments->paths;
	settings->timeout_s = arguments->timeout_s;
	settings->dry_run = arguments->dry_run;
	settings->force_renewal = arguments->force_renewal || arguments->dry_run;
	settings->no_preflight = arguments->no_preflight;
	settings->no_probe = arguments->no_probe;
	settings->hook_timeout_s = HOOK_TIMEOUT_S;
	settings->keep_generations = KEEP_GENERATIONS;
	settings->keep_days = KEEP_DAYS;
	settings->retire_many = arguments->retire_many;
	settings->command_line = arguments->ca;
	if (arguments_use_configuration(arguments) &&
	    load_configuration(settings, arguments, failure)) {
		settings_free(settings);
		return -1;
	}
	*ret_settings = settings;
	return 0;
}

void settings_free(struct settings *settings)
{
	if (!settings)
		return;
	config_free((struct config *)settings->config);
	string_list_done(&settings->cas);
	free(settings);
}
