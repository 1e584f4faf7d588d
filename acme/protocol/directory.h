/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A CA's directory: RFC 8555 section 7.1.1. */
#ifndef ACME_PROTOCOL_DIRECTORY_H
#define ACME_PROTOCOL_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>

struct json_t;

struct directory {
	char *new_nonce;
	char *new_account;
	char *new_order;
	char *key_change; /* NULL: keys are not replaced there */
	char *revoke_cert; /* NULL: the CA does not revoke */
	char *renewal_info; /* RFC 9773; NULL: the CA has none */
	char *terms_of_service; /* any text, mostly a URL; NULL: the CA has none */
	bool external_account_required;
	char **caa_identities; /* what CAA records call the CA; none: it does not say */
	size_t caa_identity_count;
	char **profiles; /* names of certificate profiles that may be ordered */
	size_t profile_count;
};

/*
 * Read the directory object.  0, -ENOMEM, or -EBADMSG when it is no ACME
 * directory; then `directory` is empty.
 */
int directory_read(struct directory *ret_directory, const struct json_t *object);
/* Whether the CA offers this certificate profile. */
bool directory_has_profile(const struct directory *directory, const char *name);

/* Their names with commas between, a new string; NULL: none, or no memory. */
char *directory_profiles_text(const struct directory *directory);

void directory_done(struct directory *directory);

#endif
