// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/protocol/problem.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "acme/protocol/link_header.h"
#include "acme/util/failure.h"
#include "acme/net/http.h"
#include "acme/util/json.h"
#include "common/clock.h"

/* A CA that asks for a longer wait is asked again after this one. */
#define RETRY_AFTER_MAX_S 86400

#define PROBLEM_PREFIX "urn:ietf:params:acme:error:"

/* Boulder's prefix for an error that only its secondary perspectives saw. */
#define SECONDARY_PREFIX "During secondary validation: "

/* Boulder's words for a paused account, which only its owner can unpause. */
#define PAUSED_DETAIL "please visit"

struct explanation {
	const char *type; /* of the problem, without its prefix; NULL: any */
	const char *detail; /* a part of the detail, in any case; NULL: any */
	const char *cause;
	const char *next_step;
};

/*
 * The first match counts, so special cases stand before general ones.  The details are those of
 * Boulder (Let's Encrypt), Pebble and step-ca (Caddy); the last two use Go's texts for network
 * errors.
 */
static const struct explanation explanations[] = {
	/* DNS first: the lookup itself may be what met a refused connection. */
	{NULL, "nxdomain", "the name does not exist in the DNS",
	 "check the spelling; create its A or AAAA record and wait until all name servers have it"},
	{NULL, "no such host", "the name does not exist in the DNS that the CA asks",
	 "check the spelling; create its A or AAAA record"},
	{NULL, "no valid ip addresses", "the name has neither an A nor an AAAA record",
	 "create one that points to this host"},
	{NULL, "no valid a records", "the name has neither an A nor an AAAA record",
	 "create one that points to this host"},
	{NULL, "servfail", "the name servers of this domain fail to answer (SERVFAIL)",
	 "check the name servers and DNSSEC of the domain, for example with a DNS check tool"},
	{NULL, "while resolving url", "the CA could not look the name up in the DNS",
	 "check the spelling and that the name has an A or AAAA record"},
	{NULL, "could not resolve url", "the name has neither an A nor an AAAA record",
	 "create one that points to this host"},
	{"dns", NULL, "the CA could not look the name up in the DNS",
	 "check that the name has an A or AAAA record and that its name servers answer"},

	/* The connection: the CA did not reach the responder. */
	{NULL, "connection refused",
	 "nothing listens on port 443 at the address that the CA connected to",
	 "check that the name's A and AAAA records point to this host, and that a server listens on "
	 "port 443 there, over IPv6 too if there is an AAAA record; where no server runs, start "
	 "sidestep-responder with --standalone; `sidestep check NAME` shows more"},
	{NULL, "timeout during connect",
	 "the CA's packets to port 443 get no answer: most likely a firewall, or a wrong address",
	 "check that the name's A and AAAA records point to this host and that port 443 is open to "
	 "the whole Internet"},
	{NULL, "timeout after connect",
	 "the connection to port 443 opened, but the TLS handshake did not end in time",
	 "check that sidestep-responder runs (sidestep status) and that the host is not "
	 "overloaded"},
	{NULL, "timeout during read",
	 "the connection to port 443 opened, but the TLS handshake did not end in time",
	 "check that sidestep-responder runs (sidestep status) and that the host is not "
	 "overloaded"},
	{NULL, "i/o timeout",
	 "the CA's packets to port 443 get no answer: most likely a firewall, or a wrong address",
	 "check that the name's A and AAAA records point to this host and that port 443 is open to "
	 "the CA"},
	{NULL, "network unreachable", "the CA has no route to the name's address",
	 "check the name's A and AAAA records"},
	{NULL, "no route to host", "the CA has no route to the name's address",
	 "check the name's A and AAAA records"},
	{NULL, "no ipv4 addresses to try", "the name has only IPv6 addresses, and none answered",
	 "check that the AAAA record points to this host and that port 443 is open over IPv6"},
	{NULL, "connection reset",
	 "the connection to port 443 was reset before the validation ended",
	 "look for a firewall or load balancer in front of this host"},

	/* Another server answered instead of sidestep-responder. */
	{NULL, "only speaks http", "the server that answered on port 443 speaks plain HTTP there",
	 "check that the name's addresses lead to this host and not to another machine or proxy"},
	{NULL, "first record does not look like a tls",
	 "the server that answered on port 443 does not speak TLS",
	 "check that the name's addresses lead to this host and not to another machine or proxy"},
	{NULL, "cannot negotiate alpn",
	 "the production server answered instead of sidestep-responder: the connection was not "
	 "steered, or reached another host",
	 "check that the name's addresses lead to this host and not to a CDN or load balancer, and "
	 "that `sidestep status` shows the interface as attached"},
	{NULL, "no application protocol",
	 "the production server answered instead of sidestep-responder: the connection was not "
	 "steered, or reached another host",
	 "check that the name's addresses lead to this host and not to a CDN or load balancer, and "
	 "that `sidestep status` shows the interface as attached"},
	{NULL, "unrecognized name",
	 "the server that answered does not know the name: the connection was not steered, or "
	 "reached another host",
	 "check that the name's addresses lead to this host and not to a CDN or load balancer"},
	{NULL, "incorrect validation certificate",
	 "something else answered the validation: another ACME client, or another host",
	 "stop other ACME clients that use tls-alpn-01 for this name, and check that all of its "
	 "addresses lead to this host"},
	{NULL, "incorrect certificate for tls-alpn-01",
	 "something else answered the validation: another ACME client, or another host",
	 "stop other ACME clients that use tls-alpn-01 for this name, and check that all of its "
	 "addresses lead to this host"},
	{NULL, "no certs presented", "the server that answered presented no certificate",
	 "check that the name's addresses lead to this host and not to another machine or proxy"},
	{NULL, "failed to connect",
	 "the CA could not connect to port 443, or the TLS handshake there failed",
	 "check that the name's A and AAAA records point to this host, that port 443 is open, and "
	 "that sidestep-responder runs (sidestep status)"},
	{NULL, "error doing tls dial",
	 "the CA could not connect to port 443, or the TLS handshake there failed",
	 "check that the name's A and AAAA records point to this host, that port 443 is open, and "
	 "that sidestep-responder runs (sidestep status)"},

	/* Validation problems by their type alone. */
	{"caa", NULL, "a CAA record of the domain forbids this CA to issue",
	 "allow the CA (and tls-alpn-01, and this account, where the record names methods or "
	 "accounts), or use a CA that is allowed"},
	{"connection", NULL, "the CA could not connect to port 443",
	 "check that the name's A and AAAA records point to this host and that port 443 is open"},
	{"tls", NULL, "the TLS handshake with the CA failed",
	 "check that the name's addresses lead to this host and that sidestep-responder runs "
	 "(sidestep status)"},
	{"incorrectResponse", NULL, "something else answered the validation",
	 "stop other ACME clients that use tls-alpn-01 for this name"},

	/* Rate limits and errors of the CA. */
	{"rateLimited", PAUSED_DETAIL,
	 "the CA has paused issuing for this account and name after very many failures",
	 "visit the address that the CA gives; until then, further orders fail"},
	{"rateLimited", NULL, "a rate limit of the CA is reached",
	 "wait until the time that the CA gives"},
	{"serverInternal", NULL, "the CA had an error of its own", "try again later"},

	/* The account. */
	{"accountDoesNotExist", NULL, "the CA does not know this account (any more)",
	 "run `sidestep register --agree-tos` with the same --server"},
	{"externalAccountRequired", NULL, "the CA requires an external account binding",
	 "get a key id and an HMAC key on its web site, and give them with --eab-kid and "
	 "--eab-hmac-key-file"},
	{"alreadyRevoked", NULL, "the certificate is revoked already", "you need do nothing"},
	{"badRevocationReason", NULL, "the CA does not accept this reason",
	 "give another --reason, or none"},
	{"userActionRequired", NULL, "the CA waits for an action of yours",
	 "visit the address that the CA gives; most likely you must agree to new terms of service"},
	{"invalidContact", "required", "the CA requires a contact address",
	 "give one with --email"},
	{"malformed", "contact", "the CA requires a contact address, or does not accept this one",
	 "give one with --email"},
	{"malformed", "email", "the CA requires a contact address, or does not accept this one",
	 "give one with --email"},
	{"invalidContact", NULL, "the CA does not accept the contact address", "correct --email"},
	{"unsupportedContact", NULL, "the CA does not accept this kind of contact",
	 "correct --email"},

	/* The order. */
	{"rejectedIdentifier", NULL, "the CA does not issue for this name",
	 "leave the name out, or use another CA"},
	{"unsupportedIdentifier", NULL, "the CA does not issue for this kind of identifier",
	 "for IP addresses, use a CA or profile that supports them"},
	{"badCSR", NULL, "the CA does not accept the certificate request",
	 "read the CA's reason; if the names are right, report this as a bug of sidestep"},
	{"orderNotReady", NULL, "the CA says that the order is not ready", "run this again"},
	{"badNonce", NULL, "the CA refused every nonce, its own fresh ones too",
	 "try again later; if that does not help, report this to the CA's operator"},
	{"unauthorized", "account", "the CA does not allow this to the account",
	 "check it with `sidestep show_account`; if it is deactivated, create a new one with "
	 "`sidestep register`"},
	{"unauthorized", NULL, "the CA did not get what it expected from this host",
	 "check that all addresses of the name lead to this host and that no other ACME client "
	 "answers for it"},
};

