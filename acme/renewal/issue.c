// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/issue.h"

#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/challenge/issue_env.h"
#include "acme/protocol/client.h"
#include "acme/crypto/certificate.h"
#include "acme/crypto/csr.h"
#include "acme/util/failure.h"
#include "acme/crypto/key.h"
#include "acme/net/http.h"
#include "acme/store/store_wanted.h"
#include "acme/store/store_writer.h"
#include "acme/protocol/order.h"
#include "acme/renewal/key_maker.h"
#include "acme/renewal/progress.h"
#include "acme/store/store.h"
#include "acme/util/certificate_spec.h"
#include "acme/util/output.h"
#include "common/clock.h"

_Static_assert(HTTP_BODY_MAX <= STORE_PEM_MAX, "a chain that the CA sends can be stored");

struct issue {
	const struct issue_options *options;
	struct key *key; /* NULL: it is not made yet */
	enum key_type key_type; /* to be made */
	struct key_wish *key_wish; /* while it is made */
	struct store_writer *writer;
	uint8_t *csr;
	struct order_options order_options;
	struct order *order;
	struct progress progress;
	struct stored stored; /* once it is in use */
};

/*
 * The present key where it is to be kept and can be, or a new one.  A new RSA key takes long: none yet,
 * as issue_start() has it made in a thread.
 */
static int choose_key(struct issue *issue)
{
	const struct issue_options *options = issue->options;
	enum key_type type = KEY_P256;
	int err;

	if (options->settings->key_type && key_type_parse(&type, options->settings->key_type))
		return -EINVAL;
	if (options->settings->reuse_key) {
		err = store_read_key(&issue->key, options->env->paths, options->name);
		if (!err && (!options->settings->key_type || key_type_of(issue->key) == type))
			return 0;
		if (err == -EBADMSG)
			output_warning(
				"%s: its key was to be used again, but is damaged: a new key "
				"is made",
				options->name);
		else if (err && err != -ENOENT)
			return err;
		key_free(issue->key);
		issue->key = NULL;
	}
	issue->key_type = type;
	return key_type_is_slow(type) ? 0 : key_generate(&issue->key, type);
}

static void explain_key(struct failure *failure, int err)
{
	if (err == -EIO)
		failure_set_of(failure, FAILURE_OF_HOST, NULL,
			       "cannot make the certificate's key: wolfCrypt failed");
	else
		failure_set_errno(failure, -err, "making the certificate's key");
}

/* A new generation, for a new order. */
static enum issue_prepared begin_anew(struct issue *issue, struct failure *failure)
{
	const struct issue_options *options = issue->options;
	int err = choose_key(issue);

	if (err == -EINVAL)
		failure_set(failure, KEY_TYPE_NAMES, "there is no key type '%s'",
			    options->settings->key_type);
	else if (err)
		explain_key(failure, err);
	else
		err = store_writer_open(&issue->writer, options->env->paths, options->name,
					issue->key, failure);
	if (!err)
		return ISSUE_READY;
	return err == STORE_WRITER_BUSY ? ISSUE_BUSY : ISSUE_IMPOSSIBLE;
}

/* The key of the order which a killed process has made, if there is one. */
static enum issue_prepared choose_or_resume_key(struct issue *issue, struct failure *failure)
{
	const struct issue_options *options = issue->options;

	if (!options->resume_url)
		return begin_anew(issue, failure);
	switch (store_writer_resume(&issue->writer, &issue->key, options->env->paths, options->name,
				    failure)) {
	case STORE_WRITER_KEY:
		issue->order_options.resume_url = options->resume_url;
		return ISSUE_READY;
	case STORE_WRITER_COMPLETE:
		return ISSUE_COMPLETE;
	case STORE_WRITER_BUSY:
		return ISSUE_BUSY;
	case STORE_WRITER_FAILED:
		return ISSUE_IMPOSSIBLE;
	case STORE_WRITER_NOTHING:
		/* It was put to use, and the process killed before it could say so. */
		if (store_is_of_order(options->env->paths, options->name, options->resume_url))
			return ISSUE_COMPLETE;
		break;
	}
	return begin_anew(issue, failure);
}

static int make_csr(struct issue *issue, struct failure *failure)
{
	const struct issue_options *options = issue->options;
	int err = csr_make(&issue->csr, &issue->order_options.csr_size, issue->key,
			   options->identifiers, options->identifier_count);

	if (err == -E2BIG)
		failure_set(failure, "spread the names over several certificates",
			    "the names are too long together for one certificate");
	else if (err == -EIO)
		failure_set(failure, NULL,
			    "cannot make the certificate's request: wolfCrypt failed");
	else if (err)
		failure_set_errno(failure, -err, "making the certificate's request");
	return err;
}

enum issue_prepared issue_prepare(struct issue **ret_issue, const struct issue_options *options,
				  struct failure *failure)
{
	struct issue *issue = calloc(1, sizeof(*issue));
	enum issue_prepared prepared;

	if (!issue) {
		failure_set_errno(failure, ENOMEM, "preparing the certificate");
		return ISSUE_IMPOSSIBLE;
	}
	issue->options = options;
	prepared = choose_or_resume_key(issue, failure);
	if (prepared == ISSUE_READY && issue->key && make_csr(issue, failure))
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
	store_writer_suspend(issue->writer);
	issue->writer = NULL;
	issue_free(issue);
}

