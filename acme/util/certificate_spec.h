/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The specification of a certificate: its names, its CAs and its settings. */
#ifndef ACME_UTIL_CERTIFICATE_SPEC_H
#define ACME_UTIL_CERTIFICATE_SPEC_H

#include <stdint.h>

#include "acme/util/setting.h"
#include "acme/util/string_list.h"

/*
 * The settings of a certificate.  One line here adds a setting everywhere: to the command line and
 * its help, to [certificate], [domains] and [sidestep], to sidestep.conf(5), to the database, and
 * to the import from Certbot.  CONTRIBUTING.md has an example.
 *
 *	X(KIND, member, "name", "VALUE" in help, Certbot's name or NULL, verbs, "help")
 *
 * `verbs` is ORDER for `certonly`, or ORDER_OR_IMPORT.  The member's name is also the column's name
 * in the table lineage, so no other column may have it.
 */
#define CERTIFICATE_SETTINGS(X)                                                                \
	X(TEXT, key_type, "key-type", "TYPE", NULL, ORDER,                                     \
	  "The type of the key: p256, p384, rsa2048, rsa3072 or rsa4096. Default: p256.")      \
	X(FLAG, reuse_key, "reuse-key", NULL, "reuse_key", ORDER,                              \
	  "Keep the existing key, now and at each renewal.")                                   \
	X(FLAG, bundle, "bundle", NULL, NULL, ORDER,                                           \
	  "Also write bundle.pem, with the full chain and the key, for HAProxy.")              \
	X(TEXT, preferred_profile, "preferred-profile", "PROFILE", "preferred_profile", ORDER, \
	  "Ask for this certificate profile if the CA offers it.")                             \
	X(TEXT, required_profile, "required-profile", "PROFILE", "required_profile", ORDER,    \
	  "Order only if the CA offers this certificate profile, and ask for it.")             \
	X(TEXT, preferred_chain, "preferred-chain", "ISSUER", "preferred_chain", ORDER,        \
	  "Prefer the chain whose last certificate was issued by this common name.")           \
	X(TEXT, renew_before, "renew-before", "TIME", NULL, ORDER,                             \
	  "Renew so long before the end, such as 30d or 12h, or earlier if the CA asks for "   \
	  "it. From the next certificate on. Default: a third of its life.")                   \
	X(TEXT, deploy_hook, "deploy-hook", "COMMAND", NULL, ORDER_OR_IMPORT,                  \
	  "Run this command for each new certificate, with RENEWED_LINEAGE and RENEWED_DOMAINS set.")

/* The effective values. */
struct certificate_settings {
	CERTIFICATE_SETTINGS(SETTING_VALUE)
};

/* The values that one place gives. */
struct certificate_settings_given {
	CERTIFICATE_SETTINGS(SETTING_GIVEN)
};

/* The code that fills in this struct owns its texts and lists. */
struct certificate_spec {
	const char *name; /* of the certificate on disk; never NULL */
	struct string_list identifiers; /* as ACME spells them, at least one */
	struct string_list cas; /* directory URLs in the order of preference, at least one */
	const char *account; /* NULL: the CA's default account */
	const char *tenant; /* tenants share CAs' rate limits evenly; NULL is a tenant too */
	const char *source; /* "cli", "config", "import", "disk"; never NULL */
	int64_t digest; /* of the place of the configuration that says all this; 0: of none */
	struct certificate_settings settings;
};

#endif
