/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/directory.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "acme/json.h"

static int copy(char **ret_text, const char *text)
{
	if (!text)
		return -EBADMSG;
	*ret_text = strdup(text);
	return *ret_text ? 0 : -ENOMEM;
}

/* Further than any CA has names. */
#define CAA_IDENTITIES_MAX 32

static int copy_caa_identities(struct directory *directory, const json_t *identities)
{
	size_t count = json_array_size(identities), i;
	const char *text;

	if (!count)
		return 0;
	if (count > CAA_IDENTITIES_MAX)
		count = CAA_IDENTITIES_MAX;
	directory->caa_identities = calloc(count, sizeof(*directory->caa_identities));
	if (!directory->caa_identities)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		text = json_string_value(json_array_get(identities, i));
		if (!text)
			continue;
		if (copy(&directory->caa_identities[directory->caa_identity_count], text))
			return -ENOMEM;
		directory->caa_identity_count++;
	}
	return 0;
}

int directory_read(struct directory *ret_directory, const json_t *object)
{
	const json_t *meta = json_object_get(object, "meta");
	const char *terms = json_read_string(meta, "termsOfService");
	struct directory directory = {0};
	int error;

	error = copy(&directory.new_nonce, json_read_url(object, "newNonce"));
	if (!error)
		error = copy(&directory.new_account, json_read_url(object, "newAccount"));
	if (!error)
		error = copy(&directory.new_order, json_read_url(object, "newOrder"));
	if (!error && json_read_url(object, "revokeCert"))
		error = copy(&directory.revoke_cert, json_read_url(object, "revokeCert"));
	if (!error && json_read_url(object, "renewalInfo"))
		error = copy(&directory.renewal_info, json_read_url(object, "renewalInfo"));
	if (!error && json_read_url(object, "keyChange"))
		error = copy(&directory.key_change, json_read_url(object, "keyChange"));
	if (!error && terms)
		error = copy(&directory.terms_of_service, terms);
	if (!error)
		error = copy_caa_identities(&directory, json_object_get(meta, "caaIdentities"));
	if (error) {
		directory_done(&directory);
		return error;
	}
	directory.external_account_required = json_read_true(meta, "externalAccountRequired");
	*ret_directory = directory;
	return 0;
}

void directory_done(struct directory *directory)
{
	free(directory->new_nonce);
	free(directory->new_account);
	free(directory->new_order);
	free(directory->key_change);
	free(directory->revoke_cert);
	free(directory->renewal_info);
	free(directory->terms_of_service);
	while (directory->caa_identity_count)
		free(directory->caa_identities[--directory->caa_identity_count]);
	free(directory->caa_identities);
	*directory = (struct directory){0};
}