/*
 * Whose failure a problem is.  The first match counts; what is not here is the name's.  Boulder's
 * details tell a limit of the account from a limit of a name.
 */
static const struct {
	const char *type; /* without its prefix */
	const char *detail; /* a part of the detail, in any case; NULL: any */
	enum failure_owner owner;
} owners[] = {
	{"rateLimited", PAUSED_DETAIL, FAILURE_OF_NAME},
	{"rateLimited", "already issued for", FAILURE_OF_NAME},
	{"rateLimited", "exact set of", FAILURE_OF_NAME},
	{"rateLimited", "failed authorizations", FAILURE_OF_NAME},
	{"rateLimited", "service busy", FAILURE_OF_CA},
	{"rateLimited", NULL, FAILURE_OF_ACCOUNT},
	{"accountDoesNotExist", NULL, FAILURE_OF_ACCOUNT},
	{"externalAccountRequired", NULL, FAILURE_OF_ACCOUNT},
	{"userActionRequired", NULL, FAILURE_OF_ACCOUNT},
	{"invalidContact", NULL, FAILURE_OF_ACCOUNT},
	{"unsupportedContact", NULL, FAILURE_OF_ACCOUNT},
	{"badPublicKey", NULL, FAILURE_OF_ACCOUNT},
	{"badSignatureAlgorithm", NULL, FAILURE_OF_ACCOUNT},
	{"badNonce", NULL, FAILURE_OF_CA},
	{"serverInternal", NULL, FAILURE_OF_CA},
	{"orderNotReady", NULL, FAILURE_OF_CA},
};

