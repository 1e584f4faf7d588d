// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/import/take.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "acme/crypto/certificate.h"
#include "acme/renewal/consequence.h"
#include "acme/util/failure.h"
#include "acme/util/file.h"
#include "acme/import/layouts.h"
#include "acme/util/json.h"
#include "acme/crypto/key.h"
#include "acme/store/account_files.h"
#include "acme/store/store_wanted.h"
#include "acme/store/store_writer.h"
#include "acme/config/identifiers.h"
#include "acme/store/state.h"
#include "acme/store/store.h"

struct taking {
	const struct import_options *options;
	const struct import_found *found;
	struct key *key;
	char *pem; /* of the chain */
	size_t size;
	struct chain chain;
	struct certificate certificate;
	struct failure *failure;
};

/* --- what is wanted --------------------------------------------------------------------------- */

const char *import_server(const struct import_options *options)
{
	const char *server = options->found->server ? options->found->server : options->server;

	return server && url_is_usable(server) ? server : NULL;
}

/* Whether it does nothing but have a service read its files again, with nothing of its client's. */
static bool only_reloads(const char *hook)
{
	static const char *const beginnings[] = {
		"systemctl reload ",
		"systemctl restart ",
		"systemctl reload-or-restart ",
		"systemctl try-reload-or-restart ",
		"service ",
		"nginx -s reload",
	};
	size_t i;

	if (hook[strspn(hook, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			      " ._@-")])
		return false;
	for (i = 0; i < sizeof(beginnings) / sizeof(*beginnings); i++)
		if (strncmp(hook, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	return false;
}

const char *import_hook(const struct import_options *options)
{
	if (options->deploy_hook)
		return *options->deploy_hook ? options->deploy_hook : NULL;
	return options->found->hook && only_reloads(options->found->hook) ? options->found->hook
									  : NULL;
}

/* --- reading and judging ---------------------------------------------------------------------- */

/* 0, -EBADMSG or -errno. */
static int read_key(const char *path, struct key **ret_key)
{
	int err = key_read(ret_key, AT_FDCWD, path);

	return err == -EFBIG ? -EBADMSG : err;
}

static int append_issuers(struct taking *taking)
{
	char *issuers, *whole;
	size_t size;
	int err;

	err = file_read(AT_FDCWD, taking->found->issuers, STORE_PEM_MAX, &issuers, &size);
	if (err)
		return err;
	whole = realloc(taking->pem, taking->size + size + 1);
	if (whole) {
		memcpy(whole + taking->size, issuers, size + 1);
		taking->pem = whole;
		taking->size += size;
	}
	free(issuers);
	return whole ? chain_read(&taking->chain, taking->pem, taking->size) : -ENOMEM;
}

/* 0, -EBADMSG or -errno. */
static int read_chain(struct taking *taking)
{
	int err;

	err = file_read(AT_FDCWD, taking->found->chain, STORE_PEM_MAX, &taking->pem, &taking->size);
	if (!err)
		err = chain_read(&taking->chain, taking->pem, taking->size);
	if (!err && taking->chain.count == 1 && taking->found->issuers)
		err = append_issuers(taking);
	if (!err)
		err = certificate_read(&taking->certificate, taking->pem, taking->size);
	return err == -EFBIG ? -EBADMSG : err;
}

static void read_both(struct taking *taking)
{
	const struct import_found *found = taking->found;
	int err = read_key(found->key, &taking->key);

	if (err == -EBADMSG)
		failure_set(
			taking->failure,
			"get a new one with `sidestep certonly`; its key type is " KEY_TYPE_NAMES,
			"cannot use the key %s: it is damaged, or of another type", found->key);
	else if (err)
		failure_set_errno(taking->failure, -err, "cannot read %s", found->key);
	if (err)
		return;
	err = read_chain(taking);
	if (err == -EBADMSG)
		failure_set(taking->failure, "get a new one with `sidestep certonly`",
			    "%s is not a readable chain of certificates", found->chain);
	else if (err)
		failure_set_errno(taking->failure, -err, "cannot read %s", found->chain);
}

static void take_judge(struct taking *taking)
{
	const struct certificate *certificate = &taking->certificate;

	if (!certificate_is_for_key(taking->pem, taking->size, taking->key))
		failure_set(taking->failure, "get a new one with `sidestep certonly`",
			    "the key %s does not belong to the certificate", taking->found->key);
	else if (*certificate->wildcard)
		failure_set(taking->failure, "keep using a client that can do dns-01 for it",
			    "it is for %s: wildcards cannot be validated by tls-alpn-01, at any "
			    "CA, but only by dns-01",
			    certificate->wildcard);
	else if (certificate->has_other_names || !certificate->name_count)
		failure_set(taking->failure, "get one for its domains with `sidestep certonly`",
			    "it has no names, or not all of its names are domains or addresses");
	else if (!certificate_name_is_valid(taking->found->name))
		failure_set(taking->failure, "get one for its names with `sidestep certonly`",
			    "sidestep does not allow this name of a certificate");
}

/* --- storing ---------------------------------------------------------------------------------- */

enum presence {
	UNCLEAR = -1, /* the failure says why */
	ABSENT,
	PRESENT,
	STORED, /* a killed process has stored this certificate, without a row in the state */
};

static enum presence find_presence(const struct taking *taking)
{
	struct state *state = taking->options->state;
	const char *name = taking->found->name;
	enum presence presence = PRESENT;
	struct state_lineage writer;
	struct stored stored;
	int err;

	err = state_lineage_find(state, name, &writer);
	if (!err) {
		state_lineage_done(&writer);
		return PRESENT;
	}
	if (err != -ENOENT) {
		state_explain(state, err, taking->failure);
		return UNCLEAR;
	}
	err = store_read(&stored, taking->options->paths, name);
	if (err)
		return err == -ENOENT ? ABSENT : PRESENT;
	if (stored.server && strcmp(stored.certificate.serial, taking->certificate.serial) == 0)
		presence = STORED;
	stored_done(&stored);
	return presence;
}

/* 0, or -1 with the failure filled in. */
static int take_commit(const struct taking *taking, struct store_writer *writer)
{
	json_t *origin = json_pack("{s:s, s:s}", "server", import_server(taking->options),
				   "imported", taking->options->client);
	int err = store_writer_commit(writer, &taking->chain, origin, taking->failure);

	json_decref(origin);
	return err;
}

static enum presence take_store(const struct taking *taking)
{
	struct store_writer *writer;
	enum presence presence;

	if (!import_server(taking->options)) {
		failure_set(taking->failure,
			    "give the CA's directory with --server URL: the import uses it where "
			    "the CA is not known",
			    "the files of %s do not say which CA issued it",
			    taking->options->client);
		return UNCLEAR;
	}
	if (store_writer_open(&writer, taking->options->paths, taking->found->name, taking->key,
			      taking->failure))
		return UNCLEAR;
	/* Look again now that the name is locked. */
	presence = find_presence(taking);
	if (presence == ABSENT)
		presence = take_commit(taking, writer) ? UNCLEAR : STORED;
	store_writer_free(writer);
	return presence;
}

static int write_state(const struct taking *taking, const struct stored *stored,
		       const struct string_list *identifiers)
{
	struct certificate_spec spec = {
		.name = stored->name,
		.identifiers = *identifiers,
		.cas = STRING_LIST(stored->server),
		.source = "import",
		.settings = taking->found->settings,
	};
	struct state *state = taking->options->state;
	int64_t id;
	int err;

	spec.settings.key_type = key_type_name(key_type_of(taking->key));
	spec.settings.deploy_hook = import_hook(taking->options);
	err = state_begin(state);
	if (err)
		return err;
	err = state_set_spec(state, &spec, &id);
	if (!err)
		err = consequence_of_found(state, id, stored);
	if (!err) {
		/* If it cannot be written now, the daemon does it when it compares. */
		(void)store_wanted_note(taking->options->paths, &spec);
		return state_commit(state);
	}
	state_rollback(state);
	return err;
}

static void make_known(const struct taking *taking)
{
	struct stored stored;
	struct string_list identifiers;
	int err;

	err = store_read(&stored, taking->options->paths, taking->found->name);
	if (err) {
		failure_set_errno(taking->failure, -err, "cannot read the copy");
		return;
	}
	err = identifiers_to_list(&identifiers, stored.certificate.names,
				  stored.certificate.name_count);
	if (!err)
		err = write_state(taking, &stored, &identifiers);
	string_list_done(&identifiers);
	stored_done(&stored);
	if (err)
		state_explain(taking->options->state, err, taking->failure);
}

static enum import_result take_certificate(const struct taking *taking)
{
	enum presence presence = find_presence(taking);

	if (presence == ABSENT)
		presence = take_store(taking);
	if (presence == STORED)
		make_known(taking);
	if (failure_is_set(taking->failure))
		return IMPORT_FAILED;
	return presence == PRESENT ? IMPORT_PRESENT : IMPORT_DONE;
}

enum import_result import_take(const struct import_options *options, struct failure *failure)
{
	struct taking taking = {.options = options, .found = options->found, .failure = failure};
	enum import_result result = IMPORT_FAILED;

	read_both(&taking);
	if (!failure_is_set(failure))
		take_judge(&taking);
	if (!failure_is_set(failure))
		result = take_certificate(&taking);
	certificate_done(&taking.certificate);
	key_free(taking.key);
	free(taking.pem);
	return result;
}

/* --- accounts --------------------------------------------------------------------------------- */

/* Copy the account's key.  IMPORT_NONE: there is none, or an account cannot use it. */
static enum import_result copy_account(const struct import_options *options,
				       struct account_files *account, struct failure *failure)
{
	struct key *key;
	int err;

	if (!options->found->account)
		return IMPORT_NONE;
	err = read_key(options->found->account, &key);
	if (!err) {
		err = account_files_import_key(account, key);
		key_free(key);
	}
	if (!err)
		return IMPORT_DONE;
	if (err == -EBADMSG || err == -ENOENT)
		return IMPORT_NONE;
	failure_set_errno(failure, -err, "cannot import the account key %s",
			  options->found->account);
	return IMPORT_FAILED;
}

enum import_result import_take_account(const struct import_options *options,
				       struct failure *failure)
{
	enum import_result result = IMPORT_PRESENT;
	struct account_files *account;

	if (account_files_open(&account, options->paths, import_server(options), options->account,
			       failure))
		return IMPORT_FAILED;
	if (!account_files_key(account))
		result = copy_account(options, account, failure);
	account_files_free(account);
	return result;
}
