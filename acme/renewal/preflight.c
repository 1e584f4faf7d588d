// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/preflight.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/protocol/client.h"
#include "acme/config/settings.h"
#include "acme/protocol/directory.h"
#include "acme/net/dns.h"
#include "acme/store/account_files.h"
#include "acme/util/failure.h"
#include "acme/net/loop.h"
#include "acme/renewal/ca_pool.h"
#include "acme/util/output.h"
#include "common/identifier.h"

#define METHOD       "tls-alpn-01"
#define RECORD_SHOWN 200
#define OWN_WAY_OUT                                                                             \
	"if the CA uses another DNS than this host, give it with --resolver, or continue with " \
	"--no-preflight"

struct item {
	struct preflight *preflight;
	struct preflight_name name;
	struct dns_lookup *lookup; /* NULL: over */
};

struct preflight {
	const struct preflight_options *options;
	struct dns *dns;
	struct ca_lease lease;
	struct ca *ca; /* for its directory only; NULL: not known */
	struct account_files *account; /* NULL: it cannot be read */
	bool ca_has_told; /* or failed, which whoever orders will hear about */
	bool is_over;
	struct timer timer; /* until the CA's deadline; then, at once, for telling */
	size_t item_count;
	struct item items[];
};

/* --- what it comes to ------------------------------------------------------------------------ */

static void judge_caa(const struct preflight *preflight, struct preflight_name *name)
{
	const struct directory none = {0};
	const struct directory *directory = preflight->ca ? ca_directory(preflight->ca) : &none;
	const struct caa_question question = {
		.issuers = (const char *const *)directory->caa_identities,
		.issuer_count = directory->caa_identity_count,
		.method = METHOD,
		.account_url = preflight->account ? account_files_url(preflight->account) : NULL,
	};
	const struct dns_answer *answer = &name->lookup.caa;

	name->caa = caa_judge(answer->caa, answer->count, &question);
	/* Not known is not the same as none. */
	if (answer->status != DNS_FOUND && answer->status != DNS_NO_DATA &&
	    answer->status != DNS_NO_NAME)
		name->caa.verdict = CAA_UNKNOWN;
	if (!question.issuer_count && name->caa.verdict == CAA_FORBIDDEN)
		name->caa.verdict = CAA_UNKNOWN;
}

static void preflight_finish(void *context)
{
	struct preflight *preflight = context;
	size_t i;

	for (i = 0; i < preflight->item_count; i++)
		if (preflight->items[i].name.identifier->type == IDENTIFIER_DNS)
			judge_caa(preflight, &preflight->items[i].name);
	preflight->options->done(preflight->options->context);
}

/* The CA's directory, when it comes too late, is not waited for. */
static void preflight_finish_if_done(struct preflight *preflight)
{
	size_t i;

	for (i = 0; i < preflight->item_count; i++)
		if (preflight->items[i].lookup)
			return;
	if (!preflight->ca_has_told || preflight->is_over)
		return;
	preflight->is_over = true;
	loop_timer_start(preflight->options->loop, &preflight->timer, 0, preflight_finish,
			 preflight);
}

static void on_name_looked_up(void *context, struct dns_lookup_result *result)
{
	struct item *item = context;

	item->lookup = NULL;
	item->name.lookup = *result;
	preflight_finish_if_done(item->preflight);
}

static void on_preflight_deadline(void *context)
{
	struct preflight *preflight = context;

	preflight->ca_has_told = true;
	preflight_finish_if_done(preflight);
}

static void on_preflight_connected(void *context, struct ca *ca, const struct failure *failure)
{
	struct preflight *preflight = context;

	/* A failure is the order's to report. */
	(void)failure;
	preflight->ca = ca;
	on_preflight_deadline(context);
}

/* --- from outside ---------------------------------------------------------------------------- */

static int preflight_prepare(struct preflight *preflight, struct failure *failure)
{
	const struct preflight_options *options = preflight->options;
	const struct settings *settings = options->settings;
	struct failure no_account = {0};
	int err;

	err = dns_new(&preflight->dns, options->loop, settings->resolver);
	if (err == -EINVAL) {
		failure_set(failure, NULL, "--resolver takes ADDRESS or ADDRESS:PORT, not '%s'",
			    settings->resolver);
		return -1;
	}
	if (err) {
		failure_set_errno(failure, -err, "preparing the checks");
		return -1;
	}
	/* A user that may not read the account still learns the rest. */
	if (account_files_open(&preflight->account, settings->paths, options->server,
			       settings_account(settings, options->server, options->account),
			       &no_account))
		preflight->account = NULL;
	failure_done(&no_account);
	return 0;
}

