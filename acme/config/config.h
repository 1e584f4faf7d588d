/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The configuration files below /etc/sidestep: sidestep.conf, then those of conf.d whose names end in
 * ".conf", in byte order.
 * INI files, as ini.h reads them:
 *
 *	[sidestep]              what holds for everything that does not say otherwise
 *	[ca NAME]               a certificate authority, with our account there
 *	[certificate NAME]      a certificate that is wanted
 *	[domains NAME]          a file of many, a line each (domains_file.h); domains.txt is one by itself
 *
 * What may stand in which section is in config.c's table.  Nothing is checked here but the form,
 * that the files contradict neither themselves nor each other, and that nothing is unknown.
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

/* Texts are the configuration's; NULL: not said. */
struct config_section {
	enum config_kind kind;
	const char *label; /* NAME; "" of [sidestep] */
	const char *place; /* FILE:LINE where its first setting is, for messages */

	/* The CA and our account there. */
	const char *server; /* directory URL */
	struct ca_settings_given ca;
	const char *orders_limit; /* that token_bucket_parse() takes, as are the others */
	const char *domain_limit;
	const char *set_limit;

	/* Certificates. */
	struct string_list cas; /* labels of [ca], or URLs: when one fails, the next is tried */
	struct string_list names; /* of one certificate */
	const char *cert_name;
	const char *file; /* of [domains] */
	const char *tenant;
	struct certificate_settings_given certificate;

	/* This host. */
	const char *resolver;
};

/* All there are; none is no error.  0, or -1 with `failure` filled in. */
int config_read(struct config **ret_config, const struct paths *paths, struct failure *failure);
void config_free(struct config *config);

/* [sidestep], empty when there is none. */
const struct config_section *config_defaults(const struct config *config);

/* The others, in the order in which they are there; NULL at the end. */
const struct config_section *config_section(const struct config *config, size_t index);

/* The [ca] of this label or of this URL; NULL: there is none. */
const struct config_section *config_ca(const struct config *config, const char *name);

/*
 * What tells whether any of its files, or of those that it names, has changed: their names,
 * sizes and times.  A new string; NULL: out of memory.
 */
char *config_fingerprint(const struct config *config);

#endif
