// SPDX-License-Identifier: GPL-3.0-or-later
/* The model CA's certificates: issuing them, their renewal windows, their revocation. */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/model_internal.h"

#define SERIAL_SIZE   16
#define ISSUER_LIFE_S (20 * INT64_C(31536000))
#define HOUR_S        3600

/* --- the issuer ------------------------------------------------------------------------------- */

/* The same key for the same name, so that certificate identifiers repeat. */
static EVP_PKEY *issuer_key(const char *name)
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	EC_POINT *point = EC_POINT_new(group);
	uint8_t secret[SHA256_DIGEST_LENGTH], public[65];
	OSSL_PARAM params[4], *at = params;
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *key = NULL;
	BIGNUM *number;

	SHA256((const uint8_t *)name, strlen(name), secret);
	secret[0] &= 0x7f;
	number = BN_bin2bn(secret, sizeof(secret), NULL);
	EC_POINT_mul(group, point, number, NULL, NULL, NULL);
	EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, public, sizeof(public),
			   NULL);
	*at++ = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)"P-256", 0);
	*at++ = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, public, sizeof(public));
	/* BN parameters are little endian here. */
	BN_bn2nativepad(number, secret, sizeof(secret));
	*at++ = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, secret, sizeof(secret));
	*at = OSSL_PARAM_construct_end();
	if (EVP_PKEY_fromdata_init(context) == 1)
		EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params);
	EVP_PKEY_CTX_free(context);
	EC_POINT_free(point);
	EC_GROUP_free(group);
	BN_free(number);
	return key;
}

static void set_name(X509_NAME *name, const char *text, const char *more)
{
	char common_name[65];

	snprintf(common_name, sizeof(common_name), "%s%s", text, more);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (uint8_t *)common_name, -1, -1, 0);
}

static X509 *issuer_certificate(const struct model_ca *ca, const char *root)
{
	X509 *issuer = X509_new();
	int64_t now_s = model_now(ca);

	X509_set_version(issuer, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(issuer), 1);
	set_name(X509_get_subject_name(issuer), ca->options.name, "");
	set_name(X509_get_issuer_name(issuer), ca->options.name, root);
	ASN1_TIME_set(X509_getm_notBefore(issuer), (time_t)(now_s - ISSUER_LIFE_S));
	ASN1_TIME_set(X509_getm_notAfter(issuer), (time_t)(now_s + ISSUER_LIFE_S));
	X509_set_pubkey(issuer, ca->key);
	if (X509_sign(issuer, ca->key, EVP_sha256()))
		return issuer;
	X509_free(issuer);
	return NULL;
}

bool model_issuer_make(struct model_ca *ca)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	SHA256((const uint8_t *)ca->options.name, strlen(ca->options.name), digest);
	memcpy(ca->key_id, digest, sizeof(ca->key_id));
	ca->key = issuer_key(ca->options.name);
	if (!ca->key)
		return false;
	ca->issuer = issuer_certificate(ca, " Root X");
	ca->other_issuer = issuer_certificate(ca, " Root Y");
	return ca->issuer && ca->other_issuer;
}

/* --- requests --------------------------------------------------------------------------------- */

const char *model_key_type(EVP_PKEY *key)
{
	int bits = EVP_PKEY_get_bits(key);

	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC)
		return bits == 256 ? "p256" : "p384";
	return bits == 2048 ? "rsa2048" : bits == 3072 ? "rsa3072" : "rsa4096";
}

static bool has_name(const struct model_order *order, const ASN1_STRING *name)
{
	size_t i;

	for (i = 0; i < order->name_count; i++)
		if (strlen(order->names[i]) == (size_t)ASN1_STRING_length(name) &&
		    memcmp(order->names[i], ASN1_STRING_get0_data(name),
			   (size_t)ASN1_STRING_length(name)) == 0)
			return true;
	return false;
}

/* Whether the request is signed by its key and for exactly the order's names. */
bool model_request_fits(X509_REQ *request, const struct model_order *order)
{
	STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(request);
	GENERAL_NAMES *names = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
	EVP_PKEY *key = X509_REQ_get0_pubkey(request);
	bool fits = names && key && X509_REQ_verify(request, key) == 1 &&
		    (size_t)sk_GENERAL_NAME_num(names) == order->name_count &&
		    EVP_PKEY_eq(key, order->account->key) != 1;
	int i;

	for (i = 0; fits && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		fits = name->type == GEN_DNS && has_name(order, name->d.dNSName);
	}
	GENERAL_NAMES_free(names);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	return fits;
}

