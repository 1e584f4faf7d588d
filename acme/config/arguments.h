/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line of `sidestep`: verbs, options, help.  Others use settings.h. */
#ifndef ACME_CONFIG_ARGUMENTS_H
#define ACME_CONFIG_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme/config/ca_settings.h"
#include "acme/util/certificate_spec.h"
#include "common/option_table.h"
#include "common/paths.h"

struct failure;

/* CAs that need no section: settings.c has their URLs. */
#define CA_DEFAULT "letsencrypt"
#define CA_STAGING "letsencrypt-staging"

#define TIMEOUT_DEFAULT_S 30 /* for one request to a CA */

enum verb {
	VERB_REGISTER,
	VERB_SHOW_ACCOUNT,
	VERB_UPDATE_ACCOUNT,
	VERB_ROLLOVER,
	VERB_CERTONLY,
	VERB_RECONFIGURE,
	VERB_RENEW,
	VERB_RUN,
	VERB_PLAN,
	VERB_CERTIFICATES,
	VERB_PAUSE,
	VERB_UNPAUSE,
	VERB_RETRY,
	VERB_REVOKE,
	VERB_RESTORE,
	VERB_DELETE,
	VERB_IMPORT,
	VERB_PUBLISH,
	VERB_WITHDRAW,
	VERB_CHECK,
	VERB_STATUS,
	VERBS,
};

/* As given; the texts are argv's.  NULL or zero: not given. */
struct arguments {
	enum verb verb;
	const char *name; /* the operand: a certificate's or domain's name, or import's directory */
	const char *const *names; /* the operands, of verbs that take several */
	size_t name_count;
	const char *ca_filter, *tenant; /* of verbs for many certificates */
	struct paths paths;
	const char *server; /* a URL or a name, as given */
	struct ca_settings_given ca;
	struct certificate_settings_given certificate;
	char *deploy_hook; /* the text of certificate.deploy_hook; arguments_done() frees it */
	const char *reason; /* of revoke and pause */
	const char *issued_after, *issued_before; /* of renew, with force_renewal */
	const char *cert_name;
	const char *resolver; /* ADDRESS or ADDRESS:PORT */
	const char *digest;
	const char *key_authorization;
	struct option_texts domains; /* each a name, or several with commas between */
	uint32_t ttl_s;
	uint32_t warn_days; /* 0: not given */
	uint32_t generation; /* 0: not given */
	uint32_t timeout_s;
	bool server_given; /* by --server or --staging */
	bool deactivate;
	bool all, failed; /* of verbs for many certificates */
	bool run_deploy_hooks;
	bool dry_run;
	bool force_renewal;
	bool no_preflight;
	bool no_probe;
	bool retire_many;
	bool json;
	bool quiet;
	bool verbose;
};

enum arguments_result {
	ARGUMENTS_RUN,
	ARGUMENTS_SHOWN, /* help or version is on standard output */
	ARGUMENTS_WRONG, /* `failure` says what */
};

/*
 * Parse the command line.  After ARGUMENTS_RUN the caller calls arguments_done().
 * ret_arguments->json is always set if --json is there, so that errors can be JSON, too.
 */
enum arguments_result arguments_parse(struct arguments *ret_arguments, int argc, char **argv,
				      struct failure *failure);

/* Whether the verb reads the configuration. */
bool arguments_use_configuration(const struct arguments *arguments);

void arguments_done(struct arguments *arguments);

#endif
