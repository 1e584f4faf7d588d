// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/protocol/eab.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/crypto/digest.h"
#include "acme/util/base64url.h"
#include "acme/util/failure.h"
#include "acme/util/file.h"
#include "acme/protocol/jws.h"

#define FILE_MAX 4096

/* Refuse a MAC key below 128 bits. */
#define KEY_MIN 16

int eab_read(struct eab *ret_eab, const char *key_id, const char *key_file, struct failure *failure)
{
	struct eab eab = {.key_id = strdup(key_id)};
	size_t size;
	char *text;
	int err;

	err = file_read(AT_FDCWD, key_file, FILE_MAX, &text, &size);
	if (err) {
		failure_set_errno(failure, -err, "cannot read the MAC key in %s", key_file);
		return -1;
	}
	text[strcspn(text, " \t\r\n=")] = '\0';
	err = base64url_decode(eab.key, sizeof(eab.key), &eab.key_size, text);
	explicit_bzero(text, size);
	free(text);
	if (err || eab.key_size < KEY_MIN) {
		failure_set(failure, "put only the HMAC key from the CA's web site into this file",
			    "%s does not contain a MAC key in base64url", key_file);
		eab_done(&eab);
		return -1;
	}
	if (!eab.key_id) {
		failure_set_errno(failure, ENOMEM, "reading the MAC key");
		eab_done(&eab);
		return -1;
	}
	*ret_eab = eab;
	explicit_bzero(&eab, sizeof(eab));
	return 0;
}

void eab_done(struct eab *eab)
{
	free(eab->key_id);
	explicit_bzero(eab, sizeof(*eab));
}

static char *encode_header(const struct eab *eab, const char *url)
{
	json_t *header =
		json_pack("{s:s, s:s, s:s}", "alg", "HS256", "kid", eab->key_id, "url", url);
	char *text = json_dumps(header, JSON_COMPACT), *encoded = NULL;

	if (text)
		encoded = base64url_new(text, strlen(text));
	free(text);
	json_decref(header);
	return encoded;
}

json_t *eab_bind(const struct eab *eab, struct key *account_key, const char *url)
{
	char mac_text[BASE64URL_LENGTH(DIGEST_SIZE) + 1], *jwk = NULL, *text = NULL;
	char *header = encode_header(eab, url), *payload = NULL;
	uint8_t bytes[DIGEST_SIZE];
	json_t *binding = NULL;

	if (!jws_jwk_new(&jwk, account_key))
		payload = base64url_new(jwk, strlen(jwk));
	if (header && payload && asprintf(&text, "%s.%s", header, payload) < 0)
		text = NULL;
	if (text && !digest_hmac_sha256(bytes, eab->key, eab->key_size, text)) {
		base64url_encode(mac_text, bytes, sizeof(bytes));
		binding = json_pack("{s:s, s:s, s:s}", "protected", header, "payload", payload,
				    "signature", mac_text);
	}
	free(text);
	free(payload);
	free(header);
	free(jwk);
	return binding;
}
