// SPDX-License-Identifier: GPL-3.0-or-later
/* `sidestep certonly`. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/config/arguments.h"
#include "acme/config/given.h"
#include "acme/config/settings.h"
#include "acme/protocol/authorization.h"
#include "acme/cmd/show.h"
#include "acme/renewal/agent.h"
#include "acme/renewal/dry_run.h"
#include "acme/renewal/engine.h"
#include "acme/renewal/hooks.h"
#include "acme/util/failure.h"
#include "acme/crypto/key.h"
#include "acme/net/loop.h"
#include "acme/config/identifiers.h"
#include "acme/net/net.h"
#include "acme/protocol/order.h"
#include "acme/util/output.h"
#include "acme/renewal/preflight.h"
#include "acme/store/state.h"
#include "acme/store/store.h"
#include "acme/cmd/verbs.h"
#include "acme/cmd/request.h"
#include "common/clock.h"

struct certonly {
	const struct arguments *arguments;
	const struct settings *settings;
	struct identifier *names;
	size_t name_count;
	char name[CERTIFICATE_NAME_MAX + 1]; /* of the certificate on disk */
	struct request request;
	struct agent agent;
	int64_t lineage;
	json_t *certificate; /* the new one, as show_json(); NULL: there is none */
	struct failure failure;
	struct failure hook; /* of the first hook that failed; the certificate is stored */
	json_t *authorizations; /* the result of each, for --json */
};

static int report_failure(struct certonly *certonly)
{
	output_failure(NULL, &certonly->failure);
	output_document(json_pack(
		"{s:b, s:b, s:o, s:O}", "ok", 0, "dry_run", certonly->settings->dry_run, "error",
		failure_to_json(&certonly->failure), "authorizations", certonly->authorizations));
	return EXIT_FAILED;
}

/* --- is a new certificate needed? ------------------------------------------------------------ */

static void refuse_taken_name(struct certonly *certonly, const struct stored *stored)
{
	failure_set(
		&certonly->failure,
		"give --cert-name with that name to replace it, or with another name to keep both",
		"a certificate called %s exists already, for other names (%s%s)", stored->name,
		stored->certificate.name_count ? stored->certificate.names[0].value : "none",
		stored->certificate.name_count > 1 ? ", ..." : "");
}

/* Mostly it is called as its first name: then no other is read. */
static int find_by_names(const struct certonly *certonly, struct stored *ret_stored)
{
	const struct paths *paths = certonly->settings->paths;

	if (!store_read(ret_stored, paths, certonly->names[0].value)) {
		if (certificate_has_only_names(&ret_stored->certificate, certonly->names,
					       certonly->name_count))
			return 0;
		stored_done(ret_stored);
	}
	return store_find(ret_stored, paths, certonly->names, certonly->name_count);
}

/*
 * Choose the certificate's name.  0: *ret_stored is the existing certificate of this name; -ENOENT:
 * none exists; -1 with the failure filled in.
 */
static int find_present(struct certonly *certonly, struct stored *ret_stored)
{
	const struct arguments *arguments = certonly->arguments;
	const struct settings *settings = certonly->settings;
	const char *name = arguments->cert_name;
	int err;

	if (!name) {
		if (!find_by_names(certonly, ret_stored)) {
			strcpy(certonly->name, ret_stored->name);
			return 0;
		}
		name = certonly->names[0].value;
	}
	strcpy(certonly->name, name);
	err = store_read(ret_stored, settings->paths, name);
	if (err == -ENOENT || err == -EBADMSG)
		return -ENOENT;
	if (err) {
		failure_set_errno(&certonly->failure, -err, "cannot read the certificate %s in %s",
				  name, settings->paths->state);
		return -1;
	}
	if (!arguments->cert_name) {
		refuse_taken_name(certonly, ret_stored);
		stored_done(ret_stored);
		return -1;
	}
	return 0;
}

/* Whether the existing key has the requested type; true when no type is requested. */
static bool has_key_type(const struct certonly *certonly, const struct stored *stored)
{
	const char *wanted = certonly->request.spec.settings.key_type;
	enum key_type type;
	struct key *key;
	bool has;

	if (!wanted)
		return true;
	if (key_type_parse(&type, wanted) ||
	    store_read_key(&key, certonly->settings->paths, stored->name))
		return false;
	has = key_type_of(key) == type;
	key_free(key);
	return has;
}

/* Whether to keep the existing certificate: it is as requested, and not due. */
static bool is_kept(const struct certonly *certonly, const struct stored *stored)
{
	const struct string_list *cas = &certonly->request.spec.cas;

	return !certonly->settings->force_renewal &&
	       certificate_has_only_names(&stored->certificate, certonly->names,
					  certonly->name_count) &&
	       !certificate_is_due(&stored->certificate, clock_now_s()) &&
	       (!stored->server || string_list_find(cas, stored->server) < cas->count) &&
	       has_key_type(certonly, stored);
}

