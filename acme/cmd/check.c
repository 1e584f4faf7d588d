// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * `sidestep check`: looks the name up in the DNS, arms it, and connects to each address as a CA
 * would.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/config/arguments.h"
#include "acme/config/settings.h"
#include "acme/util/failure.h"
#include "acme/challenge/responder.h"
#include "acme/net/loop.h"
#include "acme/config/identifiers.h"
#include "acme/net/net.h"
#include "acme/util/output.h"
#include "acme/renewal/ca_pool.h"
#include "acme/renewal/preflight.h"
#include "acme/challenge/probe.h"
#include "acme/cmd/verbs.h"
#include "common/challenge_table.h"
#include "common/random.h"

#define LOOKUP_DEADLINE_MS 20000
#define PROBE_TIMEOUT_MS   10000 /* as Boulder's */
#define TTL_S              60
#define ADDRESSES_MAX      32 /* no CA looks at so many */

_Static_assert(TTL_S * 1000 > 2 * PROBE_TIMEOUT_MS, "the name stays armed until all probes end");

/* One address of the name. */
struct target {
	struct check *check;
	struct dns_address address;
	bool is_own;
	struct probe *probe; /* NULL: ended, or not started */
	struct probe_result result;
};

struct check {
	const struct arguments *arguments;
	const struct settings *settings;
	struct identifier name;
	struct net net;
	struct preflight *preflight;
	const struct preflight_name *found;
	struct challenge_table *table;
	uint8_t digest[CHALLENGE_DIGEST_SIZE];
	bool armed; /* by us */
	struct prober *prober;
	struct target targets[ADDRESSES_MAX]; /* IPv6 first, as CAs do */
	size_t target_count;
	size_t pending; /* probes under way */
	json_t *problems;
};

/* --- problems -------------------------------------------------------------------------------- */

/* Print the failure and keep it for the document; `failure` is empty afterwards. */
static void add_problem(struct check *check, struct failure *failure)
{
	output_failure(check->name.value, failure);
	json_array_append_new(check->problems, failure_to_json(failure));
	failure_done(failure);
}

static bool has_problem(const struct check *check)
{
	return json_array_size(check->problems);
}

/* --- addresses ------------------------------------------------------------------------------- */

static bool is_same(const struct dns_address *address, const struct sockaddr *own)
{
	if (!own || own->sa_family != address->family)
		return false;
	if (address->family == AF_INET)
		return !memcmp(&address->ipv4, &((const struct sockaddr_in *)own)->sin_addr,
			       sizeof(address->ipv4));
	return !memcmp(&address->ipv6, &((const struct sockaddr_in6 *)own)->sin6_addr,
		       sizeof(address->ipv6));
}

static void mark_own(struct check *check)
{
	struct ifaddrs *all, *one;
	size_t i;

	if (getifaddrs(&all)) {
		output_warning("cannot list this host's own addresses: %s", strerror(errno));
		return;
	}
	for (one = all; one; one = one->ifa_next)
		for (i = 0; i < check->target_count; i++)
			if (is_same(&check->targets[i].address, one->ifa_addr))
				check->targets[i].is_own = true;
	freeifaddrs(all);
}

static void add_target(struct check *check, const struct dns_address *address)
{
	if (check->target_count == ADDRESSES_MAX)
		return;
	check->targets[check->target_count++] =
		(struct target){.check = check, .address = *address};
}

static void add_targets(struct check *check)
{
	const struct identifier *name = &check->name;
	const struct dns_answer *answers[] = {&check->found->lookup.ipv6,
					      &check->found->lookup.ipv4};
	struct dns_address address = {.family = AF_INET};
	size_t i, k;

	switch (name->type) {
	case IDENTIFIER_DNS:
		for (i = 0; i < 2; i++)
			for (k = 0; k < answers[i]->count; k++)
				add_target(check, &answers[i]->addresses[k]);
		break;
	case IDENTIFIER_IPV4:
		memcpy(&address.ipv4, name->address, sizeof(address.ipv4));
		add_target(check, &address);
		break;
	case IDENTIFIER_IPV6:
		address.family = AF_INET6;
		memcpy(&address.ipv6, name->address, sizeof(address.ipv6));
		add_target(check, &address);
		break;
	}
	mark_own(check);
}

/* --- what the DNS says ----------------------------------------------------------------------- */

/* The lookup of one address family failed: a CA gives up, or tries the other family. */
static void judge_lookup(struct check *check, const struct dns_answer *answer, const char *type)
{
	struct failure failure = {0};

	if (answer->status == DNS_FOUND || answer->status == DNS_NO_DATA ||
	    answer->status == DNS_NO_NAME)
		return;
	failure_set(&failure,
		    "check the name's DNS servers and this host's resolver, or give another "
		    "resolver with --resolver",
		    "the lookup of its %s records fails: %s", type,
		    dns_status_text(answer->status));
	add_problem(check, &failure);
}

