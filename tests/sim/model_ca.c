// SPDX-License-Identifier: GPL-3.0-or-later
/* The model CA as a whole: its life, its answers, and the way from a URL to who answers it. */
#include "tests/sim/model_ca.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/model_internal.h"

#define DELAY_LEAST_MS 10
#define DELAY_MOST_MS  150

int64_t model_now(const struct model_ca *ca)
{
	return ca->options.host.now_s(ca->options.host.context);
}

const char *model_status_name(enum model_status status)
{
	static const char *const names[] = {"pending", "ready",   "processing",
					    "valid",   "invalid", "deactivated"};

	return names[status];
}

void model_log(const struct model_ca *ca, const char *format, ...)
{
	char text[2 * MODEL_DETAIL_MAX];
	va_list arguments;
	int size;

	if (!ca->options.host.logs(ca->options.host.context))
		return;
	size = snprintf(text, sizeof(text), "%s: ", ca->options.name);
	va_start(arguments, format);
	vsnprintf(text + size, sizeof(text) - (size_t)size, format, arguments);
	va_end(arguments);
	ca->options.host.log(ca->options.host.context, text);
}

void model_violated(const struct model_ca *ca, const char *format, ...)
{
	char text[2 * MODEL_DETAIL_MAX];
	va_list arguments;
	int size;

	size = snprintf(text, sizeof(text), "%s: ", ca->options.name);
	va_start(arguments, format);
	vsnprintf(text + size, sizeof(text) - (size_t)size, format, arguments);
	va_end(arguments);
	ca->options.host.violated(ca->options.host.context, text);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void set_body(struct model_call *call, const char *type, char *text)
{
	struct model_answer *answer = call->answer;

	free(answer->body);
	answer->body = text;
	answer->body_size = text ? strlen(text) : 0;
	snprintf(answer->content_type, sizeof(answer->content_type), "%s", type);
}

void model_reply(struct model_call *call, long status, json_t *object)
{
	call->answer->status = status;
	set_body(call, "application/json", json_dumps(object, JSON_COMPACT));
	json_decref(object);
}

void model_reply_empty(struct model_call *call, long status)
{
	call->answer->status = status;
}

json_t *model_problem(const char *type, const char *detail)
{
	return json_pack("{s:s+, s:s}", "type", URN, type, "detail", detail);
}

void model_refuse(struct model_call *call, long status, const char *type, const char *format, ...)
{
	char detail[MODEL_DETAIL_MAX];
	va_list arguments;
	json_t *problem;

	va_start(arguments, format);
	vsnprintf(detail, sizeof(detail), format, arguments);
	va_end(arguments);
	/* A signature by a key of yesterday is no malformed request, though it is called so. */
	if (status == 400 && strcmp(type, "malformed") == 0 && !strstr(detail, "verification"))
		call->ca->counts.bad_requests++;
	model_log(call->ca, "%s: %ld %s: %s", call->path, status, type, detail);
	problem = model_problem(type, detail);
	json_object_set_new(problem, "status", json_integer(status));
	model_reply(call, status, problem);
	strcpy(call->answer->content_type, "application/problem+json");
}

char *model_url(const struct model_ca *ca, const char *kind, uint64_t id, const char *rest)
{
	char *url;

	if (asprintf(&url, "%s/%s/%llu%s", ca->options.base, kind, (unsigned long long)id, rest) <
	    0)
		abort();
	return url;
}

void model_set_location(struct model_call *call, const char *kind, uint64_t id)
{
	snprintf(call->answer->location, sizeof(call->answer->location), "%s/%s/%llu",
		 call->ca->options.base, kind, (unsigned long long)id);
}

void model_answer_done(struct model_answer *answer)
{
	free(answer->body);
	answer->body = NULL;
}

/* --- resources -------------------------------------------------------------------------------- */

static json_t *url_of(const struct model_ca *ca, const char *path)
{
	return json_sprintf("%s%s", ca->options.base, path);
}

static void answer_directory(struct model_call *call)
{
	const struct model_ca *ca = call->ca;
	const struct model_quirks *quirks = &ca->options.quirks;
	json_t *meta = json_pack("{s:o, s:{s:s, s:s, s:s}}", "termsOfService", url_of(ca, "/terms"),
				 "profiles", "classic", "as ever", "tlsserver", "45 days",
				 "shortlived", "6 days");
	json_t *object = json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o}", "newNonce", url_of(ca, "/nonce"), "newAccount",
		url_of(ca, "/account/new"), "newOrder", url_of(ca, "/order/new"), "revokeCert",
		url_of(ca, "/revoke"), "keyChange", url_of(ca, "/key-change"), "meta", meta);

	if (!quirks->no_caa_identities)
		json_object_set_new(meta, "caaIdentities", json_pack("[s]", ca->options.name));
	if (quirks->wants_binding || quirks->wants_binding_always)
		json_object_set_new(meta, "externalAccountRequired", json_true());
	if (!quirks->no_ari)
		json_object_set_new(object, "renewalInfo", url_of(ca, "/renewal-info"));
	model_reply(call, 200, object);
}

static void answer_nonce(struct model_call *call)
{
	call->answer->status = call->request->method == MODEL_HEAD ? 200 : 204;
	model_nonce_make(call->ca, call->answer->nonce);
}

