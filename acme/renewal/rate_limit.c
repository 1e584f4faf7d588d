// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/rate_limit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <libpsl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/crypto/csr.h"
#include "acme/crypto/digest.h"
#include "acme/util/token_bucket.h"
#include "acme/config/config.h"
#include "acme/config/settings.h"
#include "acme/util/failure.h"
#include "acme/store/state.h"
#include "common/clock.h"

#define US_PER_S INT64_C(1000000)

/* What a limit counts by. */
enum limit { LIMIT_ORDERS, LIMIT_DOMAIN, LIMIT_SET, LIMIT_FAILURES, LIMITS };

#define NOT_CONFIGURED SIZE_MAX

static const struct {
	const char *name; /* in the state; never to be changed */
	const char *words;
	bool shows_scope;
	size_t field; /* in struct config_section, or NOT_CONFIGURED */
} limits[LIMITS] = {
	[LIMIT_ORDERS] = {"orders", "orders", false, offsetof(struct config_section, orders_limit)},
	[LIMIT_DOMAIN] = {"domain", "certificates of one registered domain", true,
			  offsetof(struct config_section, domain_limit)},
	[LIMIT_SET] = {"set", "certificates for the very same names", false,
		       offsetof(struct config_section, set_limit)},
	[LIMIT_FAILURES] = {"failures", "failed validations of one name", true, NOT_CONFIGURED},
};

/* As documented at https://letsencrypt.org/docs/rate-limits/ and .../docs/staging-environment/. */
static const struct {
	const char *server;
	const char *limits[LIMITS];
} known[] = {
	{"https://acme-v02.api.letsencrypt.org/directory", {"300/3h", "50/7d", "5/7d", "5/1h"}},
	{"https://acme-staging-v02.api.letsencrypt.org/directory",
	 {"1500/3h", "30000/7d", "30000/7d", "200/1h"}},
};

struct rate_limit {
	struct state *state;
	const struct settings *settings;
	psl_ctx_t *suffixes; /* NULL: there is no list, and a domain's are its last two labels */
};

int rate_limit_new(struct rate_limit **ret_rate_limit, struct state *state,
		   const struct settings *settings)
{
	struct rate_limit *rate_limit = calloc(1, sizeof(*rate_limit));

	if (!rate_limit)
		return -ENOMEM;
	rate_limit->state = state;
	rate_limit->settings = settings;
	rate_limit->suffixes = psl_latest(NULL);
	*ret_rate_limit = rate_limit;
	return 0;
}

void rate_limit_settings_changed(struct rate_limit *rate_limit, const struct settings *settings)
{
	rate_limit->settings = settings;
}

void rate_limit_free(struct rate_limit *rate_limit)
{
	if (!rate_limit)
		return;
	psl_free(rate_limit->suffixes);
	free(rate_limit);
}

/* --- limits and what they count by -------------------------------------------------------------- */

static struct token_bucket bucket_of(const struct rate_limit *rate_limit, const char *server,
				     enum limit limit)
{
	const struct config_section *ca = settings_ca_section(rate_limit->settings, server);
	const char *text = ca && limits[limit].field != NOT_CONFIGURED
				   ? *(const char *const *)((const char *)ca + limits[limit].field)
				   : NULL;
	struct token_bucket bucket = {0};
	size_t i;

	for (i = 0; !text && i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(known[i].server, server) == 0)
			text = known[i].limits[limit];
	if (text)
		token_bucket_parse(&bucket, text);
	return bucket;
}

bool rate_limit_has_limits(const struct rate_limit *rate_limit, const char *server)
{
	enum limit limit;

	for (limit = 0; limit < LIMITS; limit++)
		if (bucket_of(rate_limit, server, limit).count)
			return true;
	return false;
}

/* Room for a network of IPv6 addresses. */
#define NETWORK_MAX (INET6_ADDRSTRLEN + 4)

/* CAs count all addresses of a /64 as one: who has one address mostly has all of them. */
static const char *network_of(char buffer[NETWORK_MAX], struct in6_addr *address)
{
	memset(address->s6_addr + 8, 0, 8);
	if (!inet_ntop(AF_INET6, address, buffer, INET6_ADDRSTRLEN))
		return NULL;
	return strcat(buffer, "/64");
}

