// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/crypto/certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/asn_public.h>

#include "acme/util/base64url.h"
#include "acme/crypto/key.h"

#define PEM_BEGIN    "-----BEGIN CERTIFICATE-----"
#define PEM_END      "-----END CERTIFICATE-----"
#define PEM_SIZE_MAX 65536 /* of one certificate */

/* --- from PEM to wolfCrypt's DecodedCert ------------------------------------------------- */

struct decoded {
	uint8_t *der;
	DecodedCert cert;
};

static void decoded_free(struct decoded *decoded)
{
	if (!decoded)
		return;
	wc_FreeDecodedCert(&decoded->cert);
	free(decoded->der);
	free(decoded);
}

static int certificate_decode(struct decoded **ret_decoded, const char *pem, size_t size)
{
	struct decoded *decoded;
	int der_size;

	if (size > PEM_SIZE_MAX)
		return -EBADMSG;
	decoded = calloc(1, sizeof(*decoded));
	if (!decoded)
		return -ENOMEM;
	decoded->der = malloc(size);
	if (!decoded->der) {
		free(decoded);
		return -ENOMEM;
	}
	der_size =
		wc_CertPemToDer((const byte *)pem, (int)size, decoded->der, (int)size, CERT_TYPE);
	wc_InitDecodedCert(&decoded->cert, decoded->der, der_size > 0 ? (word32)der_size : 0, NULL);
	/* Parse without verifying: the users of the certificate decide whom to trust. */
	if (der_size <= 0 || wc_ParseCert(&decoded->cert, CERT_TYPE, NO_VERIFY, NULL)) {
		decoded_free(decoded);
		return -EBADMSG;
	}
	*ret_decoded = decoded;
	return 0;
}

/* --- chains ------------------------------------------------------------------------------ */

/* The end of the certificate that begins at `begin`: after its END line; NULL: none. */
static const char *certificate_end(const char *begin, const char *end)
{
	const char *found = memmem(begin, (size_t)(end - begin), PEM_END, strlen(PEM_END));

	if (!found)
		return NULL;
	found += strlen(PEM_END);
	if (found < end && *found == '\r')
		found++;
	if (found < end && *found == '\n')
		found++;
	return found;
}

static bool is_begin(const char *at, const char *end)
{
	return (size_t)(end - at) >= strlen(PEM_BEGIN) &&
	       memcmp(at, PEM_BEGIN, strlen(PEM_BEGIN)) == 0;
}

int chain_read(struct chain *ret_chain, const char *text, size_t size)
{
	const char *at = text, *end = text + size, *next;
	struct chain chain = {.text = text};
	struct decoded *decoded;
	int err;

	while (at < end) {
		if (strchr(" \t\r\n", *at) && *at) {
			at++;
			continue;
		}
		next = is_begin(at, end) ? certificate_end(at, end) : NULL;
		if (!next || chain.count == CHAIN_CERTIFICATES_MAX)
			return -EBADMSG;
		err = certificate_decode(&decoded, at, (size_t)(next - at));
		if (err)
			return err;
		decoded_free(decoded);
		chain.certificates[chain.count].offset = (size_t)(at - text);
		chain.certificates[chain.count].size = (size_t)(next - at);
		chain.count++;
		at = next;
	}
	if (!chain.count)
		return -EBADMSG;
	*ret_chain = chain;
	return 0;
}

bool chain_is_issued_by(const struct chain *chain, const char *common_name)
{
	size_t last = chain->count - 1, length = strlen(common_name);
	struct decoded *decoded;
	bool found = false;
	const char *at;

	if (certificate_decode(&decoded, chain->text + chain->certificates[last].offset,
			       chain->certificates[last].size))
		return false;
	/* wolfCrypt writes names as /C=US/O=Example/CN=Root. */
	for (at = decoded->cert.issuer; !found && (at = strstr(at, "/CN="));) {
		at += strlen("/CN=");
		found = strncmp(at, common_name, length) == 0 &&
			(at[length] == '\0' || at[length] == '/');
	}
	decoded_free(decoded);
	return found;
}

