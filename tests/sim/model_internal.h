/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the model CA share. */
#ifndef MODEL_INTERNAL_H
#define MODEL_INTERNAL_H

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <sys/queue.h>

#include "tests/sim/model_ca.h"
#include "tests/sim/model_trouble.h"

#define MODEL_NONCES_MAX   4096
#define MODEL_TROUBLES_MAX 64
#define THUMBPRINT_MAX     44
#define URN                "urn:ietf:params:acme:error:"

enum model_status {
	STATUS_PENDING,
	STATUS_READY,
	STATUS_PROCESSING,
	STATUS_VALID,
	STATUS_INVALID,
	STATUS_DEACTIVATED,
};

struct model_account {
	TAILQ_ENTRY(model_account) link;
	uint64_t id;
	EVP_PKEY *key;
	char thumbprint[THUMBPRINT_MAX];
	json_t *contact;
	enum model_status status;
};

struct model_authorization {
	TAILQ_ENTRY(model_authorization) link;
	struct model_ca *ca;
	uint64_t id;
	struct model_account *account;
	char name[MODEL_NAME_MAX];
	char token[44];
	enum model_status status, old_status; /* old: before changed_s */
	bool is_validating;
	json_t *error; /* of the challenge; NULL: none */
	int64_t made_s, changed_s, expires_s;
};

struct model_order {
	TAILQ_ENTRY(model_order) link;
	struct model_ca *ca;
	uint64_t id;
	struct model_account *account;
	char (*names)[MODEL_NAME_MAX]; /* sorted */
	size_t name_count;
	struct model_authorization **authorizations; /* one a name */
	enum model_status status, old_status;
	json_t *error;
	char *profile;
	struct model_certificate *replaces;
	bool is_exempt; /* inside the window of what it replaces */
	bool is_renewal; /* these names were issued for together before */
	bool was_not_ready;
	X509_REQ *request;
	struct model_certificate *certificate;
	int64_t made_s, changed_s, expires_s;
};

/* A limit that was reached, and until when; for the clients that ask again too early. */
struct model_refusal {
	TAILQ_ENTRY(model_refusal) link;
	char *what;
	int64_t until_s;
};

/* What is left of a limit for one thing that it counts, as the moment at which all is there again. */
struct model_bucket {
	TAILQ_ENTRY(model_bucket) link;
	char *what;
	int64_t full_at_us;
};

struct model_nonce {
	char text[24];
};

struct model_ca {
	struct model_options options;
	char base[MODEL_URL_MAX], name[64]; /* those of the options */
	struct dice dice;
	char directory[MODEL_URL_MAX];
	EVP_PKEY *key;
	X509 *issuer, *other_issuer; /* the second is for the alternate chain */
	uint8_t key_id[20];
	struct model_nonce nonces[MODEL_NONCES_MAX];
	size_t nonce_count, nonce_next;
	uint64_t next_id, next_serial, next_nonce;
	TAILQ_HEAD(model_accounts, model_account) accounts;
	TAILQ_HEAD(model_authorizations, model_authorization) authorizations;
	TAILQ_HEAD(model_orders, model_order) orders;
	struct model_certificate *certificates;
	TAILQ_HEAD(model_buckets, model_bucket) buckets;
	TAILQ_HEAD(model_refusals, model_refusal) refusals;
	struct model_trouble troubles[MODEL_TROUBLES_MAX];
	unsigned int trouble_used[MODEL_TROUBLES_MAX];
	size_t trouble_count;
	struct model_counts counts;
};

/* One request while it is answered. */
struct model_call {
	struct model_ca *ca;
	const struct model_request *request;
	const char *path; /* of the URL, from the slash */
	enum model_resource resource;
	uint64_t id; /* of the order, authorization ... in the path */
	const char *rest; /* of the path behind the id */
	json_t *payload; /* NULL: POST-as-GET */
	char *payload_text;
	struct model_account *account; /* that signed; NULL: a key did */
	EVP_PKEY *key; /* that signed; owned only when there is no account */
	char thumbprint[THUMBPRINT_MAX]; /* of a key that signed */
	json_t *jwk; /* of that key */
	struct model_answer *answer;
};