/* What the command line says of its settings is not for nothing.  Returns the exit status. */
static int report_kept(struct certonly *certonly, const struct stored *stored)
{
	const char *differences = certonly->request.differences;

	if (failure_is_set(&certonly->request.unread) &&
	    given_any(&certonly->arguments->certificate)) {
		failure_move(&certonly->failure, &certonly->request.unread);
		return report_failure(certonly);
	}
	if (*differences) {
		failure_set(&certonly->failure,
			    "`sidestep reconfigure` with these options changes the settings; add "
			    "--force-renewal to get a new certificate with them now",
			    "the certificate %s stays, for more than a third of its life is left, "
			    "but it has other settings: %s",
			    stored->name, differences);
		return report_failure(certonly);
	}
	output_line("The certificate stays in use: more than a third of its life is left. Use "
		    "--force-renewal to get a new one now.");
	show_text(stored, clock_now_s());
	output_document(json_pack("{s:b, s:b, s:o}", "ok", 1, "issued", 0, "certificate",
				  show_json(stored)));
	return EXIT_DONE;
}

/* --- getting the certificate ----------------------------------------------------------------- */

static const char *state_name(enum authorization_state state)
{
	switch (state) {
	case AUTHORIZATION_VALID:
		return "valid";
	case AUTHORIZATION_FAILED:
		return "failed";
	default:
		return "pending";
	}
}

/* Explain each name that failed, and keep the explanation for the document. */
static void report_authorizations(struct certonly *certonly, const struct order *order)
{
	const struct authorization *authorization;
	const struct identifier *identifier;
	const struct failure *failure;
	size_t i;

	for (i = 0; order && (authorization = order_authorization(order, i)); i++) {
		identifier = authorization_identifier(authorization);
		failure = authorization_failure(authorization);
		if (failure_is_set(failure))
			output_failure(identifier ? identifier->value : NULL, failure);
		json_array_append_new(
			certonly->authorizations,
			json_pack("{s:s?, s:s, s:o?}", "name",
				  identifier ? identifier->value : NULL, "status",
				  state_name(authorization_state(authorization)), "error",
				  failure_is_set(failure) ? failure_to_json(failure) : NULL));
	}
}

static void report_issued(struct certonly *certonly, const struct stored *stored)
{
	output_line(certonly->settings->dry_run
			    ? "The dry run succeeded; this certificate is not kept:"
			    : "The certificate is in place.");
	show_text(stored, clock_now_s());
	certonly->certificate = show_json(stored);
}

static void on_certonly_finished(void *context, const struct engine_result *result)
{
	struct certonly *certonly = context;

	report_authorizations(certonly, result->order);
	if (!failure_is_set(result->failure)) {
		report_issued(certonly, result->stored);
	} else if (!failure_is_set(&certonly->failure)) {
		certonly->failure = *result->failure;
		json_incref(certonly->failure.problem);
	}
}

static void on_certonly_idle(void *context)
{
	struct certonly *certonly = context;

	loop_stop(certonly->agent.net.loop);
}

static void on_certonly_hook_failed(void *context, const struct failure *failure)
{
	struct certonly *certonly = context;

	failure_set(&certonly->hook, failure->next_step, "%s", failure->cause);
}

/* Store what the certificate shall be, for this run and for renewals. */
static void certonly_set_spec(struct certonly *certonly)
{
	const struct request *request = &certonly->request;
	struct state *state = certonly->agent.state;
	int err = 0;

	certonly->lineage = request->lineage.id;
	if (!request->is_configured || certonly->settings->dry_run)
		err = state_set_spec(state, &request->spec, &certonly->lineage);
	/* The operator runs certonly after acting on the reason for the pause. */
	if (!err)
		err = state_pause(state, certonly->lineage, NULL);
	if (err)
		state_explain(state, err, &certonly->failure);
}

/*
 * Forget a new name for which there is no certificate, so that nothing renews it.  One for which the CA
 * has an order stays: the next process continues it, and `delete` forgets it.
 */
static void forget_if_void(struct certonly *certonly)
{
	struct state *state = certonly->agent.state;
	struct state_lineage lineage;
	bool goes_on;
	int err;

	if (certonly->request.is_known)
		return;
	err = state_lineage_read(state, certonly->lineage, &lineage);
	if (err)
		return;
	goes_on = lineage.status == STATE_ORDERING;
	if (!lineage.not_after_s && !goes_on)
		err = state_lineage_delete(state, certonly->lineage);
	else if (!lineage.not_after_s)
		output_warning("the order for %s is not over: `sidestep renew` continues it, "
			       "`sidestep delete %s` forgets it",
			       certonly->name, certonly->name);
	state_lineage_done(&lineage);
	if (err)
		output_warning("cannot forget %s, which `sidestep renew` will try again: %s",
			       certonly->name, strerror(-err));
}

