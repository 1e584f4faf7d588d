/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/config/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/config/arguments.h"
#include "acme/config/config.h"
#include "acme/util/failure.h"
#include "acme/util/json.h"

/* Known without a configuration. */
enum known_ca { KNOWN_PRODUCTION, KNOWN_STAGING, KNOWN_CAS };
static const struct {
	const char *name, *server;
} known_cas[KNOWN_CAS] = {
	[KNOWN_PRODUCTION] = {CA_DEFAULT, "https://acme-v02.api.letsencrypt.org/directory"},
	[KNOWN_STAGING] = {CA_STAGING, "https://acme-staging-v02.api.letsencrypt.org/directory"},
};

/* --- precedence ---------------------------------------------------------------------------------- */

/* Who may give a setting, the strongest first. */
enum place { PLACE_COMMAND_LINE, PLACE_SECTION, PLACE_SIDESTEP, PLACES };

enum setting_kind { KIND_TEXT, KIND_FLAG };

struct setting_row {
	enum setting_kind kind;
	size_t given,
		value; /* where it is in the struct of what is given, and in that of the values */
};

#define ROW(type, kind, member) \
	{KIND_##kind, offsetof(struct type##_given, member), offsetof(struct type, member)},
#define CA_ROW(kind, member, ...)          ROW(ca_settings, kind, member)
#define CERTIFICATE_ROW(kind, member, ...) ROW(certificate_settings, kind, member)

static const struct setting_row ca_rows[] = {CA_SETTINGS(CA_ROW)};
static const struct setting_row certificate_rows[] = {CERTIFICATE_SETTINGS(CERTIFICATE_ROW)};

/* Take the value from what a place gives; false: it gives none. */
static bool take_given(enum setting_kind kind, const void *given, void *value)
{
	if (kind == KIND_FLAG) {
		if (*(const enum setting_flag *)given)
			*(bool *)value = *(const enum setting_flag *)given == SETTING_YES;
		return *(const enum setting_flag *)given;
	}
	if (*(const char *const *)given)
		*(const char **)value = *(const char *const *)given;
	return *(const char *const *)given;
}

/* Each value is what the strongest place gives that gives one; places that are not there are NULL. */
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

void settings_of_ca(struct ca_settings *ret_settings, const struct arguments *arguments,
		    const char *server)
{
	const struct config *config = arguments->config;
	const struct config_section *section = config ? config_ca(config, server) : NULL;
	const void *const places[PLACES] = {
		[PLACE_COMMAND_LINE] = &arguments->ca,
		[PLACE_SECTION] = section ? &section->ca : NULL,
		[PLACE_SIDESTEP] = config ? &config_defaults(config)->ca : NULL,
	};

	*ret_settings = (struct ca_settings){0};
	resolve(ret_settings, ca_rows, sizeof(ca_rows) / sizeof(*ca_rows), places);
}

void settings_of_certificate(struct certificate_settings *ret_settings,
			     const struct certificate_settings_given *command_line,
			     const struct config_section *section, const struct config *config)
{
	const void *const places[PLACES] = {
		[PLACE_COMMAND_LINE] = command_line,
		[PLACE_SECTION] = section ? &section->certificate : NULL,
		[PLACE_SIDESTEP] = &config_defaults(config)->certificate,
	};

	*ret_settings = (struct certificate_settings){0};
	resolve(ret_settings, certificate_rows,
		sizeof(certificate_rows) / sizeof(*certificate_rows), places);
}

/* --- CAs ------------------------------------------------------------------------------------------ */

/* The directory URL of a label or a URL; NULL: `failure` tells. */
static const char *server_of(const struct config *config, const char *name, const char *place,
			     struct failure *failure)
{
	const struct config_section *ca = config ? config_ca(config, name) : NULL;
	const char *server = ca ? ca->server : NULL;
	size_t i;

	for (i = 0; !server && i < KNOWN_CAS; i++)
		if (strcmp(known_cas[i].name, name) == 0)
			server = known_cas[i].server;
	if (!server && strstr(name, "://"))
		server = name;
	if (!server)
		failure_set(failure,
			    "name a [ca] of the configuration, " CA_DEFAULT ", " CA_STAGING
			    ", or the https:// URL of a directory",
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

int settings_servers(struct string_list *ret_servers, const struct config *config,
		     const struct string_list *cas, const char *place, struct failure *failure)
{
	const struct string_list fallback = STRING_LIST(CA_DEFAULT);
	const char *server;
	size_t i;

	if (!cas->count && config)
		cas = &config_defaults(config)->cas;
	if (!cas->count)
		cas = &fallback;
	*ret_servers = (struct string_list){0};
	for (i = 0; i < cas->count && !failure_is_set(failure); i++) {
		server = server_of(config, cas->items[i], place, failure);
		if (server && string_list_add(ret_servers, server))
			failure_set_errno(failure, ENOMEM, "reading the CAs");
	}
	if (!failure_is_set(failure))
		return 0;
	string_list_done(ret_servers);
	return -1;
}

const char *settings_staging(const char *server)
{
	return strcmp(server, known_cas[KNOWN_PRODUCTION].server) == 0
		       ? known_cas[KNOWN_STAGING].server
		       : server;
}

/* --dry-run: one CA is enough; by default the staging environment. */
static int use_staging(struct arguments *arguments, bool is_given, struct failure *failure)
{
	struct string_list cas = {0};

	arguments->settings.deploy_hook = NULL;
	if (string_list_add(&cas,
			    is_given ? arguments->server : settings_staging(arguments->server))) {
		failure_set_errno(failure, ENOMEM, "reading the CAs");
		return -1;
	}
	string_list_done(&arguments->cas);
	arguments->cas = cas;
	arguments->server = cas.items[0];
	return 0;
}

int settings_load(struct arguments *arguments, struct failure *failure)
{
	struct string_list given = {0};
	int err = 0;

	if (!arguments_use_configuration(arguments))
		return 0;
	if (config_read(&arguments->config, &arguments->paths, failure))
		return -1;
	if (!arguments->resolver)
		arguments->resolver = config_defaults(arguments->config)->resolver;
	settings_of_certificate(&arguments->settings, &arguments->certificate, NULL,
				arguments->config);
	if (arguments->server && string_list_split(&given, arguments->server, " \t"))
		failure_set_errno(failure, ENOMEM, "reading the CAs");
	else
		settings_servers(&arguments->cas, arguments->config, &given, "--server", failure);
	if (!failure_is_set(failure)) {
		arguments->server = arguments->cas.items[0];
		err = arguments->dry_run ? use_staging(arguments, given.count, failure) : 0;
	}
	string_list_done(&given);
	return err || failure_is_set(failure) ? -1 : 0;
}

void settings_unload(struct arguments *arguments)
{
	config_free(arguments->config);
	string_list_done(&arguments->cas);
	arguments->config = NULL;
}