static void judge_dns(struct check *check)
{
	const struct preflight_name *found = check->found;
	struct failure failure = {0};

	if (check->name.type != IDENTIFIER_DNS)
		return;
	judge_lookup(check, &found->lookup.ipv6, "AAAA");
	judge_lookup(check, &found->lookup.ipv4, "A");
	judge_lookup(check, &found->lookup.caa, "CAA");
	preflight_judge(found, &failure);
	if (failure_is_set(&failure))
		add_problem(check, &failure);
	else if (found->lookup.ipv4.status == DNS_NO_DATA &&
		 found->lookup.ipv6.status == DNS_NO_DATA) {
		failure_set(&failure, "add an A or AAAA record with this host's address",
			    "it has no address in the DNS");
		add_problem(check, &failure);
	}
}

/* --- arming ---------------------------------------------------------------------------------- */

/* Leave a pending real challenge alone: the probes then expect its certificate. */
static bool is_pending(struct check *check)
{
	struct challenge challenge;

	if (challenge_table_find(check->table, check->name.sni, strlen(check->name.sni),
				 &challenge) ||
	    challenge.withdrawn)
		return false;
	memcpy(check->digest, challenge.cert.digest, sizeof(check->digest));
	return true;
}

/* Arm the name with a random digest, which nobody can know in advance. */
static bool check_arm(struct check *check)
{
	struct failure failure = {0};
	int err;

	if (responder_open(&check->table, check->settings->paths, &failure)) {
		add_problem(check, &failure);
		return false;
	}
	if (is_pending(check))
		return true;
	err = random_bytes(check->digest, sizeof(check->digest));
	if (!err)
		err = challenge_table_publish(check->table, &check->name, check->digest, TTL_S);
	if (err) {
		responder_explain_publish(&failure, err, check->name.value);
		add_problem(check, &failure);
	}
	check->armed = !err;
	return check->armed;
}

static void check_disarm(struct check *check)
{
	int err = 0;

	if (check->armed)
		err = challenge_table_withdraw(check->table, &check->name, check->digest, 0);
	if (err && err != -ENOENT && err != -ESTALE)
		output_warning("cannot disarm %s; it expires in at most %d s: %s",
			       check->name.value, TTL_S, strerror(-err));
	challenge_table_free(check->table);
}

/* --- probing --------------------------------------------------------------------------------- */

static void on_check_probed(void *context, const struct probe_result *result)
{
	struct target *target = context;

	target->probe = NULL;
	target->result = *result;
	if (!--target->check->pending)
		loop_stop(target->check->net.loop);
}

static void start_probe(struct check *check, struct target *target)
{
	const struct probe_options options = {
		.address = &target->address,
		.port = PROBE_PORT,
		.identifier = &check->name,
		.digest = check->digest,
		.timeout_ms = PROBE_TIMEOUT_MS,
		.done = on_check_probed,
		.context = target,
	};

	target->result = (struct probe_result){PROBE_LOCAL, "out of memory"};
	target->probe = probe_start(check->prober, &options);
	check->pending += target->probe != NULL;
}

static const char *next_step_of(const struct target *target)
{
	if (!target->is_own && target->result.kind != PROBE_RIGHT)
		return "if this address does not lead to this host, correct the DNS: every address "
		       "of the name must; if it is a load balancer or NAT, let it forward TCP port "
		       "443 without ending TLS";
	switch (target->result.kind) {
	case PROBE_PRODUCTION:
		return "check with `sidestep status` that Sidestep is attached to the interface, "
		       "that the address is listed, and what it does not steer";
	case PROBE_REFUSED:
		return "let the production server listen on this address too, or remove the "
		       "address from the DNS";
	case PROBE_UNREACHABLE:
	case PROBE_TIMED_OUT:
		return "open TCP port 443 in the firewall";
	case PROBE_WRONG_CERTIFICATE:
		return "stop other ACME clients that answer acme-tls/1 on this host, and check "
		       "`sidestep status`";
	default:
		return "read the log of sidestep-responder: `journalctl -u sidestep-responder`";
	}
}

static void judge_target(struct check *check, const struct target *target)
{
	struct failure failure = {0};

	if (target->result.kind == PROBE_RIGHT)
		return;
	failure_set(&failure, next_step_of(target), "%s%s, port %d: %s",
		    dns_address_text(&target->address).text,
		    target->is_own ? "" : " (not an address of this host)", PROBE_PORT,
		    target->result.text);
	add_problem(check, &failure);
}

/* Probe all addresses at once.  -1: the probes could not run. */
static int probe_all(struct check *check, struct failure *failure)
{
	int err = prober_new(&check->prober, check->net.loop);
	size_t i;

	if (err) {
		failure_set_errno(failure, -err, "preparing the validation");
		return -1;
	}
	for (i = 0; i < check->target_count; i++)
		start_probe(check, &check->targets[i]);
	err = check->pending ? net_run(&check->net, failure) : 0;
	for (i = 0; i < check->target_count; i++)
		probe_cancel(check->targets[i].probe);
	prober_free(check->prober);
	return err;
}

/* --- the report ------------------------------------------------------------------------------ */

