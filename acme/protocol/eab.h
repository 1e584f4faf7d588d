/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * External account binding (RFC 8555 section 7.3.4): the CA's web site gives a customer a key id
 * and a MAC key, which bind a new ACME account to that customer.
 */
#ifndef ACME_PROTOCOL_EAB_H
#define ACME_PROTOCOL_EAB_H

#include <stddef.h>
#include <stdint.h>

struct failure;
struct json_t;
struct key;

#define EAB_KEY_MAX 512

struct eab {
	char *key_id; /* NULL: no binding */
	uint8_t key[EAB_KEY_MAX];
	size_t key_size;
};

/*
 * Copy the key id, and read the MAC key, in base64url, from the file: it is a secret, and command
 * lines are visible.  0, or -1 with `failure` filled in.  eab_done() wipes the key.
 */
int eab_read(struct eab *ret_eab, const char *key_id, const char *key_file,
	     struct failure *failure);
void eab_done(struct eab *eab);

/* The "externalAccountBinding" of newAccount at `url` for this account key; NULL: no memory. */
struct json_t *eab_bind(const struct eab *eab, struct key *account_key, const char *url);

#endif
