/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A CA's directory: RFC 8555 section 7.1.1. */
#ifndef ACME_PROTOCOL_DIRECTORY_H
#define ACME_PROTOCOL_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>

struct failure;
struct json_t;

struct directory {
	char *new_nonce;
	char *new_account;
	char *new_order;
	char *key_change; /* NULL: the CA cannot replace account keys */
	char *revoke_cert; /* NULL: the CA does not revoke by ACME */
	char *renewal_info; /* RFC 9773; NULL: the CA does not support ARI */
	char *terms_of_service; /* any text, mostly a URL; NULL: the CA has none */
	bool external_account_required;
	char **caa_identities; /* the CA's names in CAA records; empty: the CA gives none */
	size_t caa_identity_count;
	char **profiles; /* names of the certificate profiles that the CA offers */
	size_t profile_count;
};

/*
 * Read the directory object.  0, -ENOMEM, or -EBADMSG when it is not an ACME directory; on an error
 * `directory` is empty.
 */
int directory_read(struct directory *ret_directory, const struct json_t *object);

/* Why directory_read() has failed with -EBADMSG; `object` may be NULL. */
void directory_explain(struct failure *failure, const struct json_t *object, const char *url);

/* Whether the CA offers this certificate profile. */
bool directory_has_profile(const struct directory *directory, const char *name);

/* The names of the profiles, separated by commas, as a new string; NULL: none, or no memory. */
char *directory_profiles_text(const struct directory *directory);

void directory_done(struct directory *directory);

#endif
