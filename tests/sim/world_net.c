// SPDX-License-Identifier: GPL-3.0-or-later
/* The net: requests to the CAs, the validators' connections, the DNS. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/identifier.h"
#include "tests/sim/invariants.h"
#include "tests/sim/world_internal.h"

#define DIGESTS_MAX 4

/* --- requests --------------------------------------------------------------------------------- */

/* As libcurl reads Retry-After: seconds, or a date, and nothing else. */
static int64_t read_retry_after(const char *text)
{
	char *end;
	long long seconds = strtoll(text, &end, 10);
	time_t date;

	if (!*text)
		return 0;
	if (end != text && !*end)
		return seconds > 0 ? seconds : 0;
	date = curl_getdate(text, NULL);
	return date > sim_wall_s() ? date - sim_wall_s() : 0;
}

static const char *text_or_null(const char *text)
{
	return *text ? text : NULL;
}

static void deliver(struct sim_call *call, const struct model_answer *answer)
{
	struct sim_reply reply = {
		.status = answer->status,
		.content_type = text_or_null(answer->content_type),
		.location = text_or_null(answer->location),
		.nonce = text_or_null(answer->nonce),
		.body = answer->body,
		.body_size = answer->body_size,
		.retry_after_s = read_retry_after(answer->retry_after),
	};
	size_t i;

	for (i = 0; i < answer->link_count; i++)
		reply.links[i] = answer->links[i];
	if (answer->delivery == MODEL_NO_CONNECTION)
		reply = (struct sim_reply){.error = HTTP_NOT_CONNECTED};
	else if (answer->delivery == MODEL_CUT_OFF)
		reply = (struct sim_reply){.error = HTTP_BROKEN};
	sim_answer(call, answer->delay_ms, &reply);
}

void world_transport(void *context, struct sim_call *call)
{
	struct world *world = context;
	struct model_request request = {
		.method = call->method == HTTP_POST   ? MODEL_POST
			  : call->method == HTTP_HEAD ? MODEL_HEAD
						      : MODEL_GET,
		.url = call->url,
		.body = call->body,
		.by_operator = call->from != world->daemon,
	};
	struct model_answer answer;
	size_t i;

	for (i = 0; i < world->ca_count; i++)
		if (model_ca_is_at(world->cas[i], call->url))
			break;
	if (i == world->ca_count) {
		sim_answer(call, 1, &(struct sim_reply){.error = HTTP_NOT_RESOLVED});
		return;
	}
	model_ca_answer(world->cas[i], &request, &answer);
	if (world->on_request)
		world->on_request(world, call->url);
	if (answer.delivery != MODEL_NO_ANSWER)
		deliver(call, &answer);
	model_answer_done(&answer);
}

/* --- the DNS ---------------------------------------------------------------------------------- */

void world_dns(void *context, const struct sim_question *question, struct sim_dns *ret_answer)
{
	static struct dns_address address = {.family = AF_INET};
	static char tag[] = "issue", nobody[] = ";";
	static struct caa_record record = {.tag = tag, .value = nobody, .value_size = 1};
	const struct world *world = context;

	address.ipv4.s_addr = htonl(0xc0000201); /* 192.0.2.1 */
	ret_answer->delay_ms = 1;
	ret_answer->status = DNS_NO_DATA;
	if (strcmp(question->name, world->missing) == 0 ||
	    strcmp(question->name, world->hidden) == 0) {
		ret_answer->status = DNS_NO_NAME;
	} else if (question->type == DNS_A) {
		ret_answer->status = DNS_FOUND;
		ret_answer->addresses = &address;
		ret_answer->count = 1;
	} else if (question->type == DNS_CAA && strcmp(question->name, world->forbidden) == 0) {
		ret_answer->status = DNS_FOUND;
		ret_answer->caa = &record;
		ret_answer->count = 1;
	}
}

/* --- port 443 --------------------------------------------------------------------------------- */

static bool is_armed(const char *name, const uint8_t digest[MODEL_DIGEST], size_t *ret_count)
{
	uint8_t digests[DIGESTS_MAX][CHALLENGE_DIGEST_SIZE];
	size_t count = sim_table_find(name, digests, DIGESTS_MAX), i;

	*ret_count = count;
	for (i = 0; i < count && i < DIGESTS_MAX; i++)
		if (memcmp(digests[i], digest, MODEL_DIGEST) == 0)
			return true;
	return false;
}

enum probe_kind world_probe(void *context, struct sim_process *from,
			    const struct identifier *identifier,
			    const uint8_t digest[CHALLENGE_DIGEST_SIZE], uint64_t *ret_delay_ms)
{
	const struct world *world = context;
	size_t count;

	(void)from;
	*ret_delay_ms = 1;
	if (world->responder_is_down)
		return PROBE_PRODUCTION;
	if (is_armed(identifier->value, digest, &count))
		return PROBE_RIGHT;
	return count ? PROBE_WRONG_CERTIFICATE : PROBE_PRODUCTION;
}

static void fail_validation(struct model_verdict *verdict, const char *problem, const char *detail)
{
	verdict->problem = problem;
	snprintf(verdict->detail, sizeof(verdict->detail), "%s", detail);
}

static void validate(void *context, const struct model_ca *ca, const char *name,
		     const char *account_url, const uint8_t digest[MODEL_DIGEST],
		     struct model_verdict *ret_verdict)
{
	const struct world *world = context;
	size_t count;

	(void)ca;
	(void)account_url;
	if (strcmp(name, world->missing) == 0)
		fail_validation(ret_verdict, "dns", "DNS problem: NXDOMAIN looking up A");
	else if (strcmp(name, world->unreachable) == 0)
		fail_validation(ret_verdict, "connection",
				"Timeout during connect (likely firewall problem)");
	else if (world->responder_is_down)
		fail_validation(ret_verdict, "unauthorized",
				"Cannot negotiate ALPN protocol \"acme-tls/1\"");
	else if (!is_armed(name, digest, &count))
		fail_validation(ret_verdict, "unauthorized",
				count ? "Incorrect validation certificate for tls-alpn-01 challenge"
				      : "Cannot negotiate ALPN protocol \"acme-tls/1\"");
	else if (strcmp(name, world->forbidden) == 0)
		fail_validation(ret_verdict, "caa", "CAA record prevents issuance");
}

/* --- what a CA asks --------------------------------------------------------------------------- */

static int64_t now_s(void *context)
{
	(void)context;
	return sim_true_s();
}

static void later(void *context, uint64_t delay_ms, void (*run)(void *argument), void *argument)
{
	(void)context;
	sim_after(delay_ms, run, argument);
}

static void violated(void *context, const char *text)
{
	invariants_violated(context, "%s", text);
}

static void log_line(void *context, const char *text)
{
	(void)context;
	sim_log("%s", text);
}

static void issued(void *context, const struct model_certificate *certificate)
{
	struct world *world = context;

	invariants_issued(world, certificate);
	if (world->on_issued)
		world->on_issued(world, certificate);
}

static bool is_logged(void *context)
{
	(void)context;
	return sim_logs();
}

void world_connect_ca(struct world *world, struct model_host *ret_host)
{
	*ret_host = (struct model_host){
		.context = world,
		.now_s = now_s,
		.later = later,
		.validate = validate,
		.issued = issued,
		.violated = violated,
		.log = log_line,
		.logs = is_logged,
	};
}
