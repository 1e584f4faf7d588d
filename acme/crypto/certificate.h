/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading X.509 certificates and PEM chains. */
#ifndef ACME_CRYPTO_CERTIFICATE_H
#define ACME_CRYPTO_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/identifier.h"

struct key;

#define CERTIFICATE_SERIAL_MAX 20 /* RFC 5280 section 4.1.2.2 */
#define CHAIN_CERTIFICATES_MAX 16
#define CERTIFICATE_ARI_ID_MAX 64 /* both parts 20 bytes, or 21 with a zero in front */

struct certificate {
	struct identifier *names; /* of the subjectAltName: DNS names and addresses; owned */
	size_t name_count;
	bool has_other_names; /* wildcards, mail addresses, ... which `names` leaves out */
	char wildcard[256]; /* one of the wildcards; "": there is none */
	int64_t not_before_s; /* Unix time */
	int64_t not_after_s;
	char serial[2 * CERTIFICATE_SERIAL_MAX + 1]; /* hexadecimal */
	char ari_id
		[CERTIFICATE_ARI_ID_MAX]; /* RFC 9773 section 4.1; "": no authority key identifier */
};

/* A PEM text and the places of its certificates in it, the leaf first. */
struct chain {
	const char *text;
	size_t count;
	struct {
		size_t offset;
		size_t size; /* with the newline after the END line */
	} certificates[CHAIN_CERTIFICATES_MAX];
};

/*
 * Find the certificates in `text`, which must outlive `chain`.  0, or -EBADMSG: there are none or
 * more than CHAIN_CERTIFICATES_MAX, one cannot be read, or something else is among them (RFC 8555
 * section 9.1).
 */
int chain_read(struct chain *ret_chain, const char *text, size_t size);

/* Whether the issuer of the last certificate has this common name. */
bool chain_is_issued_by(const struct chain *chain, const char *common_name);

/* Read the first certificate of a PEM text.  0, -ENOMEM or -EBADMSG. */
int certificate_read(struct certificate *ret_certificate, const char *pem, size_t size);
void certificate_done(struct certificate *certificate);

/* The first certificate's DER as base64url, a new string.  0, -ENOMEM or -EBADMSG. */
int certificate_to_base64url(char **ret_text, const char *pem, size_t size);

/* Whether the first certificate of the PEM text is for `key`. */
bool certificate_is_for_key(const char *pem, size_t size, struct key *key);

/* Whether the certificate contains all of these names. */
bool certificate_has_names(const struct certificate *certificate,
			   const struct identifier *identifiers, size_t count);

/* Whether it contains exactly these names, which must all be different. */
bool certificate_has_only_names(const struct certificate *certificate,
				const struct identifier *identifiers, size_t count);

/* Whether it is due for renewal: less than a third of its life is left at `now_s`. */
bool certificate_is_due(const struct certificate *certificate, int64_t now_s);

#endif
