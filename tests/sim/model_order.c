// SPDX-License-Identifier: GPL-3.0-or-later
/* The model CA's orders: RFC 8555 sections 7.1.6 and 7.4. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/model_internal.h"

#define ORDER_LIFE_S (7 * 86400)

struct model_order *model_order_by_id(struct model_ca *ca, uint64_t id)
{
	struct model_order *order;

	for (order = TAILQ_LAST(&ca->orders, model_orders); order;
	     order = TAILQ_PREV(order, model_orders, link))
		if (order->id == id)
			return order;
	return NULL;
}

static void order_free(struct model_order *order)
{
	X509_REQ_free(order->request);
	json_decref(order->error);
	free(order->authorizations);
	free(order->profile);
	free(order->names);
	free(order);
}

void model_orders_free(struct model_ca *ca)
{
	struct model_order *order;

	while ((order = TAILQ_FIRST(&ca->orders))) {
		TAILQ_REMOVE(&ca->orders, order, link);
		order_free(order);
	}
}

static bool is_final(const struct model_order *order)
{
	return order->status == STATUS_VALID || order->status == STATUS_INVALID;
}

static bool same_names(const struct model_order *a, const struct model_order *b)
{
	size_t i;

	if (a->name_count != b->name_count)
		return false;
	for (i = 0; i < a->name_count; i++)
		if (strcmp(a->names[i], b->names[i]) != 0)
			return false;
	return true;
}

/* --- states ----------------------------------------------------------------------------------- */

static void enter(struct model_order *order, enum model_status status)
{
	order->old_status = order->status;
	order->status = status;
	order->changed_s = model_now(order->ca);
}

static void fail(struct model_order *order, const char *type, const char *detail)
{
	json_decref(order->error);
	order->error = model_problem(type, detail);
	enter(order, STATUS_INVALID);
}

void model_order_look(struct model_order *order)
{
	int64_t now_s = model_now(order->ca);
	size_t valid = 0, i;

	if (!is_final(order) && order->status != STATUS_PROCESSING && order->expires_s <= now_s)
		fail(order, "malformed", "the order has expired");
	if (order->status != STATUS_PENDING)
		return;
	for (i = 0; i < order->name_count; i++) {
		if (order->authorizations[i]->status == STATUS_INVALID ||
		    order->authorizations[i]->status == STATUS_DEACTIVATED) {
			enter(order, STATUS_INVALID);
			return;
		}
		valid += order->authorizations[i]->status == STATUS_VALID;
	}
	if (valid == order->name_count)
		enter(order, STATUS_READY);
}

static json_t *identifiers_of(const struct model_order *order)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < order->name_count; i++)
		json_array_append_new(
			array, json_pack("{s:s, s:s}", "type", "dns", "value", order->names[i]));
	return array;
}

static json_t *authorizations_of(const struct model_order *order)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < order->name_count; i++)
		json_array_append_new(
			array, json_sprintf("%s/authorization/%llu", order->ca->options.base,
					    (unsigned long long)order->authorizations[i]->id));
	return array;
}

static void reply_order(struct model_call *call, long status, const struct model_order *order)
{
	const struct model_trouble *old =
		call->resource == RESOURCE_ORDER
			? model_trouble(call->ca, TROUBLE_OLD_STATE, call->resource)
			: NULL;
	enum model_status shown = order->status;
	json_t *object;

	if (old && model_now(call->ca) < order->changed_s + old->value)
		shown = order->old_status;
	object = json_pack("{s:s, s:o, s:o, s:o}", "status", model_status_name(shown),
			   "identifiers", identifiers_of(order), "authorizations",
			   authorizations_of(order), "finalize",
			   json_sprintf("%s/finalize/%llu", order->ca->options.base,
					(unsigned long long)order->id));
	if (shown == STATUS_INVALID && order->error)
		json_object_set(object, "error", order->error);
	if (shown == STATUS_VALID)
		json_object_set_new(object, "certificate",
				    json_sprintf("%s/certificate/%s", order->ca->options.base,
						 order->certificate->serial));
	if (order->profile)
		json_object_set_new(object, "profile", json_string(order->profile));
	model_reply(call, status, object);
}

