/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A certificate authority for the simulation: RFC 8555 and RFC 9773 as a function from a request to
 * an answer.  It verifies every signature, spends every nonce once, and issues real certificates.  It
 * counts Let's Encrypt's limits by code of its own, and makes trouble by plan (model_trouble.h).  It
 * shares no code with the agent.
 */
#ifndef MODEL_CA_H
#define MODEL_CA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/dice.h"

#define MODEL_URL_MAX    256
#define MODEL_LINKS_MAX  4
#define MODEL_DIGEST     32
#define MODEL_NAMES_MAX  100
#define MODEL_NAME_MAX   256
#define MODEL_DETAIL_MAX 512

struct model_ca;
struct model_certificate;
struct model_trouble;

enum model_method { MODEL_GET, MODEL_HEAD, MODEL_POST };

struct model_request {
	enum model_method method;
	const char *url;
	const char *body; /* of a POST */
	bool by_operator; /* not by the daemon: an operator may go beyond limits */
};

/* What of an answer arrives. */
enum model_delivery {
	MODEL_ANSWERED,
	MODEL_NO_CONNECTION, /* refused */
	MODEL_NO_ANSWER, /* the client waits in vain */
	MODEL_CUT_OFF, /* the connection breaks before the answer */
};

/* Texts are "" when the header is missing. */
struct model_answer {
	enum model_delivery delivery;
	uint32_t delay_ms;
	long status;
	char *body; /* NULL: empty; freed by model_answer_done() */
	size_t body_size;
	char content_type[64];
	char location[MODEL_URL_MAX];
	char nonce[64];
	char retry_after[64]; /* the header as it is */
	char links[MODEL_LINKS_MAX][MODEL_URL_MAX]; /* whole values of Link headers */
	size_t link_count;
};

/* How a validation of one name ends. */
struct model_verdict {
	const char *problem; /* ACME error type; NULL: valid */
	char detail[MODEL_DETAIL_MAX];
};

/* What the CA needs of the simulation; `context` is the first argument of all. */
struct model_host {
	void *context;
	int64_t (*now_s)(void *context); /* the true time, whatever the host's clock says */
	/* Run once, `delay_ms` from now, whatever happens to the host's processes. */
	void (*later)(void *context, uint64_t delay_ms, void (*run)(void *argument),
		      void *argument);
	/* Connect to the name's port 443 as a validator does, and look at its CAA records. */
	void (*validate)(void *context, const struct model_ca *ca, const char *name,
			 const char *account_url, const uint8_t digest[MODEL_DIGEST],
			 struct model_verdict *ret_verdict);
	void (*issued)(void *context, const struct model_certificate *certificate);
	/* The client has done what no client may do. */
	void (*violated)(void *context, const char *text);
	void (*log)(void *context, const char *text);
	bool (*logs)(void *context); /* whether anybody reads what log() gets */
};

/* How this CA differs from Let's Encrypt. */
struct model_quirks {
	bool no_ari; /* neither renewalInfo nor `replaces` */
	bool no_limits;
	bool no_caa_identities;
	bool fresh_authorizations; /* a new one for each order */
	bool reuses_orders; /* hands out the pending order again for the same names */
	bool wants_binding; /* external account binding */
	bool wants_binding_always; /* also to look an account up */
	bool failed_stays_pending; /* step-ca: a failed connection is an error in a pending challenge */
	bool not_ready_once; /* the first finalize of an order answers orderNotReady */
	bool empty_bodies; /* challenge and finalize answer 200 without a body */
	bool no_finalize_location;
};

struct model_options {
	const char *base; /* "https://ca.example": all URLs begin so; the directory is /directory */
	const char *name; /* the issuer's common name, and the CAA identity */
	uint64_t seed;
	struct model_host host;
	struct model_quirks quirks;
	int64_t life_s; /* of a certificate */
	int64_t authorization_s; /* for how long a valid authorization is used again */
	uint32_t validation_ms; /* how long one takes */
	int64_t ari_pause_s; /* Retry-After of renewal information */
	const char *binding_id; /* of wants_binding; the key is the 32 bytes of binding_key */
	uint8_t binding_key[32];
};

/* One that was issued.  Times are Unix seconds. */
struct model_certificate {
	struct model_certificate *next; /* older */
	char serial[41]; /* hexadecimal */
	char ari_id[64];
	char (*names)[MODEL_NAME_MAX]; /* sorted */
	size_t name_count;
	const char *key_type; /* "p256", "rsa2048", ... */
	uint64_t account, order;
	int64_t issued_at_s;
	int64_t not_before_s, not_after_s;
	int64_t window_start_s, window_end_s;
	int64_t revoked_at_s; /* 0: it is not */
	bool replaced; /* by a newer one that named it */
	char *chain; /* PEM */
	size_t leaf_size; /* of the chain */
};

struct model_counts {
	uint64_t requests, bad_requests; /* bad: malformed, of the client's fault */
	uint64_t accounts, orders, issued, revoked;
	uint64_t failed_validations;
	uint64_t limited; /* refused by a limit of Let's Encrypt's */
	uint64_t pestered; /* refused by a limit, and asked again before its Retry-After */
	uint64_t reused; /* orders that were handed out again */
};

/* Texts are copied, but binding_id.  NULL: out of memory. */
struct model_ca *model_ca_new(const struct model_options *options);
void model_ca_free(struct model_ca *ca);

/* Whether the URL is this CA's. */
bool model_ca_is_at(const struct model_ca *ca, const char *url);
void model_ca_answer(struct model_ca *ca, const struct model_request *request,
		     struct model_answer *ret_answer);
void model_answer_done(struct model_answer *answer);

/* Whether it has renewal information. */
bool model_ca_has_ari(const struct model_ca *ca);
const char *model_ca_name(const struct model_ca *ca);
const char *model_ca_directory_url(const struct model_ca *ca);
const struct model_counts *model_ca_counts(const struct model_ca *ca);
/* The newest; each leads to an older one. */
const struct model_certificate *model_ca_newest(const struct model_ca *ca);
const struct model_certificate *model_ca_find(const struct model_ca *ca, const char *serial);

/* What happens at the CA by its own will. */
/* Whether its renewal windows lie in the past, or did in the last days: TROUBLE_ARI_PAST. */
bool model_ca_wants_replacements(const struct model_ca *ca);
void model_ca_add_trouble(struct model_ca *ca, const struct model_trouble *trouble);
void model_ca_set_life(struct model_ca *ca, int64_t life_s);
/* Revoke it; its ARI window lies in the past from now on.  False: there is none. */
bool model_ca_revoke(struct model_ca *ca, const char *serial);
/* Every account that it has becomes unknown to it. */
void model_ca_forget_accounts(struct model_ca *ca);

#endif