static void show_dns(const struct check *check)
{
	const struct preflight_name *found = check->found;

	if (check->name.type != IDENTIFIER_DNS)
		return;
	if (found->caa.verdict == CAA_UNKNOWN)
		output_line("CAA      unknown (%s)",
			    found->lookup.caa.status == DNS_FOUND
				    ? "the CA's name or the account at the CA is not known"
				    : dns_status_text(found->lookup.caa.status));
	else if (found->caa.reason == CAA_NO_RECORDS)
		output_line("CAA      no records: every CA may issue");
	else
		output_line("CAA      %s by the records of %s",
			    caa_verdict_name(found->caa.verdict), found->lookup.caa_name);
}

static void check_show(const struct check *check, bool probed)
{
	size_t i;

	output_line("%s", check->name.value);
	for (i = 0; i < check->target_count; i++) {
		const struct target *target = &check->targets[i];

		output_line("%s  %s, %s: %s", target->address.family == AF_INET ? "A   " : "AAAA",
			    dns_address_text(&target->address).text,
			    target->is_own ? "this host" : "not this host",
			    probed ? target->result.text : "not tried");
	}
	show_dns(check);
	output_line(has_problem(check) ? "A validation would fail."
				       : "A validation would succeed.");
}

static json_t *targets_to_json(const struct check *check, bool probed)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < check->target_count; i++) {
		const struct target *target = &check->targets[i];

		json_array_append_new(
			array, json_pack("{s:s, s:b, s:s?, s:s?}", "address",
					 dns_address_text(&target->address).text, "this_host",
					 target->is_own, "result",
					 probed ? probe_kind_name(target->result.kind) : NULL,
					 "text", probed ? target->result.text : NULL));
	}
	return array;
}

static void show_json(const struct check *check, bool probed)
{
	const struct preflight_name *found = check->found;
	json_t *document = json_pack("{s:b, s:s, s:o, s:O}", "ok", !has_problem(check), "name",
				     check->name.value, "addresses", targets_to_json(check, probed),
				     "problems", check->problems);

	if (check->name.type == IDENTIFIER_DNS)
		json_object_set_new(document, "dns",
				    json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:s}}", "a",
					      dns_status_name(found->lookup.ipv4.status), "aaaa",
					      dns_status_name(found->lookup.ipv6.status), "caa",
					      "status", dns_status_name(found->lookup.caa.status),
					      "name", found->lookup.caa_name, "verdict",
					      caa_verdict_name(found->caa.verdict), "reason",
					      caa_reason_name(found->caa.reason)));
	output_document(document);
}

/* --- the verb -------------------------------------------------------------------------------- */

static void on_check_looked_up(void *context)
{
	struct check *check = context;

	loop_stop(check->net.loop);
}

/* Print the findings.  -1: the check could not finish. */
static int check_examine(struct check *check, struct failure *failure)
{
	bool probed = false;
	int result = 0;

	check->found = preflight_name(check->preflight, 0);
	judge_dns(check);
	add_targets(check);
	if (check_arm(check) && check->target_count) {
		output_step("validating %s as a CA would", check->name.value);
		result = probe_all(check, failure);
		probed = !result;
	}
	check_disarm(check);
	if (result)
		return result;
	if (probed)
		for (size_t i = 0; i < check->target_count; i++)
			judge_target(check, &check->targets[i]);
	check_show(check, probed);
	show_json(check, probed);
	return 0;
}

static int check_run(struct check *check, struct failure *failure)
{
	struct preflight_options options = {
		.settings = check->settings,
		.server = check->settings->server,
		.account = check->arguments->ca.account,
		.names = &check->name,
		.name_count = 1,
		.deadline_ms = LOOKUP_DEADLINE_MS,
		.done = on_check_looked_up,
		.context = check,
	};
	int err;

	if (net_open(&check->net, check->settings->timeout_s, failure))
		return -1;
	err = ca_pool_new(&options.ca_pool, check->settings, &check->net);
	if (err)
		failure_set_errno(failure, -err, "preparing the checks");
	options.loop = check->net.loop;
	if (!err)
		err = preflight_new(&check->preflight, &options, failure);
	if (!err) {
		output_step("looking up %s", check->name.value);
		err = net_run(&check->net, failure);
		if (!err)
			err = check_examine(check, failure);
		preflight_free(check->preflight);
	}
	ca_pool_free(options.ca_pool);
	net_close(&check->net);
	return err;
}

int verb_check(const struct arguments *arguments, const struct settings *settings)
{
	struct check *check = calloc(1, sizeof(*check));
	struct failure failure = {0};
	int status = EXIT_FAILED;

	if (!check) {
		failure_set_errno(&failure, ENOMEM, "preparing the checks");
	} else if (identifiers_parse_one(&check->name, arguments->name, &failure)) {
		status = EXIT_USAGE;
	} else {
		check->arguments = arguments;
		check->settings = settings;
		check->problems = json_array();
		if (!check_run(check, &failure) && !has_problem(check))
			status = EXIT_DONE;
		json_decref(check->problems);
	}
	if (failure_is_set(&failure))
		output_fatal(&failure);
	failure_done(&failure);
	free(check);
	return status;
}