/* --- issuing ---------------------------------------------------------------------------------- */

static bool add_names(X509 *leaf, const struct model_order *order)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name;
	bool added;
	size_t i;

	for (i = 0; i < order->name_count; i++) {
		name = GENERAL_NAME_new();
		name->type = GEN_DNS;
		name->d.dNSName = ASN1_IA5STRING_new();
		ASN1_STRING_set(name->d.dNSName, order->names[i], -1);
		sk_GENERAL_NAME_push(names, name);
	}
	added = X509_add1_ext_i2d(leaf, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
	GENERAL_NAMES_free(names);
	return added;
}

static bool add_key_id(X509 *leaf, const struct model_ca *ca)
{
	AUTHORITY_KEYID *id = AUTHORITY_KEYID_new();
	bool added;

	id->keyid = ASN1_OCTET_STRING_new();
	ASN1_OCTET_STRING_set(id->keyid, ca->key_id, sizeof(ca->key_id));
	added = X509_add1_ext_i2d(leaf, NID_authority_key_identifier, id, 0, X509V3_ADD_DEFAULT) ==
		1;
	AUTHORITY_KEYID_free(id);
	return added;
}

/* Write the serial number in both forms, and the identifier of RFC 9773 section 4.1. */
static void number(struct model_certificate *certificate, X509 *leaf, struct model_ca *ca)
{
	uint8_t serial[SHA256_DIGEST_LENGTH];
	char text[MODEL_URL_MAX];
	BIGNUM *number;
	size_t length, i;

	snprintf(text, sizeof(text), "%s %llu", ca->options.base,
		 (unsigned long long)++ca->next_serial);
	SHA256((uint8_t *)text, strlen(text), serial);
	serial[0] = (uint8_t)((serial[0] & 0x3f) | 0x40);
	for (i = 0; i < SERIAL_SIZE; i++)
		snprintf(certificate->serial + 2 * i, 3, "%02x", serial[i]);
	number = BN_bin2bn(serial, SERIAL_SIZE, NULL);
	BN_to_ASN1_INTEGER(number, X509_get_serialNumber(leaf));
	BN_free(number);
	model_base64url_encode(certificate->ari_id, ca->key_id, sizeof(ca->key_id));
	length = strlen(certificate->ari_id);
	certificate->ari_id[length] = '.';
	model_base64url_encode(certificate->ari_id + length + 1, serial, SERIAL_SIZE);
}

static void set_times(struct model_certificate *certificate, struct model_ca *ca,
		      const char *profile)
{
	const struct model_trouble *ahead =
		model_trouble(ca, TROUBLE_NOT_BEFORE, RESOURCE_FINALIZE);
	const struct model_trouble *capped = model_trouble(ca, TROUBLE_LIFE, RESOURCE_FINALIZE);
	int64_t life_s = ca->options.life_s;

	if (profile && strcmp(profile, "shortlived") == 0)
		life_s = 6 * INT64_C(86400) + 16 * HOUR_S;
	else if (profile && strcmp(profile, "tlsserver") == 0)
		life_s = 45 * INT64_C(86400);
	if (capped)
		life_s = capped->value;
	certificate->issued_at_s = model_now(ca);
	/* CAs date back by an hour, for clients whose clocks are behind. */
	certificate->not_before_s = certificate->issued_at_s + (ahead ? ahead->value : -HOUR_S);
	certificate->not_after_s = certificate->not_before_s + life_s - 1;
	certificate->window_start_s = certificate->not_before_s + life_s * 2 / 3 - life_s / 50;
	certificate->window_end_s = certificate->window_start_s + life_s / 25;
}

static X509 *make_leaf(struct model_certificate *certificate, const struct model_order *order)
{
	struct model_ca *ca = order->ca;
	X509 *leaf = X509_new();

	X509_set_version(leaf, X509_VERSION_3);
	number(certificate, leaf, ca);
	X509_set_issuer_name(leaf, X509_get_subject_name(ca->issuer));
	ASN1_TIME_set(X509_getm_notBefore(leaf), (time_t)certificate->not_before_s);
	ASN1_TIME_set(X509_getm_notAfter(leaf), (time_t)certificate->not_after_s);
	X509_set_pubkey(leaf, X509_REQ_get0_pubkey(order->request));
	if (add_names(leaf, order) && add_key_id(leaf, ca) &&
	    X509_sign(leaf, ca->key, EVP_sha256()))
		return leaf;
	X509_free(leaf);
	return NULL;
}