/* --- one certificate --------------------------------------------------------------------- */

static bool read_name(struct identifier *ret_identifier, const DNS_entry *entry)
{
	enum identifier_error err;
	char text[256];

	if (entry->type == ASN_DNS_TYPE && entry->len > 0 && entry->len < (int)sizeof(text)) {
		memcpy(text, entry->name, (size_t)entry->len);
		text[entry->len] = '\0';
		/* Refuse a zero byte, which would cut the name short. */
		if (strlen(text) != (size_t)entry->len)
			return false;
	} else if (entry->type == ASN_IP_TYPE && entry->len == 4) {
		inet_ntop(AF_INET, entry->name, text, sizeof(text));
	} else if (entry->type == ASN_IP_TYPE && entry->len == 16) {
		inet_ntop(AF_INET6, entry->name, text, sizeof(text));
	} else {
		return false;
	}
	err = identifier_parse(ret_identifier, text);
	return err == IDENTIFIER_OK || err == IDENTIFIER_SINGLE_LABEL;
}

/* Keep a wildcard: "*." and a domain. */
static void note_wildcard(struct certificate *certificate, const DNS_entry *entry)
{
	struct identifier domain;
	DNS_entry rest = *entry;

	if (entry->type != ASN_DNS_TYPE || entry->len < 3 || memcmp(entry->name, "*.", 2) != 0)
		return;
	rest.name = entry->name + 2;
	rest.len = entry->len - 2;
	if (read_name(&domain, &rest))
		snprintf(certificate->wildcard, sizeof(certificate->wildcard), "*.%s",
			 domain.value);
}

/* wolfCrypt lists the names in reverse. */
static int read_names(struct certificate *certificate, const DecodedCert *cert)
{
	const DNS_entry *entry;
	struct identifier *names;
	size_t count = 0, first;

	for (entry = cert->altNames; entry; entry = entry->next)
		count++;
	names = calloc(count ? count : 1, sizeof(*names));
	if (!names)
		return -ENOMEM;
	first = count;
	for (entry = cert->altNames; entry; entry = entry->next) {
		if (read_name(&names[first - 1], entry)) {
			first--;
		} else {
			certificate->has_other_names = true;
			note_wildcard(certificate, entry);
		}
	}
	certificate->name_count = count - first;
	memmove(names, names + first, certificate->name_count * sizeof(*names));
	certificate->names = names;
	return 0;
}

static int read_time(int64_t *ret_unix_s, const byte *date, int size)
{
	struct tm utc = {0};
	const byte *text;
	byte format;
	int length;

	if (wc_GetDateInfo(date, size, &text, &format, &length) ||
	    wc_GetDateAsCalendarTime(text, length, format, &utc))
		return -EBADMSG;
	*ret_unix_s = timegm(&utc);
	return 0;
}

static int read_serial(struct certificate *certificate, const DecodedCert *cert)
{
	int i;

	if (cert->serialSz < 1 || cert->serialSz > CERTIFICATE_SERIAL_MAX)
		return -EBADMSG;
	for (i = 0; i < cert->serialSz; i++)
		sprintf(certificate->serial + (size_t)2 * i, "%02x", cert->serial[i]);
	return 0;
}

/* The first certificate of a PEM text. */
static int decode_first(struct decoded **ret_decoded, const char *pem, size_t size)
{
	const char *begin = memmem(pem, size, PEM_BEGIN, strlen(PEM_BEGIN));
	const char *end = begin ? certificate_end(begin, pem + size) : NULL;

	return end ? certificate_decode(ret_decoded, begin, (size_t)(end - begin)) : -EBADMSG;
}