int64_t model_now(const struct model_ca *ca);
const char *model_status_name(enum model_status status);
void model_log(const struct model_ca *ca, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void model_violated(const struct model_ca *ca, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Answer with the object, which is taken over. */
void model_reply(struct model_call *call, long status, json_t *object);
void model_reply_empty(struct model_call *call, long status);
/* Answer with a problem document; `type` is without its prefix. */
void model_refuse(struct model_call *call, long status, const char *type, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
json_t *model_problem(const char *type, const char *detail);
void model_set_location(struct model_call *call, const char *kind, uint64_t id);
void model_set_retry_after(struct model_answer *answer, const struct model_ca *ca,
			   enum model_retry_after kind, int64_t wait_s);
char *model_url(const struct model_ca *ca, const char *kind, uint64_t id, const char *rest);

/* model_jose.c */
size_t model_base64url_decode(uint8_t *ret_bytes, size_t max, const char *text);
void model_base64url_encode(char *ret_text, const uint8_t *bytes, size_t size);
/* Verify the request's signature and nonce, and fill in account or key and payload.  False: the
 * answer is made. */
bool model_authenticate(struct model_call *call);
/* The inner message of keyChange: *ret_payload and the key that signed it. */
bool model_read_inner(struct model_call *call, json_t **ret_payload, EVP_PKEY **ret_key,
		      char ret_thumbprint[THUMBPRINT_MAX]);
/* Whether `binding` binds the key of this call to the CA's external account. */
bool model_binding_is_right(struct model_call *call, const json_t *binding);
void model_nonce_make(struct model_ca *ca, char ret_text[64]);
bool model_nonce_spend(struct model_ca *ca, const char *text);
void model_digest_of_token(const struct model_account *account, const char *token,
			   uint8_t ret_digest[MODEL_DIGEST]);

/* model_account.c */
void model_answer_new_account(struct model_call *call);
void model_answer_account(struct model_call *call);
void model_answer_key_change(struct model_call *call);
struct model_account *model_account_by_id(struct model_ca *ca, uint64_t id);
void model_accounts_free(struct model_ca *ca);

/* model_order.c */
void model_answer_new_order(struct model_call *call);
void model_answer_order(struct model_call *call);
void model_answer_finalize(struct model_call *call);
void model_order_look(struct model_order *order); /* follow its authorizations */
void model_orders_free(struct model_ca *ca);
struct model_order *model_order_by_id(struct model_ca *ca, uint64_t id);

/* model_validate.c */
void model_answer_authorization(struct model_call *call);
void model_answer_challenge(struct model_call *call);
struct model_authorization *model_authorize(struct model_ca *ca, struct model_account *account,
					    const char *name);
void model_authorizations_free(struct model_ca *ca);

/* model_issue.c */
bool model_issuer_make(struct model_ca *ca);
/* Issue what the order's request wants.  NULL: that is impossible. */
struct model_certificate *model_issue(struct model_order *order);
bool model_request_fits(X509_REQ *request, const struct model_order *order);
const char *model_key_type(EVP_PKEY *key);
void model_answer_certificate(struct model_call *call);
void model_answer_revoke(struct model_call *call);
void model_answer_renewal_info(struct model_call *call);
struct model_certificate *model_by_ari_id(struct model_ca *ca, const char *ari_id);
void model_certificates_free(struct model_ca *ca);

/* model_limits.c: Let's Encrypt's, counted. */
/* Whether a new order is within the limits; if not, the answer is made. */
bool model_within_limits(struct model_call *call, const struct model_order *order);
bool model_is_renewal(const struct model_order *order);
void model_count_order(const struct model_order *order);
void model_count_certificate(const struct model_order *order);
void model_count_failure(const struct model_authorization *authorization);
void model_limits_free(struct model_ca *ca);

/* model_trouble.c */
/* What is planned of this kind, for this resource, now; NULL: nothing.  Counts it. */
const struct model_trouble *model_trouble(struct model_ca *ca, enum model_trouble_kind kind,
					  enum model_resource resource);
/* Trouble before the request is looked at.  True: the answer is made. */
bool model_trouble_before(struct model_call *call);
void model_trouble_after(struct model_call *call);

#endif
