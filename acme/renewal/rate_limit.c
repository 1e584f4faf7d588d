/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/renewal/rate_limit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <libpsl.h>
#include <stdlib.h>
#include <string.h>
#include <wolfssl/wolfcrypt/sha256.h>

#include "acme/config/arguments.h"
#include "acme/util/token_bucket.h"
#include "acme/config/config.h"
#include "acme/util/failure.h"
#include "acme/protocol/order.h"
#include "acme/store/state.h"

#define US_PER_S INT64_C(1000000)

/* What a limit counts by. */
enum limit { LIMIT_ORDERS, LIMIT_DOMAIN, LIMIT_SET, LIMITS };

static const struct {
	const char *name; /* in the state; never to be changed */
	const char *words;
	size_t field; /* in struct config_section */
} limits[LIMITS] = {
	[LIMIT_ORDERS] = {"orders", "orders", offsetof(struct config_section, orders_limit)},
	[LIMIT_DOMAIN] = {"domain", "certificates of one registered domain",
			  offsetof(struct config_section, domain_limit)},
	[LIMIT_SET] = {"set", "certificates for the very same names",
		       offsetof(struct config_section, set_limit)},
};

/* As documented at https://letsencrypt.org/docs/rate-limits/ and .../docs/staging-environment/. */
static const struct {
	const char *server;
	const char *limits[LIMITS];
} known[] = {
	{"https://acme-v02.api.letsencrypt.org/directory", {"300/3h", "50/7d", "5/7d"}},
	{"https://acme-staging-v02.api.letsencrypt.org/directory",
	 {"1500/3h", "30000/7d", "30000/7d"}},
};

struct allowance {
	struct state *state;
	const struct arguments *arguments;
	psl_ctx_t *suffixes; /* NULL: there is no list, and a domain's are its last two labels */
};

int allowance_new(struct allowance **ret_allowance, struct state *state,
		  const struct arguments *arguments)
{
	struct allowance *allowance = calloc(1, sizeof(*allowance));

	if (!allowance)
		return -ENOMEM;
	allowance->state = state;
	allowance->arguments = arguments;
	allowance->suffixes = psl_latest(NULL);
	*ret_allowance = allowance;
	return 0;
}

void allowance_free(struct allowance *allowance)
{
	if (!allowance)
		return;
	psl_free(allowance->suffixes);
	free(allowance);
}

/* --- limits and what they count by -------------------------------------------------------------- */

static struct budget budget_of(const struct allowance *allowance, const char *server,
			       enum limit limit)
{
	const struct config *config = allowance->arguments->config;
	const struct config_section *ca = config ? config_ca(config, server) : NULL;
	const char *text =
		ca ? *(const char *const *)((const char *)ca + limits[limit].field) : NULL;
	struct budget budget = {0};
	size_t i;

	for (i = 0; !text && i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(known[i].server, server) == 0)
			text = known[i].limits[limit];
	if (text)
		budget_parse(&budget, text);
	return budget;
}