/* Stop before an order that is certain to fail.  0, or -1 with the failure filled in. */
static int certonly_preflight(struct certonly *certonly)
{
	const struct preflight_options options = {
		.settings = certonly->settings,
		.server = certonly->request.spec.cas.items[0],
		.account = certonly->request.spec.account,
		.ca_pool = certonly->agent.ca_pool,
		.loop = certonly->agent.net.loop,
		.names = certonly->names,
		.name_count = certonly->name_count,
		.deadline_ms = PREFLIGHT_DEADLINE_MS,
		.done = on_certonly_idle,
		.context = certonly,
	};
	struct preflight *preflight;

	if (certonly->settings->no_preflight)
		return 0;
	if (preflight_new(&preflight, &options, &certonly->failure))
		return -1;
	output_step("looking up the names");
	if (!net_run(&certonly->agent.net, &certonly->failure))
		preflight_heed(preflight, &certonly->failure);
	preflight_free(preflight);
	return failure_is_set(&certonly->failure) ? -1 : 0;
}

/* What fails is in the failure. */
static void certonly_order(struct certonly *certonly)
{
	const char *hook = certonly->settings->certificate.deploy_hook;

	/* Better before the CA has issued than after. */
	if (hook && hooks_judge(hook, &certonly->failure))
		return;
	certonly_set_spec(certonly);
	if (failure_is_set(&certonly->failure))
		return;
	if (certonly->settings->dry_run)
		dry_run_announce(certonly->agent.state);
	if (!certonly_preflight(certonly)) {
		output_step("ordering a certificate for %zu name%s", certonly->name_count,
			    certonly->name_count == 1 ? "" : "s");
		if (!engine_take(certonly->agent.engine, certonly->lineage, &certonly->failure))
			net_run(&certonly->agent.net, &certonly->failure);
	}
	forget_if_void(certonly);
}

/* --- the report ------------------------------------------------------------------------------ */

/* on_certonly_finished() has shown the certificate; the hooks have run since. */
static int report_success(struct certonly *certonly)
{
	bool deployed = !failure_is_set(&certonly->hook);

	if (!deployed)
		output_failure(NULL, &certonly->hook);
	output_document(json_pack("{s:b, s:b, s:b, s:O, s:O, s:o*}", "ok", deployed, "dry_run",
				  certonly->settings->dry_run, "issued", 1, "certificate",
				  certonly->certificate, "authorizations", certonly->authorizations,
				  "error", deployed ? NULL : failure_to_json(&certonly->hook)));
	return deployed ? EXIT_DONE : EXIT_FAILED;
}

/* With the request loaded.  `present`: NULL if there is no certificate of this name. */
static int certonly_go(struct certonly *certonly, const struct stored *present)
{
	if (present && is_kept(certonly, present))
		return report_kept(certonly, present);
	if (!agent_open(&certonly->agent, &certonly->failure)) {
		certonly_order(certonly);
		agent_close(&certonly->agent);
	}
	return failure_is_set(&certonly->failure) ? report_failure(certonly)
						  : report_success(certonly);
}

static int certonly_run(struct certonly *certonly)
{
	struct stored present = {0};
	int err = find_present(certonly, &present), status;

	if ((err && err != -ENOENT) ||
	    request_load(&certonly->request, certonly->arguments, certonly->settings,
			 certonly->name, certonly->names, certonly->name_count,
			 &certonly->failure)) {
		status = report_failure(certonly);
	} else {
		status = certonly_go(certonly, err ? NULL : &present);
		request_done(&certonly->request);
	}
	if (!err)
		stored_done(&present);
	return status;
}

int verb_certonly(const struct arguments *arguments, const struct settings *settings)
{
	struct certonly certonly = {
		.arguments = arguments,
		.settings = settings,
		.authorizations = json_array(),
		.agent = {.settings = settings,
			  .is_single = true,
			  .finished = on_certonly_finished,
			  .hook_failed = on_certonly_hook_failed,
			  .idle = on_certonly_idle},
	};
	int status;

	certonly.agent.context = &certonly;

	if (arguments->cert_name && !certificate_name_is_valid(arguments->cert_name))
		failure_set(
			&certonly.failure, NULL,
			"--cert-name takes letters, digits and \"._-:\", and does not begin with a "
			"dot or hyphen: '%s' is not allowed",
			arguments->cert_name);
	if (failure_is_set(&certonly.failure) ||
	    identifiers_parse(&certonly.names, &certonly.name_count, arguments->domains.items,
			      arguments->domains.count, &certonly.failure)) {
		report_failure(&certonly);
		status = EXIT_USAGE;
	} else {
		status = certonly_run(&certonly);
	}
	failure_done(&certonly.failure);
	failure_done(&certonly.hook);
	json_decref(certonly.authorizations);
	json_decref(certonly.certificate);
	free(certonly.names);
	return status;
}