/* The leaf and an issuer's certificate as one PEM text, a new one. */
static char *chain_of(X509 *leaf, X509 *issuer, size_t *ret_leaf_size)
{
	BIO *memory = BIO_new(BIO_s_mem());
	char *text, *data;
	long size;

	PEM_write_bio_X509(memory, leaf);
	*ret_leaf_size = (size_t)BIO_get_mem_data(memory, &data);
	PEM_write_bio_X509(memory, issuer);
	size = BIO_get_mem_data(memory, &data);
	text = strndup(data, (size_t)size);
	BIO_free(memory);
	return text;
}

struct model_certificate *model_issue(struct model_order *order)
{
	struct model_certificate *certificate = calloc(1, sizeof(*certificate));
	struct model_ca *ca = order->ca;
	X509 *leaf;

	if (!certificate)
		abort();
	set_times(certificate, ca, order->profile);
	leaf = make_leaf(certificate, order);
	if (!leaf) {
		free(certificate);
		return NULL;
	}
	certificate->names = calloc(order->name_count, sizeof(*order->names));
	if (!certificate->names)
		abort();
	memcpy(certificate->names, order->names, order->name_count * sizeof(*order->names));
	certificate->name_count = order->name_count;
	certificate->key_type = model_key_type(X509_REQ_get0_pubkey(order->request));
	certificate->account = order->account->id;
	certificate->order = order->id;
	certificate->chain = chain_of(leaf, ca->issuer, &certificate->leaf_size);
	certificate->next = ca->certificates;
	ca->certificates = certificate;
	X509_free(leaf);
	return certificate;
}

void model_certificates_free(struct model_ca *ca)
{
	struct model_certificate *certificate;

	while ((certificate = ca->certificates)) {
		ca->certificates = certificate->next;
		free(certificate->names);
		free(certificate->chain);
		free(certificate);
	}
}

/* --- a certificate ---------------------------------------------------------------------------- */

static struct model_certificate *by_serial(struct model_ca *ca, const char *serial)
{
	struct model_certificate *certificate;

	for (certificate = ca->certificates; certificate; certificate = certificate->next)
		if (strcasecmp(certificate->serial, serial) == 0)
			break;
	return certificate;
}

struct model_certificate *model_by_ari_id(struct model_ca *ca, const char *ari_id)
{
	struct model_certificate *certificate;

	for (certificate = ca->certificates; certificate; certificate = certificate->next)
		if (strcmp(certificate->ari_id, ari_id) == 0)
			break;
	return certificate;
}

static char *alternate_chain(const struct model_ca *ca, const struct model_certificate *certificate)
{
	BIO *memory = BIO_new_mem_buf(certificate->chain, (int)certificate->leaf_size);
	X509 *leaf = PEM_read_bio_X509(memory, NULL, NULL, NULL);
	size_t leaf_size;
	char *text;

	text = chain_of(leaf, ca->other_issuer, &leaf_size);
	X509_free(leaf);
	BIO_free(memory);
	return text;
}

void model_answer_certificate(struct model_call *call)
{
	const struct model_trouble *stale = model_trouble(call->ca, TROUBLE_STALE, call->resource);
	struct model_answer *answer = call->answer;
	struct model_certificate *certificate;
	char serial[2 * SERIAL_SIZE + 1];
	bool is_alternate;

	snprintf(serial, sizeof(serial), "%s", call->rest);
	certificate = by_serial(call->ca, serial);
	is_alternate = strlen(call->rest) > strlen(serial);
	if (!certificate || certificate->account != call->account->id ||
	    (stale && model_now(call->ca) < certificate->issued_at_s + stale->value)) {
		model_refuse(call, 404, "malformed", "Certificate not found");
		return;
	}
	answer->status = 200;
	answer->body =
		is_alternate ? alternate_chain(call->ca, certificate) : strdup(certificate->chain);
	answer->body_size = strlen(answer->body);
	strcpy(answer->content_type, "application/pem-certificate-chain");
	snprintf(answer->links[answer->link_count++], MODEL_URL_MAX,
		 "<%s/certificate/%s%s>;rel=\"alternate\"", call->ca->options.base, serial,
		 is_alternate ? "" : "/1");
}

