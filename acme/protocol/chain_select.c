/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/protocol/chain_select.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "acme/protocol/client.h"
#include "acme/crypto/certificate.h"
#include "acme/util/failure.h"
#include "acme/util/output.h"

struct chains {
	struct ca *ca;
	const char *preferred;
	void (*done)(void *context, struct ca_reply *reply);
	void *context;
	struct ca_request *request;
	char *first; /* the chain that the CA gives by itself */
	size_t first_size;
	char *alternates[CHAINS_ALTERNATES_MAX];
	size_t alternate_count, next;
};

static bool is_preferred(const struct chains *chains, const struct ca_reply *reply)
{
	struct chain chain;

	return !chain_read(&chain, reply->body, reply->body_size) &&
	       chain_is_issued_by(&chain, chains->preferred);
}

static void take_first(struct chains *chains)
{
	struct failure none = {0};
	struct ca_reply reply = {
		.failure = &none, .body = chains->first, .body_size = chains->first_size};

	output_warning("the CA offers no chain whose last certificate is issued by '%s': its usual "
		       "one is taken",
		       chains->preferred);
	chains->done(chains->context, &reply);
}

static void on_alternate(void *context, struct ca_reply *reply);

/* Look at the next one, if there is one. */
static void look_on(struct chains *chains)
{
	struct ca_call call = {
		.answer = CA_ANSWER_PEM_CHAIN, .done = on_alternate, .context = chains};

	while (chains->next < chains->alternate_count) {
		call.url = chains->alternates[chains->next++];
		chains->request = ca_post(chains->ca, &call);
		if (chains->request)
			return;
	}
	take_first(chains);
}

/* One that cannot be had is passed over: there is a certificate. */
static void on_alternate(void *context, struct ca_reply *reply)
{
	struct chains *chains = context;

	chains->request = NULL;
	if (!failure_is_set(reply->failure) && is_preferred(chains, reply))
		chains->done(chains->context, reply);
	else
		look_on(chains);
}

/* The texts are the reply's: keep what is needed of it.  False: out of memory. */
static bool keep(struct chains *chains, const struct ca_reply *reply)
{
	chains->first = malloc(reply->body_size + 1);
	if (!chains->first)
		return false;
	memcpy(chains->first, reply->body, reply->body_size + 1);
	chains->first_size = reply->body_size;
	chains->alternate_count =
		ca_reply_links(chains->alternates, CHAINS_ALTERNATES_MAX, reply, "alternate");
	return true;
}

static void on_first(void *context, struct ca_reply *reply)
{
	struct chains *chains = context;

	chains->request = NULL;
	if (!failure_is_set(reply->failure) && chains->preferred && !is_preferred(chains, reply) &&
	    keep(chains, reply))
		look_on(chains);
	else
		chains->done(chains->context, reply);
}

struct chains *chains_fetch(struct ca *ca, const char *url, const char *preferred,
			    void (*done)(void *context, struct ca_reply *reply), void *context)
{
	struct chains *chains = calloc(1, sizeof(*chains));
	const struct ca_call call = {
		.url = url, .answer = CA_ANSWER_PEM_CHAIN, .done = on_first, .context = chains};

	if (!chains)
		return NULL;
	chains->ca = ca;
	chains->preferred = preferred;
	chains->done = done;
	chains->context = context;
	chains->request = ca_post(ca, &call);
	if (chains->request)
		return chains;
	free(chains);
	return NULL;
}

void chains_free(struct chains *chains)
{
	if (!chains)
		return;
	ca_cancel(chains->request);
	while (chains->alternate_count)
		free(chains->alternates[--chains->alternate_count]);
	free(chains->first);
	free(chains);
}
