// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/protocol/order_request.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "acme/protocol/client.h"
#include "acme/protocol/directory.h"
#include "acme/protocol/order.h"
#include "acme/util/certificate_spec.h"
#include "acme/util/failure.h"
#include "common/identifier.h"

static json_t *identifiers_to_json(const struct order_options *options)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < options->identifier_count; i++)
		json_array_append_new(array,
				      json_pack("{s:s, s:s}", "type",
						identifier_acme_type(&options->identifiers[i]),
						"value", options->identifiers[i].value));
	if (json_array_size(array) == options->identifier_count)
		return array;
	json_decref(array);
	return NULL;
}

/* The profile to request; NULL: none, or, with the failure set, the CA lacks the required one. */
static const char *choose_profile(const struct order_options *options, struct failure *failure)
{
	const struct directory *directory = ca_directory(options->ca);
	const char *preferred = options->settings->preferred_profile;
	const char *required = options->settings->required_profile;
	char *offered;

	if (!required)
		return preferred && directory_has_profile(directory, preferred) ? preferred : NULL;
	if (directory_has_profile(directory, required))
		return required;
	offered = directory_profiles_text(directory);
	failure_set(failure, "choose one of these, or leave out --required-profile",
		    "the CA has no certificate profile '%s'; it offers: %s", required,
		    offered ? offered : "none");
	free(offered);
	return NULL;
}

json_t *order_request_new(const struct order_options *options, bool replaces,
			  struct failure *failure)
{
	const char *profile = choose_profile(options, failure);
	json_t *payload;

	if (failure_is_set(failure))
		return NULL;
	payload = json_pack("{s:o, s:s*, s:s*}", "identifiers", identifiers_to_json(options),
			    "profile", profile, "replaces", replaces ? options->replaces : NULL);
	if (!payload)
		failure_set_errno(failure, ENOMEM, "working on the order");
	return payload;
}
