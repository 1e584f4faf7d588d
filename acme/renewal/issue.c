/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/renewal/issue.h"

#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "acme/protocol/client.h"
#include "acme/crypto/certificate.h"
#include "acme/crypto/csr.h"
#include "acme/util/failure.h"
#include "acme/crypto/key.h"
#include "acme/store/store_writer.h"
#include "acme/protocol/order.h"
#include "acme/renewal/progress.h"
#include "acme/store/store.h"

struct issue {
	const struct issue_wish *wish;
	struct key *key;
	struct lineage *lineage;
	uint8_t *csr;
	struct order_wish order_wish;
	struct order *order;
	struct progress progress;
};

/* The present key where it is to be kept and can be, or a new one. */
static int choose_key(struct issue *issue)
{
	const struct issue_wish *wish = issue->wish;
	enum key_type type = KEY_P256;
	int error;

	if (wish->key_type && key_type_parse(&type, wish->key_type))
		return -EINVAL;
	if (wish->reuse_key) {
		error = store_read_key(&issue->key, wish->paths, wish->name);
		if (!error && (!wish->key_type || key_type_of(issue->key) == type))
			return 0;
		if (error && error != -ENOENT)
			return error;
		key_free(issue->key);
		issue->key = NULL;
	}
	return key_generate(&issue->key, type);
}

/* A new generation, for a new order. */
static enum issue_prepared begin_anew(struct issue *issue, struct failure *failure)
{
	const struct issue_wish *wish = issue->wish;
	int error = choose_key(issue);

	if (error == -EINVAL)
		failure_set(failure, KEY_TYPE_NAMES, "there is no key type '%s'", wish->key_type);
	else if (error == -EBADMSG)
		failure_set(failure, "leave --reuse-key out for a new key",
			    "the key of %s is to be used again, but cannot be read", wish->name);
	else if (error == -EIO)
		failure_set(failure, NULL, "cannot make the certificate's key: wolfCrypt failed");
	else if (error)
		failure_set_errno(failure, -error, "making the certificate's key");
	else
		error = lineage_begin(&issue->lineage, wish->paths, wish->name, issue->key,
				      failure);
	if (!error)
		return ISSUE_READY;
	return error == LINEAGE_BUSY ? ISSUE_BUSY : ISSUE_IMPOSSIBLE;
}

/* The key of the order which a killed process has made, if there is one. */
static enum issue_prepared make_key(struct issue *issue, struct failure *failure)
{
	const struct issue_wish *wish = issue->wish;

	if (!wish->resume_url)
		return begin_anew(issue, failure);
	switch (lineage_resume(&issue->lineage, &issue->key, wish->paths, wish->name, failure)) {
	case LINEAGE_KEY:
		issue->order_wish.resume_url = wish->resume_url;
		return ISSUE_READY;
	case LINEAGE_COMPLETE:
		return ISSUE_COMPLETE;
	case LINEAGE_BUSY:
		return ISSUE_BUSY;
	case LINEAGE_FAILED:
		return ISSUE_IMPOSSIBLE;
	case LINEAGE_NOTHING:
		/* It was put to use, and the process killed before it could say so. */
		if (store_is_of_order(wish->paths, wish->name, wish->resume_url))
			return ISSUE_COMPLETE;
		break;
	}
	return begin_anew(issue, failure);
}

static int make_csr(struct issue *issue, struct failure *failure)
{
	const struct issue_wish *wish = issue->wish;
	int error = csr_make(&issue->csr, &issue->order_wish.csr_size, issue->key,
			     wish->identifiers, wish->identifier_count);

	if (error == -E2BIG)
		failure_set(failure, "spread the names over several certificates",
			    "the names are too long together for one certificate");
	else if (error == -EIO)
		failure_set(failure, NULL,
			    "cannot make the certificate's request: wolfCrypt failed");
	else if (error)
		failure_set_errno(failure, -error, "making the certificate's request");
	return error;
}

enum issue_prepared issue_prepare(struct issue **ret_issue, const struct issue_wish *wish,
				  struct failure *failure)
{
	struct issue *issue = calloc(1, sizeof(*issue));
	enum issue_prepared prepared;

	if (!issue) {
		failure_set_errno(failure, ENOMEM, "preparing the certificate");
		return ISSUE_IMPOSSIBLE;
	}
	issue->wish = wish;
	prepared = make_key(issue, failure);
	if (prepared == ISSUE_READY && make_csr(issue, failure))
		prepared = ISSUE_IMPOSSIBLE;
	if (prepared == ISSUE_READY)
		*ret_issue = issue;
	else
		issue_free(issue);
	return prepared;
}

void issue_suspend(struct issue *issue)
{
	if (!issue)
		return;
	lineage_suspend(issue->lineage);
	issue->lineage = NULL;
	issue_free(issue);
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
	if (issue->wish->bundle)
		lineage_want_bundle(issue->lineage);
	origin = json_pack("{s:s, s:s}", "server", ca_server(issue->order_wish.ca), "order",
			   order_url(issue->order));
	lineage_commit(issue->lineage, &chain, origin, failure);
	json_decref(origin);
}

static void on_order_created(void *context, struct order *order)
{
	struct issue *issue = context;

	if (issue->wish->ordered)
		issue->wish->ordered(issue->wish->context, order_url(order));
}

static void on_order_changed(void *context, struct order *order)
{
	struct failure failure = {0};
	struct issue *issue = context;

	if (!issue->wish->is_quiet)
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
	issue->order_wish.barrier = wish->barrier;
	issue->order_wish.paths = wish->paths;
	issue->order_wish.identifiers = wish->identifiers;
	issue->order_wish.identifier_count = wish->identifier_count;
	issue->order_wish.csr = issue->csr;
	issue->order_wish.replaces = wish->replaces;
	issue->order_wish.preferred_profile = wish->preferred_profile;
	issue->order_wish.required_profile = wish->required_profile;
	issue->order_wish.preferred_chain = wish->preferred_chain;
	issue->order_wish.created = on_order_created;
	issue->order_wish.changed = on_order_changed;
	issue->order_wish.context = issue;
	issue->order = order_new(&issue->order_wish);
	if (issue->order)
		return;
	failure_set_errno(&failure, ENOMEM, "ordering the certificate");
	wish->done(wish->context, &failure);
}
