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

static const char *first_of(const char *a, const char *b, const char *c)
{
	return a ? a : b ? b : c;
}

void settings_of_ca(struct ca_settings *ret_settings, const struct arguments *arguments,
		    const char *server)
{
	static const struct config_section nothing;
	const struct config *config = arguments->config;
	const struct config_section *all = config ? config_defaults(config) : &nothing;
	const struct config_section *ca = config ? config_ca(config, server) : NULL;

	if (!ca)
		ca = &nothing;
	*ret_settings = (struct ca_settings){
		.cacert = first_of(arguments->cacert, ca->cacert, all->cacert),
		.email = first_of(arguments->email, ca->email, all->email),
		.account = first_of(arguments->account, ca->account, all->account),
		.eab_kid = first_of(arguments->eab_kid, ca->eab_kid, NULL),
		.eab_hmac_key_file =
			first_of(arguments->eab_hmac_key_file, ca->eab_hmac_key_file, NULL),
		.agree_tos = arguments->agree_tos ||
			     (ca->agree_tos ? ca->agree_tos : all->agree_tos) == CONFIG_YES,
	};
}

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

/* renew and run know of each certificate what it wants. */
static void complete_wishes(struct arguments *arguments)
{
	const struct config_section *all = config_defaults(arguments->config);

	if (!arguments->key_type)
		arguments->key_type = all->key_type;
	if (!arguments->preferred_profile)
		arguments->preferred_profile = all->preferred_profile;
	if (!arguments->required_profile)
		arguments->required_profile = all->required_profile;
	if (!arguments->preferred_chain)
		arguments->preferred_chain = all->preferred_chain;
	if (!arguments->deploy_hook)
		arguments->deploy_hook = all->deploy_hook;
	arguments->bundle |= all->bundle == CONFIG_YES;
	arguments->reuse_key |= all->reuse_key == CONFIG_YES;
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

	arguments->deploy_hook = NULL;
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
	if (arguments->verb == VERB_CERTONLY)
		complete_wishes(arguments);
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