/*
 * What a CA says to a request whose account or key it does not know, or knows otherwise: our key
 * was replaced or the account was made again by another process.
 */
static const struct {
	const char *type, *detail;
} lost_accounts[] = {
	{"accountDoesNotExist", NULL}, {"unauthorized", "account"},
	{"unauthorized", "jws"},       {"unauthorized", "signature"},
	{"unauthorized", "key"},       {"malformed", "jws"},
	{"malformed", "signature"},    {"malformed", "verification error"},
	{"malformed", "key id"},
};

static const char *problem_type(const json_t *problem)
{
	const char *type = json_read_string(problem, "type");
	size_t prefix = strlen(PROBLEM_PREFIX);

	if (!type)
		return "";
	return strncmp(type, PROBLEM_PREFIX, prefix) == 0 ? type + prefix : type;
}

bool problem_is(const json_t *problem, const char *type)
{
	return strcmp(problem_type(problem), type) == 0;
}

static bool problem_matches(const json_t *problem, const char *type, const char *detail)
{
	const char *text = json_read_string(problem, "detail");

	return (!type || problem_is(problem, type)) &&
	       (!detail || (text && strcasestr(text, detail)));
}

static enum failure_owner owner_of(const json_t *problem)
{
	size_t i;

	for (i = 0; i < sizeof(owners) / sizeof(*owners); i++)
		if (problem_matches(problem, owners[i].type, owners[i].detail))
			return owners[i].owner;
	return FAILURE_OF_NAME;
}

bool problem_is_lost_account(const json_t *problem)
{
	size_t i;

	for (i = 0; i < sizeof(lost_accounts) / sizeof(*lost_accounts); i++)
		if (problem_matches(problem, lost_accounts[i].type, lost_accounts[i].detail))
			return true;
	return false;
}

static const struct explanation *find_explanation(const json_t *problem)
{
	static const struct explanation unknown = {NULL, NULL, "the CA refused the request",
						   "read the CA's reason"};
	size_t i;

	for (i = 0; i < sizeof(explanations) / sizeof(*explanations); i++)
		if (problem_matches(problem, explanations[i].type, explanations[i].detail))
			return &explanations[i];
	return &unknown;
}

