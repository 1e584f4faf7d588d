/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the command line and the configuration say together.  settings_load() resolves it, and nothing
 * changes it afterwards: a new configuration makes new settings.
 *
 * The command line is stronger than the section of a CA or a certificate, and that is stronger than
 * [sidestep].
 */
#ifndef ACME_CONFIG_SETTINGS_H
#define ACME_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "acme/config/ca_settings.h"
#include "acme/util/certificate_spec.h"
#include "acme/util/string_list.h"
#include "common/paths.h"

struct arguments;
struct config;
struct config_section;
struct failure;

struct settings {
	const struct paths *paths; /* the arguments'; with dry_run the trial's */
	const struct paths *real_paths; /* the arguments', also with dry_run */
	uint32_t timeout_s; /* of one request to a CA */
	bool dry_run;
	bool force_renewal; /* always with dry_run */
	bool no_preflight;
	bool no_probe;
	uint32_t hook_timeout_s; /* then a hook is ended */
	uint32_t keep_generations; /* of each certificate, before the one in use */
	uint32_t keep_days; /* at most so long after the next one came */
	bool retire_many; /* consent to retire any number of certificates */

	/* Of verbs that use the configuration; else NULL or empty. */
	const struct config *config;
	struct string_list cas; /* directory URLs in the order to be tried, at least one */
	const char *server; /* the first of them */
	const char *notify; /* the command for operators; NULL: none */
	const char *resolver; /* ADDRESS or ADDRESS:PORT; NULL: the system's */
	struct certificate_settings certificate; /* what `certonly` wants */

	/* For settings.c. */
	struct ca_settings_given command_line;
	struct paths dry_run_paths;
};

/*
 * The paths and texts of `arguments` must outlive the settings.  0, or -1 with `failure` filled in:
 * the command line or the configuration is wrong.
 */
int settings_load(struct settings **ret_settings, const struct arguments *arguments,
		  struct failure *failure);
void settings_free(struct settings *settings);

/* What holds for the CA whose directory is at `server`; the texts are the settings'. */
void settings_of_ca(struct ca_settings *ret_ca, const struct settings *settings,
		    const char *server);

/*
 * Our account at the CA: `named` where it is not NULL, or the one of the settings, or
 * ACCOUNT_DEFAULT.  Never NULL; the text is the settings' or `named`.
 */
const char *settings_account(const struct settings *settings, const char *server,
			     const char *named);

/* The directory URL of a CA's name or URL; `place` begins the message.  NULL with `failure` filled in. */
const char *settings_find_server(const struct settings *settings, const char *name,
				 const char *place, struct failure *failure);

/* What the CA is called: by its section, or as one that needs none.  NULL: it has no name. */
const char *settings_ca_name(const struct settings *settings, const char *server);

/* The [ca] section of this CA; NULL: there is none. */
const struct config_section *settings_ca_section(const struct settings *settings,
						 const char *server);

/*
 * What a [certificate] or [domains] section wants: all but names, identifiers and source.  The caller
 * frees the list of CAs; the texts are the settings'.  0, or -1 with `failure` filled in.
 */
int settings_of_section(struct certificate_spec *ret_spec, const struct settings *settings,
			const struct config_section *section, struct failure *failure);

/* Whether the CA is one for trials.  A dry run makes real orders at any other. */
bool settings_is_staging(const char *server);

/* Where the account at this CA is: with dry_run at a CA that is not for trials it is the real one. */
const struct paths *settings_account_paths(const struct settings *settings, const char *server);

/* Where orders for this CA are tried out: another directory URL, or the same. */
const char *settings_staging(const char *server);

#endif