int certificate_to_base64url(char **ret_text, const char *pem, size_t size)
{
	struct decoded *decoded;
	int err;

	err = decode_first(&decoded, pem, size);
	if (err)
		return err;
	*ret_text = base64url_new(decoded->der, decoded->cert.maxIdx);
	decoded_free(decoded);
	return *ret_text ? 0 : -ENOMEM;
}

/* Authority key identifier and serial number; DER puts a zero before a set highest bit. */
static void make_ari_id(struct certificate *certificate, const DecodedCert *cert)
{
	uint8_t serial[CERTIFICATE_SERIAL_MAX + 1] = {0};
	size_t zeros = cert->serial[0] & 0x80 ? 1 : 0;
	char *text = certificate->ari_id;

	/* wolfCrypt hashes a key identifier that has not the size of SHA-1. */
	if (!cert->extAuthKeyIdSet || cert->extAuthKeyIdSz != KEYID_SIZE)
		return;
	memcpy(serial + zeros, cert->serial, (size_t)cert->serialSz);
	base64url_encode(text, cert->extAuthKeyId, KEYID_SIZE);
	text += strlen(text);
	*text++ = '.';
	base64url_encode(text, serial, (size_t)cert->serialSz + zeros);
}

int certificate_read(struct certificate *ret_certificate, const char *pem, size_t size)
{
	struct certificate certificate = {0};
	struct decoded *decoded;
	int err;

	err = decode_first(&decoded, pem, size);
	if (err)
		return err;
	err = read_time(&certificate.not_before_s, decoded->cert.beforeDate,
			decoded->cert.beforeDateLen);
	if (!err)
		err = read_time(&certificate.not_after_s, decoded->cert.afterDate,
				decoded->cert.afterDateLen);
	if (!err)
		err = read_serial(&certificate, &decoded->cert);
	if (!err)
		make_ari_id(&certificate, &decoded->cert);
	if (!err)
		err = read_names(&certificate, &decoded->cert);
	decoded_free(decoded);
	if (err)
		certificate_done(&certificate);
	else
		*ret_certificate = certificate;
	return err;
}

void certificate_done(struct certificate *certificate)
{
	free(certificate->names);
	*certificate = (struct certificate){0};
}

bool certificate_is_for_key(const char *pem, size_t size, struct key *key)
{
	uint8_t public[KEY_PUBLIC_MAX];
	struct decoded *decoded;
	const DecodedCert *cert;
	bool is_for_key;
	size_t length;
	int got;

	got = key_public(key, public);
	if (got < 0 || certificate_decode(&decoded, pem, size))
		return false;
	length = (size_t)got;
	cert = &decoded->cert;
	/* For some keys wolfCrypt keeps more than the BIT STRING's content: compare its end. */
	is_for_key = cert->keyOID == (key_rsa(key) ? RSAk : ECDSAk) && cert->pubKeySize >= length &&
		     memcmp(cert->publicKey + cert->pubKeySize - length, public, length) == 0;
	decoded_free(decoded);
	return is_for_key;
}

static bool certificate_has_name(const struct certificate *certificate,
				 const struct identifier *identifier)
{
	size_t i;

	for (i = 0; i < certificate->name_count; i++)
		if (strcmp(certificate->names[i].value, identifier->value) == 0)
			return true;
	return false;
}

bool certificate_has_names(const struct certificate *certificate,
			   const struct identifier *identifiers, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (!certificate_has_name(certificate, &identifiers[i]))
			return false;
	return true;
}

bool certificate_has_only_names(const struct certificate *certificate,
				const struct identifier *identifiers, size_t count)
{
	return !certificate->has_other_names && certificate->name_count == count &&
	       certificate_has_names(certificate, identifiers, count);
}

bool certificate_is_due(const struct certificate *certificate, int64_t now_s)
{
	int64_t life_s = certificate->not_after_s - certificate->not_before_s;

	return (certificate->not_after_s - now_s) * 3 < life_s;
}