/* --- newOrder --------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool read_names(struct model_order *order, const json_t *identifiers)
{
	size_t count = json_array_size(identifiers), i;
	const char *value, *type;

	if (!count || count > MODEL_NAMES_MAX)
		return false;
	order->names = calloc(count, sizeof(*order->names));
	order->authorizations = calloc(count, sizeof(struct model_authorization *));
	if (!order->names || !order->authorizations)
		abort();
	for (i = 0; i < count; i++) {
		const json_t *identifier = json_array_get(identifiers, i);

		type = json_string_value(json_object_get(identifier, "type"));
		value = json_string_value(json_object_get(identifier, "value"));
		if (!type || !value || strcmp(type, "dns") != 0 ||
		    strlen(value) >= MODEL_NAME_MAX || strchr(value, '*'))
			return false;
		strcpy(order->names[i], value);
	}
	qsort(order->names, count, sizeof(*order->names), compare_names);
	for (i = 1; i < count; i++)
		if (strcmp(order->names[i - 1], order->names[i]) == 0)
			return false;
	order->name_count = count;
	return true;
}

static bool shares_a_name(const struct model_order *order, const struct model_certificate *other)
{
	size_t i, k;

	for (i = 0; i < order->name_count; i++)
		for (k = 0; k < other->name_count; k++)
			if (strcmp(order->names[i], other->names[k]) == 0)
				return true;
	return false;
}

/* RFC 9773 section 5.  False: the answer is made. */
static bool read_replaces(struct model_call *call, struct model_order *order)
{
	const char *text = json_string_value(json_object_get(call->payload, "replaces"));
	struct model_certificate *replaced = text ? model_by_ari_id(call->ca, text) : NULL;
	int64_t now_s = model_now(call->ca);

	if (!text || call->ca->options.quirks.no_ari)
		return true;
	if (!replaced)
		model_refuse(call, 404, "malformed", "replaces: no such certificate");
	else if (replaced->account != call->account->id)
		model_refuse(call, 403, "unauthorized", "replaces: not this account's");
	else if (!shares_a_name(order, replaced))
		model_refuse(call, 400, "malformed", "replaces: no name in common");
	else if (replaced->replaced)
		model_refuse(call, 409, "alreadyReplaced", "%s was replaced already", text);
	else {
		order->replaces = replaced;
		order->is_exempt = now_s >= replaced->window_start_s;
		return true;
	}
	return false;
}

static bool read_profile(struct model_call *call, struct model_order *order)
{
	const char *profile = json_string_value(json_object_get(call->payload, "profile"));

	if (profile && strcmp(profile, "classic") != 0 && strcmp(profile, "tlsserver") != 0 &&
	    strcmp(profile, "shortlived") != 0) {
		model_refuse(call, 400, "invalidProfile", "no such profile: %s", profile);
		return false;
	}
	order->profile = profile ? strdup(profile) : NULL;
	return true;
}

static struct model_order *find_pending(struct model_ca *ca, const struct model_order *like)
{
	struct model_order *order;

	for (order = TAILQ_LAST(&ca->orders, model_orders); order;
	     order = TAILQ_PREV(order, model_orders, link)) {
		if (order->account != like->account || !same_names(order, like))
			continue;
		model_order_look(order);
		if (order->status == STATUS_PENDING || order->status == STATUS_READY)
			return order;
	}
	return NULL;
}

static void add_order(struct model_call *call, struct model_order *order)
{
	struct model_ca *ca = call->ca;
	size_t i;

	order->id = ++ca->next_id;
	order->made_s = order->changed_s = model_now(ca);
	order->expires_s = order->made_s + ORDER_LIFE_S;
	for (i = 0; i < order->name_count; i++)
		order->authorizations[i] = model_authorize(ca, order->account, order->names[i]);
	TAILQ_INSERT_TAIL(&ca->orders, order, link);
	ca->counts.orders++;
	model_count_order(order);
	model_order_look(order);
	model_log(ca, "order %llu for %s and %zu more%s%s", (unsigned long long)order->id,
		  order->names[0], order->name_count - 1, order->replaces ? ", replaces " : "",
		  order->replaces ? order->replaces->serial : "");
}

void model_answer_new_order(struct model_call *call)
{
	struct model_order *order = calloc(1, sizeof(*order)), *pending;

	if (!order)
		abort();
	order->ca = call->ca;
	order->account = call->account;
	if (!call->account || !read_names(order, json_object_get(call->payload, "identifiers"))) {
		model_refuse(call, 400, "malformed", "cannot read the order");
		order_free(order);
		return;
	}
	pending = call->ca->options.quirks.reuses_orders ? find_pending(call->ca, order) : NULL;
	if (pending) {
		call->ca->counts.reused++;
		model_set_location(call, "order", pending->id);
		reply_order(call, 200, pending);
		order_free(order);
		return;
	}
	order->is_renewal = model_is_renewal(order);
	if (!read_replaces(call, order) || !read_profile(call, order) ||
	    !model_within_limits(call, order)) {
		order_free(order);
		return;
	}
	add_order(call, order);
	model_set_location(call, "order", order->id);
	reply_order(call, 201, order);
}

