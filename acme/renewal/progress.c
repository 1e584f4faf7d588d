// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/progress.h"

#include "acme/util/output.h"
#include "common/identifier.h"

static const char *authorization_text(enum authorization_state state)
{
	switch (state) {
	case AUTHORIZATION_FETCHING:
		return "asking for its challenge";
	case AUTHORIZATION_PROBING:
		return "armed; asking this host as the CA will";
	case AUTHORIZATION_TELLING:
		return "armed; telling the CA";
	case AUTHORIZATION_WAITING:
		return "the CA is validating it";
	case AUTHORIZATION_VALID:
		return "valid";
	case AUTHORIZATION_FAILED:
		return "failed";
	}
	return "";
}

static const char *order_text(enum order_state state)
{
	switch (state) {
	case ORDER_FINALIZING:
		return "all names are valid; asking for the certificate";
	case ORDER_ISSUING:
		return "the CA is making the certificate";
	case ORDER_DOWNLOADING:
		return "downloading the certificate";
	default:
		/* No line: another state follows at once, or other code reports it. */
		return NULL;
	}
}

static void show_authorizations(struct progress *progress, const struct order *order)
{
	const struct authorization *authorization;
	const struct identifier *identifier;
	size_t valid = 0, count = 0, i;

	for (; (authorization = order_authorization(order, count)); count++)
		valid += authorization_state(authorization) == AUTHORIZATION_VALID;
	for (i = 0; i < count; i++) {
		authorization = order_authorization(order, i);
		identifier = authorization_identifier(authorization);
		if (progress->authorizations[i] == authorization_state(authorization))
			continue;
		progress->authorizations[i] = authorization_state(authorization);
		output_step("%s: %s (%zu of %zu names valid)",
			    identifier ? identifier->value : "a name",
			    authorization_text(progress->authorizations[i]), valid, count);
	}
}

void progress_show(struct progress *progress, const struct order *order)
{
	const char *text;

	show_authorizations(progress, order);
	if (progress->order == order_state(order))
		return;
	progress->order = order_state(order);
	text = order_text(progress->order);
	if (progress->order == ORDER_AUTHORIZING)
		output_step("order %s", order_url(order));
	else if (text)
		output_step("%s", text);
}