/* The first subproblem says more than the summary, which may only be "see subproblems". */
static const json_t *most_telling(const json_t *problem)
{
	const json_t *first = json_array_get(json_object_get(problem, "subproblems"), 0);

	return json_is_object(first) ? first : problem;
}

static void explain_problem(struct failure *failure, json_t *problem, enum failure_owner owner)
{
	const json_t *telling = most_telling(problem);
	const struct explanation *explanation = find_explanation(telling);
	const char *detail = json_read_string(telling, "detail");

	if (detail && strncmp(detail, SECONDARY_PREFIX, strlen(SECONDARY_PREFIX)) == 0)
		failure_set_of(
			failure, owner,
			"look for a firewall or GeoIP block of some parts of the world, for "
			"anycast, and for several hosts behind the name, of which some lack "
			"sidestep",
			"the CA's validation succeeded from its main site, but failed from other "
			"places: %s",
			explanation->cause);
	else
		failure_set_of(failure, owner, explanation->next_step, "%s", explanation->cause);
	failure_set_problem(failure, problem);
}

/* In an order or a challenge nearly everything is about its names. */
void problem_explain(struct failure *failure, json_t *problem)
{
	enum failure_owner owner = owner_of(most_telling(problem));

	explain_problem(failure, problem, owner == FAILURE_OF_ACCOUNT ? FAILURE_OF_NAME : owner);
	failure->ends_order = true;
}

static void explain_untrusted(struct failure *failure, const struct http_response *response,
			      const char *url)
{
	const char *next_step = "for a private CA, give its root certificate with --cacert FILE; "
				"for a public one, install the package ca-certificates";

	if (strstr(response->error_text, "expired") ||
	    strstr(response->error_text, "not yet valid"))
		next_step =
			"check this host's clock; if it is right, the CA must renew its server's "
			"certificate; for a private CA, give the right root with --cacert FILE";
	else if (strstr(response->error_text, "subject name") ||
		 strstr(response->error_text, "host name"))
		next_step = "give --server with a host name that is in that certificate";
	failure_set_of(failure, FAILURE_OF_CA, next_step,
		       "the TLS certificate of %s is not trusted: %s", url, response->error_text);
}

/* The proxy that libcurl takes from the environment; NULL: none. */
static const char *find_proxy(void)
{
	static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
	const char *value;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		value = getenv(names[i]);
		if (value && *value)
			return value;
	}
	return NULL;
}

/* Where a proxy stands between us and the CA, it is the first suspect. */
static void suspect_proxy(struct failure *failure, const struct http_response *response)
{
	const char *proxy = find_proxy();

	if (!proxy ||
	    (response->error != HTTP_NOT_RESOLVED && response->error != HTTP_NOT_CONNECTED &&
	     response->error != HTTP_TIMED_OUT && response->error != HTTP_BROKEN))
		return;
	snprintf(failure->next_step, sizeof(failure->next_step),
		 "this host goes through the proxy %s (https_proxy or all_proxy in the "
		 "environment): check that it is up and lets this host out, or unset it",
		 proxy);
}

void problem_explain_transport(struct failure *failure, const struct http_response *response,
			       const char *url)
{
	const char *text = response->error_text;

	failure->is_unsent =
		response->error == HTTP_NOT_RESOLVED || response->error == HTTP_NOT_CONNECTED ||
		response->error == HTTP_UNTRUSTED || response->error == HTTP_CACERT_UNREADABLE ||
		response->error == HTTP_TLS_FAILED || response->error == HTTP_NO_RESOURCES;
	switch (response->error) {
	case HTTP_NOT_RESOLVED:
		failure_set_of(
			failure, FAILURE_OF_CA,
			"check the spelling of --server, and this host's DNS (/etc/resolv.conf)",
			"cannot resolve the host of %s: %s", url, text);
		break;
	case HTTP_NOT_CONNECTED:
		failure_set_of(
			failure, FAILURE_OF_CA,
			"check the host and port of --server, that the CA is up, and that no "
			"firewall blocks this host",
			"cannot connect to %s: %s", url, text);
		break;
	case HTTP_TIMED_OUT:
		failure_set_of(failure, FAILURE_OF_CA,
			       "try again later, or wait longer with --timeout SECONDS",
			       "no answer in time from %s: %s", url, text);
		break;
	case HTTP_UNTRUSTED:
		explain_untrusted(failure, response, url);
		break;
	case HTTP_CACERT_UNREADABLE:
		failure_set_of(failure, FAILURE_OF_CA,
			       "give --cacert a readable file of certificates in PEM",
			       "cannot read the trusted root certificates: %s", text);
		break;
	case HTTP_TLS_FAILED:
		failure_set_of(failure, FAILURE_OF_CA,
			       "check that --server names a port that speaks TLS",
			       "the TLS handshake with %s failed: %s", url, text);
		break;
	case HTTP_TOO_LARGE:
		failure_set_of(failure, FAILURE_OF_CA,
			       "check that --server is the URL of an ACME directory",
			       "the answer of %s is larger than any answer of ACME", url);
		break;
	case HTTP_NO_RESOURCES:
		failure_set_of(failure, FAILURE_OF_HOST,
			       "raise the limit of open files (ulimit -n) or free some memory",
			       "this host lacks what a connection to %s needs: %s", url, text);
		break;
	case HTTP_ANSWERED:
	case HTTP_BROKEN:
		failure_set_of(failure, FAILURE_OF_CA,
			       "try again; if that does not help, check --server",
			       "the connection to %s broke off: %s", url, text);
		break;
	}
	suspect_proxy(failure, response);
}

