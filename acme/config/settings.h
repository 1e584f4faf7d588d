/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the command line and the configuration say together: the former first, then what belongs to
 * the CA or the certificate, then [sidestep].
 */
#ifndef ACME_CONFIG_SETTINGS_H
#define ACME_CONFIG_SETTINGS_H

#include "acme/config/ca_settings.h"

struct arguments;
struct certificate_settings;
struct certificate_settings_given;
struct config;
struct config_section;
struct failure;
struct string_list;

/* What holds for the CA whose directory is at `server`. */
void settings_of_ca(struct ca_settings *ret_settings, const struct arguments *arguments,
		    const char *server);

/*
 * What holds for a certificate: of `certonly` (`section` is NULL), or of a section (`command_line` is
 * NULL).
 */
void settings_of_certificate(struct certificate_settings *ret_settings,
			     const struct certificate_settings_given *command_line,
			     const struct config_section *section, const struct config *config);

/*
 * The directory URLs of `cas`, as in config_section.cas; of an empty list, those of [sidestep] or
 * Let's Encrypt's.  0, or -1 with `failure` filled in, which begins with `place`.
 */
int settings_servers(struct string_list *ret_servers, const struct config *config,
		     const struct string_list *cas, const char *place, struct failure *failure);

/* Where what is meant for this CA is tried out: another directory URL, or the same. */
const char *settings_staging(const char *server);

/*
 * Read the configuration where the verb needs it, and fill in what the command line leaves
 * open.  0, or -1 with `failure` filled in.  settings_unload() in any case.
 */
int settings_load(struct arguments *arguments, struct failure *failure);
void settings_unload(struct arguments *arguments);

#endif