void issue_free(struct issue *issue)
{
	if (!issue)
		return;
	key_maker_cancel(issue->key_wish);
	order_free(issue->order);
	store_writer_free(issue->writer);
	key_free(issue->key);
	free(issue->csr);
	stored_done(&issue->stored);
	free(issue);
}

const struct order *issue_order(const struct issue *issue)
{
	return issue->order;
}

/* RFC 8555 section 7.4.2 leaves it to the client: is `leaf`, the chain's first, what was asked for? */
static void check_leaf(const struct issue *issue, const struct chain *chain,
		       const struct certificate *leaf, struct failure *failure)
{
	const char *next_step = "run this again; if it stays so, tell the CA's operator";
	/* By the CA's clock: when ours is ahead the next certificate would be refused, too, and the next. */
	const int64_t theirs_s = clock_now_s() - ca_clock_ahead_s(issue->order_options.ca);

	if (!certificate_is_for_key(chain->text + chain->certificates[0].offset,
				    chain->certificates[0].size, issue->key))
		failure_set(failure, next_step, "the CA's certificate is for another key");
	else if (!certificate_has_names(leaf, issue->options->identifiers,
					issue->options->identifier_count))
		failure_set(failure, next_step, "the CA's certificate lacks one of the names");
	else if (leaf->not_after_s <= theirs_s)
		failure_set(failure, "check this host's clock",
			    "the CA's certificate has already expired");
}

static void read_chain(struct issue *issue, struct chain *chain, struct failure *failure)
{
	const char *text;
	size_t size;

	text = order_chain(issue->order, &size);
	if (chain_read(chain, text, size) ||
	    certificate_read(&issue->stored.certificate, text + chain->certificates[0].offset,
			     chain->certificates[0].size))
		failure_set(failure, "run this again; if it stays so, tell the CA's operator",
			    "the CA's certificate chain cannot be read");
	else
		check_leaf(issue, chain, &issue->stored.certificate, failure);
}

static void issue_store(struct issue *issue, struct failure *failure)
{
	const char *server = ca_server(issue->order_options.ca), *name = issue->options->name;
	struct chain chain;
	json_t *origin;

	read_chain(issue, &chain, failure);
	if (failure_is_set(failure)) {
		failure->has_issued = true;
		return;
	}
	snprintf(issue->stored.name, sizeof(issue->stored.name), "%s", name);
	store_live_path(issue->stored.path, issue->options->env->paths, name);
	issue->stored.server = strdup(server);
	if (!issue->stored.server) {
		failure_set_errno(failure, ENOMEM, "storing the certificate");
		return;
	}
	if (issue->options->settings->bundle)
		store_writer_want_bundle(issue->writer);
	origin = json_pack(
		"{s:s, s:s, s:o*}", "server", server, "order", order_url(issue->order), "wanted",
		issue->options->spec ? store_wanted_to_json(issue->options->spec) : NULL);
	if (!store_writer_commit(issue->writer, &chain, origin, failure))
		issue->stored.generation = store_writer_generation(issue->writer);
	json_decref(origin);
}

static void on_order_created(void *context, struct order *order)
{
	struct issue *issue = context;

	if (issue->options->ordered)
		issue->options->ordered(issue->options->context, order_url(order));
}

static void on_order_changed(void *context, struct order *order)
{
	struct failure failure = {0};
	struct issue *issue = context;

	if (!issue->options->is_quiet)
		progress_show(&issue->progress, order);
	if (order_state(order) == ORDER_DONE) {
		issue_store(issue, &failure);
	} else if (order_state(order) == ORDER_FAILED) {
		failure = *order_failure(order);
		json_incref(failure.problem);
	} else {
		return;
	}
	issue->options->done(issue->options->context,
			     failure_is_set(&failure) ? NULL : &issue->stored, &failure);
	failure_done(&failure);
}

static void issue_fail(struct issue *issue, struct failure *failure)
{
	issue->options->done(issue->options->context, NULL, failure);
	failure_done(failure);
}

/* All is there that the order needs. */
static void issue_order_now(struct issue *issue)
{
	const struct issue_options *options = issue->options;
	struct failure failure = {0};

	issue->order_options.env = options->env;
	issue->order_options.identifiers = options->identifiers;
	issue->order_options.identifier_count = options->identifier_count;
	issue->order_options.csr = issue->csr;
	issue->order_options.replaces = options->replaces;
	issue->order_options.settings = options->settings;
	issue->order_options.created = on_order_created;
	issue->order_options.changed = on_order_changed;
	issue->order_options.context = issue;
	issue->order = order_new(&issue->order_options);
	if (issue->order)
		return;
	failure_set_errno(&failure, ENOMEM, "ordering the certificate");
	issue_fail(issue, &failure);
}

static void on_key_made(void *context, int err, struct key *key)
{
	struct issue *issue = context;
	struct failure failure = {0};

	issue->key_wish = NULL;
	issue->key = key;
	if (err)
		explain_key(&failure, err);
	else if (!store_writer_set_key(issue->writer, key, &failure))
		make_csr(issue, &failure);
	if (failure_is_set(&failure))
		issue_fail(issue, &failure);
	else
		issue_order_now(issue);
}

void issue_start(struct issue *issue, struct ca *ca)
{
	struct failure failure = {0};

	issue->order_options.ca = ca;
	if (issue->key) {
		issue_order_now(issue);
		return;
	}
	issue->key_wish =
		key_maker_wish(issue->options->env->key_maker, issue->key_type, on_key_made, issue);
	if (issue->key_wish)
		return;
	explain_key(&failure, -ENOMEM);
	issue_fail(issue, &failure);
}
