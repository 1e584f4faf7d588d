/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The configuration files below /etc/sidestep: sidestep.conf, then the files of conf.d whose names end
 * in ".conf", in byte order.  They are INI files (ini.h):
 *
 *	[sidestep]              settings for everything that has no setting of its own
 *	[ca NAME]               a certificate authority, with the account there
 *	[certificate NAME]      a certificate
 *	[domains NAME]          a list of many, see domains_file.h; domains.txt needs no section
 *
 * The table in config.c says which setting belongs in which section.  Reading checks the form, refuses
 * settings that are unknown or there twice, and needs nothing but the files.
 */
#ifndef ACME_CONFIG_CONFIG_H
#define ACME_CONFIG_CONFIG_H

#include <stddef.h>

#include "acme/config/ca_settings.h"
#include "acme/util/certificate_spec.h"
#include "acme/util/string_list.h"

struct config;
struct failure;
struct paths;

enum config_kind { CONFIG_SIDESTEP, CONFIG_CA, CONFIG_CERTIFICATE, CONFIG_DOMAINS, CONFIG_KINDS };

/* Texts are the configuration's; NULL: not set. */
struct config_section {
	enum config_kind kind;
	const char *label; /* NAME; "" for [sidestep] */
	const char *place; /* FILE:LINE of its first setting, for messages */
	const char **places; /* of each setting; for config_place() */

	/* A CA and the account there. */
	const char *server; /* directory URL */
	struct ca_settings_given ca;
	const char *orders_limit; /* that token_bucket_parse() takes, as are the others */
	const char *domain_limit;
	const char *set_limit;

	/* Certificates. */
	struct string_list cas; /* labels of [ca], or URLs; if one fails, the next is tried */
	struct string_list names; /* of one certificate */
	const char *cert_name;
	const char *file; /* of [domains] */
	const char *tenant;
	struct certificate_settings_given certificate;

	/* This host. */
	const char *resolver;
	const char *notify; /* a command */
	enum setting_flag preflight; /* ask the DNS before an order that follows a failure */
	const char *hook_timeout, *keep_generations, *keep_days; /* numbers */
};

/*
 * Read all files.  None is no error; a file or directory that is there and cannot be read is one.
 * Relative paths in a file, and relative programs of its commands, become absolute: they begin at the
 * file's directory.  0, or -1 with `failure` filled in.
 */
int config_read(struct config **ret_config, const struct paths *paths, struct failure *failure);
void config_free(struct config *config);

/* [sidestep]; an empty section if there is none. */
const struct config_section *config_defaults(const struct config *config);

/* The other sections, in the order of the files; NULL at the end. */
const struct config_section *config_section(const struct config *config, size_t index);

/* FILE:LINE of a setting, for messages; of the section's first setting where it does not have this. */
const char *config_place(const struct config_section *section, const char *setting);

/* The [ca] of this label or of this URL; NULL: there is none. */
const struct config_section *config_ca(const struct config *config, const char *name);

/*
 * Names, sizes and times of the files, and of the lists that they name, when config_read() read them:
 * another text means that one of them has changed.
 */
const char *config_fingerprint(const struct config *config);

#endif