static int preflight_start(struct preflight *preflight, struct failure *failure)
{
	const struct preflight_options *options = preflight->options;
	const struct identifier *identifier;
	struct item *item;
	size_t i;

	for (i = 0; i < options->name_count; i++) {
		item = &preflight->items[preflight->item_count++];
		identifier = &options->names[i];
		*item = (struct item){.preflight = preflight, .name.identifier = identifier};
		if (identifier->type != IDENTIFIER_DNS)
			continue;
		item->lookup = dns_lookup_start(options->loop, preflight->dns, identifier->value,
						options->deadline_ms, on_name_looked_up, item);
		if (!item->lookup) {
			failure_set_errno(failure, ENOMEM, "preparing the checks");
			return -1;
		}
	}
	loop_timer_start(options->loop, &preflight->timer, options->deadline_ms,
			 on_preflight_deadline, preflight);
	preflight->lease.ready = on_preflight_connected;
	preflight->lease.context = preflight;
	return ca_pool_lease_directory(options->ca_pool, options->server, &preflight->lease,
				       failure);
}

int preflight_new(struct preflight **ret_preflight, const struct preflight_options *options,
		  struct failure *failure)
{
	struct preflight *preflight =
		calloc(1, sizeof(*preflight) + options->name_count * sizeof(struct item));
	int err;

	if (!preflight) {
		failure_set_errno(failure, ENOMEM, "preparing the checks");
		return -1;
	}
	preflight->options = options;
	err = preflight_prepare(preflight, failure);
	if (!err)
		err = preflight_start(preflight, failure);
	if (err)
		preflight_free(preflight);
	else
		*ret_preflight = preflight;
	return err;
}

void preflight_free(struct preflight *preflight)
{
	size_t i;

	if (!preflight)
		return;
	for (i = 0; i < preflight->item_count; i++) {
		dns_lookup_cancel(preflight->items[i].lookup);
		dns_lookup_result_done(&preflight->items[i].name.lookup);
	}
	loop_timer_stop(preflight->options->loop, &preflight->timer);
	account_files_free(preflight->account);
	ca_lease_end(&preflight->lease);
	dns_free(preflight->dns);
	free(preflight);
}

const struct preflight_name *preflight_name(const struct preflight *preflight, size_t index)
{
	return index < preflight->item_count ? &preflight->items[index].name : NULL;
}

/* Why CAA forbids, and what to do about it. */
static void explain_caa(const struct preflight_name *name, struct failure *failure)
{
	const struct caa_record *record = name->caa.record;
	const char *why = "names another CA", *step = "add one that names this CA";

	switch (name->caa.reason) {
	case CAA_CRITICAL:
		why = "is critical and of a kind that no CA knows";
		step = "remove it";
		break;
	case CAA_NOBODY:
		why = "lets no CA issue";
		break;
	case CAA_MALFORMED:
		why = "cannot be read, which forbids too";
		step = "correct it";
		break;
	case CAA_OTHER_METHOD:
		why = "does not allow the method " METHOD;
		step = "add " METHOD " to its validationmethods";
		break;
	case CAA_OTHER_ACCOUNT:
		why = "is for another account";
		step = "put this account's URL, which `sidestep register` tells, into its "
		       "accounturi";
		break;
	default:
		break;
	}
	failure_set(failure, NULL, "%s: a CAA record of %s %s (%s \"%.*s\")",
		    name->identifier->value, name->lookup.caa_name, why, record ? record->tag : "",
		    RECORD_SHOWN, record ? record->value : "");
	snprintf(failure->next_step, sizeof(failure->next_step), "%s, in the DNS; " OWN_WAY_OUT,
		 step);
}

void preflight_judge(const struct preflight_name *name, struct failure *failure)
{
	if (name->identifier->type != IDENTIFIER_DNS)
		return;
	if (dns_lookup_has_no_name(&name->lookup))
		failure_set(failure, "correct the name, or make it known in the DNS; " OWN_WAY_OUT,
			    "%s does not exist in the DNS (NXDOMAIN)", name->identifier->value);
	else if (name->caa.verdict == CAA_FORBIDDEN)
		explain_caa(name, failure);
}

void preflight_doubt(const struct preflight_name *name, char ret_text[PREFLIGHT_DOUBT_MAX])
{
	const struct dns_lookup_result *lookup = &name->lookup;

	ret_text[0] = '\0';
	if (name->identifier->type != IDENTIFIER_DNS)
		return;
	if (lookup->ipv4.status == DNS_NO_DATA && lookup->ipv6.status == DNS_NO_DATA)
		snprintf(ret_text, PREFLIGHT_DOUBT_MAX, "%s has no address in the DNS",
			 name->identifier->value);
	else if (lookup->caa.status == DNS_FAILED)
		snprintf(ret_text, PREFLIGHT_DOUBT_MAX,
			 "the CAA records of %s cannot be had, which a CA takes for a refusal: %s",
			 lookup->caa_name, dns_status_text(lookup->caa.status));
}

void preflight_heed(const struct preflight *preflight, struct failure *failure)
{
	const struct preflight_name *name;
	char doubt[PREFLIGHT_DOUBT_MAX];
	size_t i;

	for (i = 0; (name = preflight_name(preflight, i)); i++) {
		preflight_judge(name, failure);
		preflight_doubt(name, doubt);
		if (*doubt)
			output_warning("%s", doubt);
	}
}
