// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/protocol/chain_select.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "acme/protocol/client.h"
#include "acme/crypto/certificate.h"
#include "acme/util/failure.h"
#include "acme/util/output.h"

struct chain_select {
	struct ca *ca;
	const char *preferred;
	void (*done)(void *context, struct ca_reply *reply);
	void *context;
	struct ca_request *request;
	char *first; /* the CA's default chain */
	size_t first_size;
	char *alternates[CHAIN_SELECT_ALTERNATES_MAX];
	size_t alternate_count, next;
};

static bool is_preferred(const struct chain_select *selection, const struct ca_reply *reply)
{
	struct chain chain;

	return !chain_read(&chain, reply->body, reply->body_size) &&
	       chain_is_issued_by(&chain, selection->preferred);
}

static void take_first(struct chain_select *selection)
{
	struct failure none = {0};
	struct ca_reply reply = {
		.failure = &none, .body = selection->first, .body_size = selection->first_size};

	output_warning("the CA offers no chain whose last certificate is issued by '%s'; using its "
		       "default chain",
		       selection->preferred);
	selection->done(selection->context, &reply);
}

static void on_alternate(void *context, struct ca_reply *reply);

/* Fetch the next alternate, if there is one. */
static void look_on(struct chain_select *selection)
{
	struct ca_call call = {
		.answer = CA_ANSWER_PEM_CHAIN, .done = on_alternate, .context = selection};

	while (selection->next < selection->alternate_count) {
		call.url = selection->alternates[selection->next++];
		selection->request = ca_post(selection->ca, &call);
		if (selection->request)
			return;
	}
	take_first(selection);
}

/* Skip an alternate that cannot be fetched: the certificate itself is there. */
static void on_alternate(void *context, struct ca_reply *reply)
{
	struct chain_select *selection = context;

	selection->request = NULL;
	if (!failure_is_set(reply->failure) && is_preferred(selection, reply))
		selection->done(selection->context, reply);
	else
		look_on(selection);
}

/* Copy what is needed of the reply, which owns its texts.  False: out of memory. */
static bool chain_keep(struct chain_select *selection, const struct ca_reply *reply)
{
	selection->first = malloc(reply->body_size + 1);
	if (!selection->first)
		return false;
	memcpy(selection->first, reply->body, reply->body_size + 1);
	selection->first_size = reply->body_size;
	selection->alternate_count = ca_reply_links(
		selection->alternates, CHAIN_SELECT_ALTERNATES_MAX, reply, "alternate");
	return true;
}

static void on_first(void *context, struct ca_reply *reply)
{
	struct chain_select *selection = context;

	selection->request = NULL;
	if (!failure_is_set(reply->failure) && selection->preferred &&
	    !is_preferred(selection, reply) && chain_keep(selection, reply))
		look_on(selection);
	else
		selection->done(selection->context, reply);
}

struct chain_select *chain_select_start(struct ca *ca, const char *url, const char *preferred,
					void (*done)(void *context, struct ca_reply *reply),
					void *context)
{
	struct chain_select *selection = calloc(1, sizeof(*selection));
	const struct ca_call call = {
		.url = url, .answer = CA_ANSWER_PEM_CHAIN, .done = on_first, .context = selection};

	if (!selection)
		return NULL;
	selection->ca = ca;
	selection->preferred = preferred;
	selection->done = done;
	selection->context = context;
	selection->request = ca_post(ca, &call);
	if (selection->request)
		return selection;
	free(selection);
	return NULL;
}

void chain_select_free(struct chain_select *selection)
{
	if (!selection)
		return;
	ca_cancel(selection->request);
	while (selection->alternate_count)
		free(selection->alternates[--selection->alternate_count]);
	free(selection->first);
	free(selection);
}