bool problem_is_pause(const json_t *problem)
{
	const char *detail = json_read_string(problem, "detail");

	return detail && strcasestr(detail, PAUSED_DETAIL);
}

/* Make the CA's Retry-After the next step: RFC 8555 section 6.6. */
static void set_wait(struct failure *failure, int64_t retry_after_s)
{
	char until[sizeof("2026-11-23 12:00:00 UTC")];
	struct tm utc;
	time_t moment;

	if (retry_after_s <= 0)
		return;
	if (retry_after_s > RETRY_AFTER_MAX_S)
		retry_after_s = RETRY_AFTER_MAX_S;
	moment = clock_now_s() + (time_t)retry_after_s;
	if (gmtime_r(&moment, &utc) &&
	    strftime(until, sizeof(until), "%Y-%m-%d %H:%M:%S UTC", &utc))
		snprintf(failure->next_step, sizeof(failure->next_step),
			 "wait until %s, as the CA asks, then run this again", until);
	failure->retry_after_s = retry_after_s;
}

/* The CA waits for an action of the operator's: where?  RFC 8555 sections 7.3.3 and 6.7. */
static void set_visit(struct failure *failure, const struct http_response *response,
		      const json_t *problem, const char *url)
{
	const char *place = json_read_url(problem, "instance");
	char *terms = NULL;
	size_t i;

	for (i = 0; !terms && i < HTTP_LINKS_MAX && response->links[i]; i++)
		link_header_read(&terms, 1, response->links[i], "terms-of-service", url);
	if (place || terms)
		snprintf(failure->next_step, sizeof(failure->next_step), "visit %s%s%s",
			 place ? place : terms,
			 place && terms ? "; the terms of service are at " : "",
			 place && terms ? terms : "");
	free(terms);
}

void problem_explain_response(struct failure *failure, const struct http_response *response,
			      json_t *problem, const char *url)
{
	enum failure_owner owner;

	if (problem && json_read_string(problem, "type")) {
		owner = problem_is_lost_account(problem) ? FAILURE_OF_ACCOUNT
							 : owner_of(most_telling(problem));
		if (owner == FAILURE_OF_NAME && response->status >= 500)
			owner = FAILURE_OF_CA;
		explain_problem(failure, problem, owner);
	} else if (response->status >= 300 && response->status < 400)
		failure_set_of(failure, FAILURE_OF_CA, "if that URL is right, give it as --server",
			       "%s redirects to %s, and ACME allows no redirect", url,
			       response->location ? response->location : "nowhere");
	else if (response->status >= 500 || response->status == 429)
		failure_set_of(failure, FAILURE_OF_CA, "try again later",
			       "the CA is down or overloaded: %s answered with status %ld", url,
			       response->status);
	else
		failure_set_of(failure, FAILURE_OF_CA,
			       "check that --server is the URL of an ACME directory",
			       "%s answered with status %ld and without an ACME error", url,
			       response->status);
	if (problem_is(problem, "userActionRequired"))
		set_visit(failure, response, problem, url);
	if ((response->status == 429 || response->status == 503) && !problem_is_pause(problem))
		set_wait(failure, response->retry_after_s);
}
