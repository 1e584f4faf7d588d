/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/issue.h"

#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "acme/ca.h"
#include "acme/certificate.h"
#include "acme/csr.h"
#include "acme/failure.h"
#include "acme/key.h"
#include "acme/lineage.h"
#include "acme/order.h"
#include "acme/progress.h"

struct issue {
	const struct issue_wish *wish;
	struct key *key;
	struct lineage *lineage;
	uint8_t *csr;
	struct order_wish order_wish;
	struct order *order;
	struct progress progress;
};

static int make_key_and_csr(struct issue *issue)
{
	const struct issue_wish *wish = issue->wish;
	int error;

	error = key_generate(&issue->key);
	if (error)
		return error;
	return csr_make(&issue->csr, &issue->order_wish.csr_size, issue->key, wish->identifiers,
			wish->identifier_count);
}

int issue_prepare(struct issue **ret_issue, const struct issue_wish *wish, struct failure *failure)
{
	struct issue *issue = calloc(1, sizeof(*issue));
	int error = -ENOMEM;

	if (issue) {
		issue->wish = wish;
		error = make_key_and_csr(issue);
	}
	if (error == -E2BIG)
		failure_set(failure, "spread the names over several certificates",
			    "the names are too long together for one certificate");
	else if (error == -EIO)
		failure_set(failure, NULL, "cannot make the certificate's key: wolfCrypt failed");
	else if (error)
		failure_set_errno(failure, -error, "making the certificate's key");
	else if (!lineage_begin(&issue->lineage, wish->paths, wish->name, issue->key, failure)) {
		*ret_issue = issue;
		return 0;
	}
	issue_free(issue);
	return -1;
}

void issue_free(struct issue *issue)
{
	if (!issue)
		return;
	order_free(issue->order);
	lineage_free(issue->lineage);
	key_free(issue->key);
	free(issue->csr);
	free(issue);
}

const struct order *issue_order(const struct issue *issue)
{
	return issue->order;
}

/* RFC 8555 section 7.4.2 leaves it to the client: is this what was asked for? */
static void check_chain(const struct issue *issue, struct chain *chain, struct failure *failure)
{
	const char *next_step = "run this again; if it stays so, tell the CA's operator";
	struct certificate leaf;
	const char *text;
	size_t size;

	text = order_chain(issue->order, &size);
	if (chain_read(chain, text, size) ||
	    certificate_read(&leaf, text + chain->certificates[0].offset,
			     chain->certificates[0].size)) {
		failure_set(failure, next_step, "the CA's certificate chain cannot be read");
		return;
	}
	if (!certificate_is_for_key(text + chain->certificates[0].offset,
				    chain->certificates[0].size, issue->key))
		failure_set(failure, next_step, "the CA's certificate is for another key");
	else if (!certificate_has_names(&leaf, issue->wish->identifiers,
					issue->wish->identifier_count))
		failure_set(failure, next_step, "the CA's certificate lacks one of the names");
	else if (leaf.not_after_s <= time(NULL))
		failure_set(failure, "check this host's clock",
			    "the CA's certificate has already expired");
	certificate_done(&leaf);
}

static void store(struct issue *issue, struct failure *failure)
{
	struct chain chain;
	json_t *origin;

	check_chain(issue, &chain, failure);
	if (failure_is_set(failure))
		return;
	origin = json_pack("{s:s, s:s}", "server", ca_server(issue->order_wish.ca), "order",
			   order_url(issue->order));
	lineage_commit(issue->lineage, &chain, origin, failure);
	json_decref(origin);
}

static void on_order_changed(void *context, struct order *order)
{
	struct failure failure = {0};
	struct issue *issue = context;

	progress_show(&issue->progress, order);
	if (order_state(order) == ORDER_DONE) {
		store(issue, &failure);
	} else if (order_state(order) == ORDER_FAILED) {
		failure = *order_failure(order);
		json_incref(failure.problem);
	} else {
		return;
	}
	issue->wish->done(issue->wish->context, &failure);
	failure_done(&failure);
}

void issue_start(struct issue *issue, struct ca *ca)
{
	const struct issue_wish *wish = issue->wish;
	struct failure failure = {0};

	issue->order_wish.ca = ca;
	issue->order_wish.table = wish->table;
	issue->order_wish.paths = wish->paths;
	issue->order_wish.identifiers = wish->identifiers;
	issue->order_wish.identifier_count = wish->identifier_count;
	issue->order_wish.csr = issue->csr;
	issue->order_wish.changed = on_order_changed;
	issue->order_wish.context = issue;
	issue->order = order_new(&issue->order_wish);
	if (issue->order)
		return;
	failure_set_errno(&failure, ENOMEM, "ordering the certificate");
	wish->done(wish->context, &failure);
}
