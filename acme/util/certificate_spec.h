/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is wanted of a certificate. */
#ifndef ACME_UTIL_CERTIFICATE_SPEC_H
#define ACME_UTIL_CERTIFICATE_SPEC_H

#include "acme/util/setting.h"
#include "acme/util/string_list.h"

/*
 * The settings of a certificate.  A line here is all that it takes to have a setting on the command
 * line and in its help, in [certificate], [domains] and [sidestep] and in sidestep.conf(5), in the
 * database, and taken over from Certbot: CONTRIBUTING.md has an example.
 *
 *	X(KIND, member, "name", "VALUE" in help, Certbot's name or NULL, verbs, "help")
 *
 * `verbs` is ORDER for `certonly`, or ORDER_OR_IMPORT.  The member's name is its column's, too: not
 * that of another column of the table lineage.
 */
#define CERTIFICATE_SETTINGS(X)                                                                 \
	X(TEXT, key_type, "key-type", "TYPE", NULL, ORDER,                                      \
	  "The type of the key: p256, p384, rsa2048, rsa3072 or rsa4096. Default: p256.")       \
	X(FLAG, reuse_key, "reuse-key", NULL, "reuse_key", ORDER,                               \
	  "Keep the present key, now and at each renewal.")                                     \
	X(FLAG, bundle, "bundle", NULL, NULL, ORDER,                                            \
	  "Also write bundle.pem, with the full chain and the key, for HAProxy.")               \
	X(TEXT, preferred_profile, "preferred-profile", "PROFILE", "preferred_profile", ORDER,  \
	  "Ask for this certificate profile if the CA offers it.")                              \
	X(TEXT, required_profile, "required-profile", "PROFILE", "required_profile", ORDER,     \
	  "Ask for this certificate profile. If the CA does not offer it, nothing is ordered.") \
	X(TEXT, preferred_chain, "preferred-chain", "ISSUER", "preferred_chain", ORDER,         \
	  "Prefer the chain whose last certificate was issued by this common name.")            \
	X(TEXT, deploy_hook, "deploy-hook", "COMMAND", NULL, ORDER_OR_IMPORT,                   \
	  "Run this command for each new certificate, with RENEWED_LINEAGE and RENEWED_DOMAINS set.")

/* The values that hold. */
struct certificate_settings {
	CERTIFICATE_SETTINGS(SETTING_VALUE)
};

/* What one place gives. */
struct certificate_settings_given {
	CERTIFICATE_SETTINGS(SETTING_GIVEN)
};

/* Texts and lists belong to whoever fills it in. */
struct certificate_spec {
	const char *name; /* of the certificate on disk; never NULL */
	struct string_list identifiers; /* as ACME spells them, at least one */
	struct string_list cas; /* directory URLs in the order to be tried, at least one */
	const char *account; /* NULL: the CA's default account */
	const char *tenant; /* shares CAs' limits evenly with other tenants; NULL is a tenant too */
	const char *source; /* "cli", "config", "import", "disk"; never NULL */
	struct certificate_settings settings;
};

#endif