static const char *registered_domain(const struct allowance *allowance, const char *name)
{
	struct in6_addr address;
	const char *domain;

	/* An address stands for itself. */
	if (inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1)
		return name;
	domain = allowance->suffixes ? psl_registrable_domain(allowance->suffixes, name) : NULL;
	return domain ? domain : name;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

#define SCOPES_MAX (ORDER_NAMES_MAX + 2)

/* The buckets that an order takes from: a limit and what it counts by. */
struct scopes {
	char set[2 * WC_SHA256_DIGEST_SIZE + 1];
	size_t count;
	struct {
		enum limit limit;
		const char *account; /* "": it is counted whatever the account */
		const char *scope;
	} list[SCOPES_MAX];
};

static void add_scope(struct scopes *scopes, enum limit limit, const char *account,
		      const char *scope)
{
	scopes->list[scopes->count].limit = limit;
	scopes->list[scopes->count].account = account;
	scopes->list[scopes->count++].scope = scope;
}

/* The same names in any order are the same set: a fingerprint of them, sorted. */
static int hash_set(char ret_text[2 * WC_SHA256_DIGEST_SIZE + 1], const char **names, size_t count)
{
	uint8_t digest[WC_SHA256_DIGEST_SIZE];
	wc_Sha256 sha;
	int bad;
	size_t i;

	if (wc_InitSha256(&sha))
		return -ENOMEM;
	bad = 0;
	for (i = 0; i < count; i++)
		bad |= wc_Sha256Update(&sha, (const byte *)names[i], (word32)strlen(names[i]) + 1);
	bad |= wc_Sha256Final(&sha, digest);
	wc_Sha256Free(&sha);
	for (i = 0; i < sizeof(digest); i++)
		snprintf(ret_text + 2 * i, 3, "%02x", digest[i]);
	return bad ? -EIO : 0;
}

static int find_scopes(struct scopes *scopes, const struct allowance *allowance,
		       const struct allowance_order *order)
{
	const char *names[ORDER_NAMES_MAX], *domain, *last = NULL;
	size_t count = order->identifiers->count, i;

	*scopes = (struct scopes){0};
	if (count > ORDER_NAMES_MAX)
		count = ORDER_NAMES_MAX;
	for (i = 0; i < count; i++)
		names[i] = order->identifiers->items[i];
	qsort(names, count, sizeof(*names), compare);
	add_scope(scopes, LIMIT_ORDERS, order->account, "");
	add_scope(scopes, LIMIT_SET, "", scopes->set);
	if (hash_set(scopes->set, names, count))
		return -EIO;
	for (i = 0; i < count; i++)
		names[i] = registered_domain(allowance, names[i]);
	qsort(names, count, sizeof(*names), compare);
	for (i = 0; i < count; i++) {
		domain = names[i];
		if (!last || strcmp(domain, last) != 0)
			add_scope(scopes, LIMIT_DOMAIN, "", domain);
		last = domain;
	}
	return 0;
}

/* --- asking and taking -------------------------------------------------------------------------- */

int allowance_orders(struct allowance *allowance, const char *server, const char *account,
		     int64_t now_s, size_t *ret_count, bool *ret_is_held, int64_t *ret_next_s)
{
	const struct budget budget = budget_of(allowance, server, LIMIT_ORDERS);
	int64_t full_at_us = 0, held_s = 0;
	int error;

	error = state_hold_read(allowance->state, server, account, &held_s);
	if (!error && budget.count)
		error = state_bucket_read(allowance->state, server, account,
					  limits[LIMIT_ORDERS].name, "", &full_at_us);
	if (error)
		return error;
	*ret_is_held = held_s > now_s;
	*ret_count = held_s > now_s ? 0 : budget_left(&budget, full_at_us, now_s * US_PER_S);
	*ret_next_s = budget_next_us(&budget, full_at_us) / US_PER_S + 1;
	if (*ret_next_s < held_s)
		*ret_next_s = held_s;
	return 0;
}

static void explain_limit(struct failure *failure, enum limit limit, const struct budget *budget,
			  const char *scope)
{
	failure_set(failure,
		    "nothing is to be done: it is ordered as soon as the limit allows; `sidestep "
		    "plan` shows when",
		    "the CA's limit of %u %s in %lld hours leaves none now%s%s", budget->count,
		    limits[limit].words, (long long)budget->window_s / 3600,
		    limit == LIMIT_DOMAIN ? ": " : "", limit == LIMIT_DOMAIN ? scope : "");
}

int allowance_when(struct allowance *allowance, const struct allowance_order *order, int64_t now_s,
		   int64_t *ret_at_s, struct failure *failure)
{
	int64_t full_at_us, at_s = 0, held_s = 0;
	struct budget budget;
	struct scopes scopes;
	int error;
	size_t i;

	error = state_hold_read(allowance->state, order->server, order->account, &held_s);
	if (!error)
		error = find_scopes(&scopes, allowance, order);
	if (error)
		return error;
	if (held_s > now_s) {
		failure_set(failure, NULL, "the CA has asked to wait");
		at_s = held_s;
	}
	for (i = 0; !error && i < scopes.count; i++) {
		budget = budget_of(allowance, order->server, scopes.list[i].limit);
		if (!budget.count)
			continue;
		error = state_bucket_read(allowance->state, order->server, scopes.list[i].account,
					  limits[scopes.list[i].limit].name, scopes.list[i].scope,
					  &full_at_us);
		if (error || budget_left(&budget, full_at_us, now_s * US_PER_S))
			continue;
		explain_limit(failure, scopes.list[i].limit, &budget, scopes.list[i].scope);
		if (at_s < budget_next_us(&budget, full_at_us) / US_PER_S + 1)
			at_s = budget_next_us(&budget, full_at_us) / US_PER_S + 1;
	}
	*ret_at_s = at_s;
	return error;
}

int allowance_take(struct allowance *allowance, const struct allowance_order *order, int64_t now_s)
{
	struct budget budget;
	struct scopes scopes;
	int64_t full_at_us;
	int error;
	size_t i;

	error = find_scopes(&scopes, allowance, order);
	if (error)
		return error;
	for (i = 0; !error && i < scopes.count; i++) {
		const char *name = limits[scopes.list[i].limit].name;
		const char *account = scopes.list[i].account, *scope = scopes.list[i].scope;

		budget = budget_of(allowance, order->server, scopes.list[i].limit);
		if (!budget.count)
			continue;
		error = state_bucket_read(allowance->state, order->server, account, name, scope,
					  &full_at_us);
		if (!error)
			error = state_bucket_write(
				allowance->state, order->server, account, name, scope,
				budget_take(&budget, full_at_us, now_s * US_PER_S));
	}
	return error;
}

json_t *allowance_describe(struct allowance *allowance, const char *server, const char *account,
			   int64_t now_s)
{
	const struct budget budget = budget_of(allowance, server, LIMIT_ORDERS);
	int64_t held_s = 0, next_s;
	bool is_held;
	size_t left;

	if (state_hold_read(allowance->state, server, account, &held_s) ||
	    allowance_orders(allowance, server, account, now_s, &left, &is_held, &next_s))
		return NULL;
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "server", server, "account",
			 account, "now", (json_int_t)now_s, "orders_limit",
			 (json_int_t)budget.count, "window", (json_int_t)budget.window_s, "left",
			 (json_int_t)(budget.count ? left : 0), "next", (json_int_t)next_s,
			 "held_until", (json_int_t)(held_s > now_s ? held_s : 0));
}