/* --- an order --------------------------------------------------------------------------------- */

/* A client leaves an order alone once it has made a newer one for the same names. */
static void check_is_newest(const struct model_order *order)
{
	const struct model_order *newer;

	for (newer = TAILQ_NEXT(order, link); newer; newer = TAILQ_NEXT(newer, link))
		if (newer->account == order->account && same_names(newer, order) &&
		    !is_final(newer) && !is_final(order))
			model_violated(order->ca,
				       "orders %llu and %llu for %s are under way at once",
				       (unsigned long long)order->id, (unsigned long long)newer->id,
				       order->names[0]);
}

/* The order of the URL, as far as this replica knows it.  NULL: the answer is made. */
static struct model_order *find_order(struct model_call *call)
{
	struct model_order *order = model_order_by_id(call->ca, call->id);
	const struct model_trouble *stale = model_trouble(call->ca, TROUBLE_STALE, call->resource);

	if (order && stale && model_now(call->ca) < order->made_s + stale->value)
		order = NULL;
	if (order && order->account == call->account) {
		check_is_newest(order);
		model_order_look(order);
		return order;
	}
	model_refuse(call, 404, "malformed", "no order %llu for this account",
		     (unsigned long long)call->id);
	return NULL;
}

void model_answer_order(struct model_call *call)
{
	struct model_order *order = find_order(call);

	if (!order)
		return;
	reply_order(call, 200, order);
	if (order->status == STATUS_PROCESSING)
		strcpy(call->answer->retry_after, "3");
}

/* --- finalize --------------------------------------------------------------------------------- */

static void issue(void *argument)
{
	struct model_order *order = argument;
	const struct model_host *host = &order->ca->options.host;

	if (model_trouble(order->ca, TROUBLE_NO_ISSUE, RESOURCE_FINALIZE)) {
		fail(order, "serverInternal", "Error finalizing order");
		return;
	}
	order->certificate = model_issue(order);
	if (!order->certificate) {
		fail(order, "badCSR", "cannot issue this");
		return;
	}
	order->ca->counts.issued++;
	model_count_certificate(order);
	if (order->replaces)
		order->replaces->replaced = true;
	enter(order, STATUS_VALID);
	model_log(order->ca, "order %llu: certificate %s is issued", (unsigned long long)order->id,
		  order->certificate->serial);
	host->issued(host->context, order->certificate);
}

static bool read_request(struct model_call *call, struct model_order *order)
{
	const char *text = json_string_value(json_object_get(call->payload, "csr"));
	size_t size = text ? strlen(text) : 0;
	uint8_t *der = malloc(size + 1);
	const uint8_t *at = der;

	if (!der)
		abort();
	size = text ? model_base64url_decode(der, size, text) : 0;
	X509_REQ_free(order->request);
	order->request = size ? d2i_X509_REQ(NULL, &at, (long)size) : NULL;
	free(der);
	return order->request && model_request_fits(order->request, order);
}

static void finalize(struct model_call *call, struct model_order *order)
{
	const struct model_host *host = &order->ca->options.host;
	const struct model_trouble *slow =
		model_trouble(call->ca, TROUBLE_PROCESSING, RESOURCE_FINALIZE);

	enter(order, STATUS_PROCESSING);
	if (slow)
		host->later(host->context, (uint64_t)slow->value * 1000, issue, order);
	else
		issue(order);
	if (!call->ca->options.quirks.no_finalize_location)
		model_set_location(call, "order", order->id);
	if (call->ca->options.quirks.empty_bodies)
		model_reply_empty(call, 200);
	else
		reply_order(call, 200, order);
	if (order->status == STATUS_PROCESSING)
		strcpy(call->answer->retry_after, "3");
}

void model_answer_finalize(struct model_call *call)
{
	struct model_order *order = find_order(call);

	if (!order)
		return;
	if (order->status == STATUS_READY && call->ca->options.quirks.not_ready_once &&
	    !order->was_not_ready) {
		order->was_not_ready = true;
		model_refuse(call, 403, "orderNotReady", "Order's status (\"pending\")");
	} else if (order->status != STATUS_READY) {
		model_refuse(call, 403, "orderNotReady",
			     "Order's status (\"%s\") is not acceptable for finalization",
			     model_status_name(order->status));
	} else if (!read_request(call, order)) {
		model_refuse(call, 400, "badCSR", "the request does not fit the order");
	} else {
		finalize(call, order);
	}
}