/* What a domain's limit counts by; it points into the name, or into `buffer`. */
static const char *registered_domain(const struct rate_limit *rate_limit, const char *name,
				     char buffer[NETWORK_MAX])
{
	struct in6_addr address;
	const char *domain;

	if (inet_pton(AF_INET, name, &address) == 1)
		return name;
	if (inet_pton(AF_INET6, name, &address) == 1)
		return network_of(buffer, &address) ?: name;
	domain = rate_limit->suffixes ? psl_registrable_domain(rate_limit->suffixes, name) : NULL;
	return domain ? domain : name;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

#define SCOPES_MAX (2 * CSR_NAMES_MAX + 2)

/* The buckets that an order takes from: a limit and what it counts by. */
struct scopes {
	char set[2 * DIGEST_SIZE + 1];
	char networks[CSR_NAMES_MAX][NETWORK_MAX];
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
static int hash_set(char ret_text[2 * DIGEST_SIZE + 1], const char **names, size_t count)
{
	uint8_t digest[DIGEST_SIZE];
	size_t i;

	if (digest_sha256_texts(digest, names, count))
		return -EIO;
	for (i = 0; i < sizeof(digest); i++)
		snprintf(ret_text + 2 * i, 3, "%02x", digest[i]);
	return 0;
}

static int find_scopes(struct scopes *scopes, const struct rate_limit *rate_limit,
		       const struct rate_limit_order *order)
{
	const char *names[CSR_NAMES_MAX], *domain, *last = NULL;
	size_t count = order->identifiers->count, i;

	*scopes = (struct scopes){0};
	if (count > CSR_NAMES_MAX)
		count = CSR_NAMES_MAX;
	for (i = 0; i < count; i++)
		names[i] = order->identifiers->items[i];
	qsort(names, count, sizeof(*names), compare_names);
	add_scope(scopes, LIMIT_ORDERS, order->account, "");
	add_scope(scopes, LIMIT_SET, "", scopes->set);
	if (hash_set(scopes->set, names, count))
		return -EIO;
	for (i = 0; i < count; i++)
		add_scope(scopes, LIMIT_FAILURES, order->account, names[i]);
	if (order->is_renewal)
		return 0;
	for (i = 0; i < count; i++)
		names[i] = registered_domain(rate_limit, names[i], scopes->networks[i]);
	qsort(names, count, sizeof(*names), compare_names);
	for (i = 0; i < count; i++) {
		domain = names[i];
		if (!last || strcmp(domain, last) != 0)
			add_scope(scopes, LIMIT_DOMAIN, "", domain);
		last = domain;
	}
	return 0;
}

/* --- asking and taking -------------------------------------------------------------------------- */

/*
 * Read a bucket.  What would be empty for longer than it takes to fill was written by a clock that was
 * ahead, and says nothing: it is full.  (Twice as long, as orders that somebody asks for may overdraw.)
 */
static int read_bucket(struct rate_limit *rate_limit, const char *server, const char *account,
		       enum limit limit, const char *scope, int64_t *ret_full_at_us)
{
	const struct token_bucket bucket = bucket_of(rate_limit, server, limit);
	int err = state_bucket_read(rate_limit->state, server, account, limits[limit].name, scope,
				    ret_full_at_us);

	if (!err && *ret_full_at_us > (clock_now_s() + 2 * bucket.window_s) * US_PER_S)
		*ret_full_at_us = 0;
	return err;
}

int rate_limit_orders(struct rate_limit *rate_limit, const char *server, const char *account,
		      int64_t now_s, size_t *ret_count, bool *ret_is_held, int64_t *ret_next_s)
{
	const struct token_bucket bucket = bucket_of(rate_limit, server, LIMIT_ORDERS);
	int64_t full_at_us = 0, held_s = 0;
	int err;

	err = state_hold_read(rate_limit->state, server, account, &held_s);
	if (!err && bucket.count)
		err = read_bucket(rate_limit, server, account, LIMIT_ORDERS, "", &full_at_us);
	if (err)
		return err;
	*ret_is_held = held_s > now_s;
	*ret_count = held_s > now_s ? 0 : token_bucket_left(&bucket, full_at_us, now_s * US_PER_S);
	*ret_next_s = token_bucket_next_us(&bucket, full_at_us) / US_PER_S + 1;
	if (*ret_next_s < held_s)
		*ret_next_s = held_s;
	return 0;
}

static void explain_limit(struct failure *failure, enum limit limit,
			  const struct token_bucket *bucket, const char *scope)
{
	failure_set(failure,
		    "nothing is to be done: it is ordered as soon as the limit allows; `sidestep "
		    "plan` shows when",
		    "the CA's limit of %u %s in %lld hours leaves none now%s%s", bucket->count,
		    limits[limit].words, (long long)bucket->window_s / 3600,
		    limits[limit].shows_scope ? ": " : "", limits[limit].shows_scope ? scope : "");
}

int rate_limit_when(struct rate_limit *rate_limit, const struct rate_limit_order *order,
		    int64_t now_s, int64_t *ret_at_s, struct failure *failure)
{
	int64_t full_at_us, at_s = 0, held_s = 0;
	struct token_bucket bucket;
	struct scopes scopes;
	int err;
	size_t i;

	err = state_hold_read(rate_limit->state, order->server, order->account, &held_s);
	if (!err)
		err = find_scopes(&scopes, rate_limit, order);
	if (err)
		return err;
	if (held_s > now_s) {
		failure_set(failure, NULL, "the CA has asked to wait");
		at_s = held_s;
	}
	for (i = 0; !err && i < scopes.count; i++) {
		bucket = bucket_of(rate_limit, order->server, scopes.list[i].limit);
		if (!bucket.count)
			continue;
		err = read_bucket(rate_limit, order->server, scopes.list[i].account,
				  scopes.list[i].limit, scopes.list[i].scope, &full_at_us);
		if (err || token_bucket_left(&bucket, full_at_us, now_s * US_PER_S))
			continue;
		explain_limit(failure, scopes.list[i].limit, &bucket, scopes.list[i].scope);
		if (at_s < token_bucket_next_us(&bucket, full_at_us) / US_PER_S + 1)
			at_s = token_bucket_next_us(&bucket, full_at_us) / US_PER_S + 1;
	}
	*ret_at_s = at_s;
	return err;
}

/* Take a token from one bucket, or give one back (`now_s` 0).  0 or -errno. */
static int change_bucket(struct rate_limit *rate_limit, const char *server, const char *account,
			 enum limit limit, const char *scope, int64_t now_s)
{
	const struct token_bucket bucket = bucket_of(rate_limit, server, limit);
	int64_t full_at_us;
	int err;

	if (!bucket.count)
		return 0;
	err = read_bucket(rate_limit, server, account, limit, scope, &full_at_us);
	if (err)
		return err;
	full_at_us = now_s ? token_bucket_take(&bucket, full_at_us, now_s * US_PER_S)
			   : token_bucket_give_back(&bucket, full_at_us);
	return state_bucket_write(rate_limit->state, server, account, limits[limit].name, scope,
				  full_at_us > 0 ? full_at_us : 0);
}

/* Whether an order takes from it when it begins; a failed validation does so by itself. */
static bool is_reserved(enum limit limit)
{
	return limit != LIMIT_FAILURES;
}

int rate_limit_take(struct rate_limit *rate_limit, const struct rate_limit_order *order,
		    int64_t now_s)
{
	struct scopes scopes;
	int err;
	size_t i;

	err = find_scopes(&scopes, rate_limit, order);
	for (i = 0; !err && i < scopes.count; i++)
		if (is_reserved(scopes.list[i].limit))
			err = change_bucket(rate_limit, order->server, scopes.list[i].account,
					    scopes.list[i].limit, scopes.list[i].scope, now_s);
	return err;
}

int rate_limit_give_back(struct rate_limit *rate_limit, const struct rate_limit_order *order,
			 bool was_made)
{
	struct scopes scopes;
	enum limit limit;
	int err;
	size_t i;

	err = find_scopes(&scopes, rate_limit, order);
	for (i = 0; !err && i < scopes.count; i++) {
		limit = scopes.list[i].limit;
		if (is_reserved(limit) && (limit != LIMIT_ORDERS || !was_made))
			err = change_bucket(rate_limit, order->server, scopes.list[i].account,
					    limit, scopes.list[i].scope, 0);
	}
	return err;
}

int rate_limit_note_failed(struct rate_limit *rate_limit, const char *server, const char *account,
			   const char *name, int64_t now_s)
{
	return change_bucket(rate_limit, server, account, LIMIT_FAILURES, name, now_s);
}

json_t *rate_limit_to_json(struct rate_limit *rate_limit, const char *server, const char *account,
			   int64_t now_s)
{
	const struct token_bucket bucket = bucket_of(rate_limit, server, LIMIT_ORDERS);
	int64_t held_s = 0, next_s;
	bool is_held;
	size_t left;

	if (state_hold_read(rate_limit->state, server, account, &held_s) ||
	    rate_limit_orders(rate_limit, server, account, now_s, &left, &is_held, &next_s))
		return NULL;
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "server", server, "account",
			 account, "now", (json_int_t)now_s, "orders_limit",
			 (json_int_t)bucket.count, "window", (json_int_t)bucket.window_s, "left",
			 (json_int_t)(bucket.count ? left : 0), "next", (json_int_t)next_s,
			 "held_until", (json_int_t)(held_s > now_s ? held_s : 0));
}