static const struct route {
	const char *path; /* what it begins with; one that ends in a slash has an id behind it */
	enum model_resource resource;
	bool is_signed;
	void (*answer)(struct model_call *call);
} routes[] = {
	{"/directory", RESOURCE_DIRECTORY, false, answer_directory},
	{"/nonce", RESOURCE_NONCE, false, answer_nonce},
	{"/account/new", RESOURCE_ACCOUNT, true, model_answer_new_account},
	{"/account/", RESOURCE_ACCOUNT, true, model_answer_account},
	{"/key-change", RESOURCE_KEY_CHANGE, true, model_answer_key_change},
	{"/order/new", RESOURCE_NEW_ORDER, true, model_answer_new_order},
	{"/order/", RESOURCE_ORDER, true, model_answer_order},
	{"/finalize/", RESOURCE_FINALIZE, true, model_answer_finalize},
	{"/authorization/", RESOURCE_AUTHORIZATION, true, model_answer_authorization},
	{"/challenge/", RESOURCE_CHALLENGE, true, model_answer_challenge},
	{"/certificate/", RESOURCE_CERTIFICATE, true, model_answer_certificate},
	{"/revoke", RESOURCE_REVOKE, true, model_answer_revoke},
	{"/renewal-info/", RESOURCE_RENEWAL_INFO, false, model_answer_renewal_info},
};

static const struct route *find_route(struct model_call *call)
{
	size_t i, length;

	for (i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
		length = strlen(routes[i].path);
		if (strncmp(call->path, routes[i].path, length) != 0)
			continue;
		if (routes[i].path[length - 1] == '/') {
			call->rest = call->path + length;
			call->id = strtoull(call->rest, NULL, 10);
			return &routes[i];
		}
		if (!call->path[length])
			return &routes[i];
	}
	return NULL;
}

static void answer_call(struct model_call *call)
{
	const struct route *route = find_route(call);

	if (!route) {
		model_refuse(call, 404, "malformed", "no such page");
		return;
	}
	call->resource = route->resource;
	if (model_trouble_before(call))
		return;
	if (route->is_signed != (call->request->method == MODEL_POST)) {
		model_refuse(call, 405, "malformed", "the method is not allowed");
		return;
	}
	if (!route->is_signed || model_authenticate(call))
		route->answer(call);
	if (route->is_signed && !*call->answer->nonce && call->answer->status < 500)
		model_nonce_make(call->ca, call->answer->nonce);
	model_trouble_after(call);
}

static void call_done(struct model_call *call)
{
	json_decref(call->payload);
	free(call->payload_text);
	json_decref(call->jwk);
	if (!call->account)
		EVP_PKEY_free(call->key);
}

void model_ca_answer(struct model_ca *ca, const struct model_request *request,
		     struct model_answer *ret_answer)
{
	struct model_call call = {.ca = ca,
				  .request = request,
				  .path = request->url + strlen(ca->options.base),
				  .answer = ret_answer};

	*ret_answer = (struct model_answer){
		.delay_ms = (uint32_t)dice_between(&ca->dice, DELAY_LEAST_MS, DELAY_MOST_MS)};
	ca->counts.requests++;
	answer_call(&call);
	call_done(&call);
}

/* --- as a whole ------------------------------------------------------------------------------- */

struct model_ca *model_ca_new(const struct model_options *options)
{
	struct model_ca *ca = calloc(1, sizeof(*ca));

	if (!ca)
		return NULL;
	ca->options = *options;
	snprintf(ca->base, sizeof(ca->base), "%s", options->base);
	snprintf(ca->name, sizeof(ca->name), "%s", options->name);
	ca->options.base = ca->base;
	ca->options.name = ca->name;
	ca->dice = dice_split(options->seed, 0xca);
	snprintf(ca->directory, sizeof(ca->directory), "%s/directory", options->base);
	TAILQ_INIT(&ca->accounts);
	TAILQ_INIT(&ca->authorizations);
	TAILQ_INIT(&ca->orders);
	TAILQ_INIT(&ca->buckets);
	TAILQ_INIT(&ca->refusals);
	if (model_issuer_make(ca))
		return ca;
	model_ca_free(ca);
	return NULL;
}

void model_ca_free(struct model_ca *ca)
{
	if (!ca)
		return;
	model_orders_free(ca);
	model_authorizations_free(ca);
	model_accounts_free(ca);
	model_certificates_free(ca);
	model_limits_free(ca);
	X509_free(ca->issuer);
	X509_free(ca->other_issuer);
	EVP_PKEY_free(ca->key);
	free(ca);
}

bool model_ca_is_at(const struct model_ca *ca, const char *url)
{
	size_t length = strlen(ca->options.base);

	return strncmp(url, ca->options.base, length) == 0 && url[length] == '/';
}

bool model_ca_has_ari(const struct model_ca *ca)
{
	return !ca->options.quirks.no_ari;
}

const char *model_ca_name(const struct model_ca *ca)
{
	return ca->options.name;
}

const char *model_ca_directory_url(const struct model_ca *ca)
{
	return ca->directory;
}

const struct model_counts *model_ca_counts(const struct model_ca *ca)
{
	return &ca->counts;
}

const struct model_certificate *model_ca_newest(const struct model_ca *ca)
{
	return ca->certificates;
}

const struct model_certificate *model_ca_find(const struct model_ca *ca, const char *serial)
{
	const struct model_certificate *certificate;

	for (certificate = ca->certificates; certificate; certificate = certificate->next)
		if (strcasecmp(certificate->serial, serial) == 0)
			return certificate;
	return NULL;
}

void model_ca_set_life(struct model_ca *ca, int64_t life_s)
{
	ca->options.life_s = life_s;
}

void model_ca_forget_accounts(struct model_ca *ca)
{
	struct model_account *account;

	/* Orders still point at them, so they stay, with keys that no signature fits. */
	for (account = TAILQ_FIRST(&ca->accounts); account; account = TAILQ_NEXT(account, link)) {
		account->id = ++ca->next_id;
		account->thumbprint[0] = '\0';
	}
}