/* --- revocation ------------------------------------------------------------------------------- */

static void revoke(struct model_ca *ca, struct model_certificate *certificate)
{
	certificate->revoked_at_s = model_now(ca);
	certificate->window_start_s = certificate->revoked_at_s - 2 * HOUR_S;
	certificate->window_end_s = certificate->revoked_at_s - HOUR_S;
	ca->counts.revoked++;
	model_log(ca, "certificate %s is revoked", certificate->serial);
}

bool model_ca_revoke(struct model_ca *ca, const char *serial)
{
	struct model_certificate *certificate = by_serial(ca, serial);

	if (certificate && !certificate->revoked_at_s)
		revoke(ca, certificate);
	return certificate;
}

static X509 *read_certificate(const char *text)
{
	size_t size = text ? strlen(text) : 0;
	uint8_t *der = malloc(size + 1);
	const uint8_t *at = der;
	X509 *leaf;

	if (!der)
		abort();
	size = text ? model_base64url_decode(der, size, text) : 0;
	leaf = size ? d2i_X509(NULL, &at, (long)size) : NULL;
	free(der);
	return leaf;
}

static struct model_certificate *certificate_of(struct model_ca *ca, X509 *leaf)
{
	BIGNUM *serial = leaf ? ASN1_INTEGER_to_BN(X509_get0_serialNumber(leaf), NULL) : NULL;
	char *text = serial ? BN_bn2hex(serial) : NULL;
	struct model_certificate *certificate = text ? by_serial(ca, text) : NULL;

	OPENSSL_free(text);
	BN_free(serial);
	return certificate;
}

void model_answer_revoke(struct model_call *call)
{
	X509 *leaf =
		read_certificate(json_string_value(json_object_get(call->payload, "certificate")));
	struct model_certificate *certificate = certificate_of(call->ca, leaf);
	bool may = certificate &&
		   (call->account ? certificate->account == call->account->id
				  : EVP_PKEY_eq(X509_get0_pubkey(leaf), call->key) == 1);

	if (!certificate)
		model_refuse(call, 404, "malformed", "no such certificate");
	else if (!may)
		model_refuse(call, 403, "unauthorized", "the signer may not revoke this");
	else if (certificate->revoked_at_s)
		model_refuse(call, 400, "alreadyRevoked", "it is revoked already");
	else {
		revoke(call->ca, certificate);
		model_reply_empty(call, 200);
	}
	X509_free(leaf);
}

/* --- renewal information ---------------------------------------------------------------------- */

static json_t *text_of_time(int64_t moment_s)
{
	char text[sizeof("2026-11-26T12:00:00Z") + 16];
	time_t moment = (time_t)moment_s;
	struct tm utc;

	gmtime_r(&moment, &utc);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
	return json_string(text);
}

void model_answer_renewal_info(struct model_call *call)
{
	const struct model_certificate *certificate = model_by_ari_id(call->ca, call->rest);
	int64_t now_s = model_now(call->ca);

	if (!certificate || call->ca->options.quirks.no_ari) {
		model_refuse(call, 404, "malformed", "no such certificate");
		return;
	}
	if (model_trouble(call->ca, TROUBLE_ARI_GARBAGE, call->resource))
		model_reply(call, 200, json_pack("{s:s}", "suggestedWindow", "soon"));
	else if (model_trouble(call->ca, TROUBLE_ARI_PAST, call->resource))
		model_reply(call, 200,
			    json_pack("{s:{s:o, s:o}}", "suggestedWindow", "start",
				      text_of_time(now_s - 2 * 24 * HOUR_S), "end",
				      text_of_time(now_s - 24 * HOUR_S)));
	else
		model_reply(call, 200,
			    json_pack("{s:{s:o, s:o}}", "suggestedWindow", "start",
				      text_of_time(certificate->window_start_s), "end",
				      text_of_time(certificate->window_end_s)));
	snprintf(call->answer->retry_after, sizeof(call->answer->retry_after), "%lld",
		 (long long)call->ca->options.ari_pause_s);
}
