// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/protocol/directory.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/util/failure.h"
#include "acme/util/json.h"

static int copy_text(char **ret_text, const char *text)
{
	if (!text)
		return -EBADMSG;
	*ret_text = strdup(text);
	return *ret_text ? 0 : -ENOMEM;
}

/* More than the names, or the profiles, of any CA. */
#define LIST_MAX 32

/* Append to a list; ignore what exceeds LIST_MAX. */
static int append_text(char ***list, size_t *count, const char *text)
{
	char **longer;

	if (!text || *count == LIST_MAX)
		return 0;
	longer = reallocarray(*list, *count + 1, sizeof(*longer));
	if (!longer)
		return -ENOMEM;
	*list = longer;
	longer[*count] = strdup(text);
	if (!longer[*count])
		return -ENOMEM;
	(*count)++;
	return 0;
}

static int copy_caa_identities(struct directory *directory, const json_t *identities)
{
	json_t *identity;
	size_t i;

	json_array_foreach (identities, i, identity)
		if (append_text(&directory->caa_identities, &directory->caa_identity_count,
				json_string_value(identity)))
			return -ENOMEM;
	return 0;
}

/* Read an object of names and descriptions: draft-ietf-acme-profiles section 3. */
static int copy_profiles(struct directory *directory, json_t *profiles)
{
	json_t *description;
	const char *name;

	json_object_foreach (profiles, name, description)
		if (append_text(&directory->profiles, &directory->profile_count, name))
			return -ENOMEM;
	return 0;
}

int directory_read(struct directory *ret_directory, const json_t *object)
{
	const json_t *meta = json_object_get(object, "meta");
	const char *terms = json_read_string(meta, "termsOfService");
	struct directory directory = {0};
	int err;

	err = copy_text(&directory.new_nonce, json_read_url(object, "newNonce"));
	if (!err)
		err = copy_text(&directory.new_account, json_read_url(object, "newAccount"));
	if (!err)
		err = copy_text(&directory.new_order, json_read_url(object, "newOrder"));
	if (!err && json_read_url(object, "revokeCert"))
		err = copy_text(&directory.revoke_cert, json_read_url(object, "revokeCert"));
	if (!err && json_read_url(object, "renewalInfo"))
		err = copy_text(&directory.renewal_info, json_read_url(object, "renewalInfo"));
	if (!err && json_read_url(object, "keyChange"))
		err = copy_text(&directory.key_change, json_read_url(object, "keyChange"));
	if (!err && terms)
		err = copy_text(&directory.terms_of_service, terms);
	if (!err)
		err = copy_caa_identities(&directory, json_object_get(meta, "caaIdentities"));
	if (!err)
		err = copy_profiles(&directory, json_object_get(meta, "profiles"));
	if (err) {
		directory_done(&directory);
		return err;
	}
	directory.external_account_required = json_read_true(meta, "externalAccountRequired");
	*ret_directory = directory;
	return 0;
}

void directory_explain(struct failure *failure, const json_t *object, const char *url)
{
	static const char *const members[] = {"newNonce", "newAccount", "newOrder"};
	size_t i;

	for (i = 0; i < sizeof(members) / sizeof(*members); i++)
		if (json_read_string(object, members[i]) && !json_read_url(object, members[i]))
			failure_set_of(failure, FAILURE_OF_CA,
				       "tell the CA's operator to give complete https URLs",
				       "%s is not an ACME directory: its %s is no https URL", url,
				       members[i]);
	failure_set_of(failure, FAILURE_OF_CA,
		       "give the CA's directory URL, such as "
		       "https://acme-v02.api.letsencrypt.org/directory",
		       "%s is not an ACME directory", url);
}

bool directory_has_profile(const struct directory *directory, const char *name)
{
	size_t i;

	for (i = 0; i < directory->profile_count; i++)
		if (strcmp(directory->profiles[i], name) == 0)
			return true;
	return false;
}

char *directory_profiles_text(const struct directory *directory)
{
	char *text = NULL, *longer;
	size_t i;

	for (i = 0; i < directory->profile_count; i++) {
		if (asprintf(&longer, "%s%s%s", text ? text : "", text ? ", " : "",
			     directory->profiles[i]) < 0)
			longer = NULL;
		free(text);
		text = longer;
		if (!text)
			break;
	}
	return text;
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
	while (directory->profile_count)
		free(directory->profiles[--directory->profile_count]);
	free(directory->profiles);
	*directory = (struct directory){0};
}
