/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/protocol/account.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "acme/protocol/client.h"
#include "acme/protocol/directory.h"
#include "acme/protocol/problem.h"
#include "acme/util/failure.h"
#include "acme/util/file.h"
#include "acme/util/json.h"
#include "acme/crypto/key.h"
#include "common/paths.h"

#define KEY_FILE         "key.pem"
#define NEXT_KEY_FILE    "key.next.pem"
#define RETIRED_KEY_FILE "key.deactivated.pem"
#define ACCOUNT_FILE     "account.json"
#define ACCOUNT_FILE_MAX 65536

struct account {
	const struct paths *paths;
	char *name; /* NULL: the default account */
	char server_name[NAME_MAX + 1]; /* as a file's */
	int directory; /* -1: not made yet */
	char place[PATHS_MAX + 2 * NAME_MAX + 16]; /* of the directory, for messages */
	struct key *key; /* NULL: none yet */
	struct key *next; /* that is to replace it, or has at the CA; NULL: none */
	char *url; /* NULL: not known */
	bool is_new;

	/* While account_ensure() is at work. */
	struct ca *ca;
	struct ca_request *request;
	const struct account_options *options;
	bool trying_next; /* rather than the present key */
	bool creating; /* rather than looking for an existing one */
	void (*done)(void *context, struct failure *failure);
	void *context;
	struct failure failure;
};

/* --- on disk ------------------------------------------------------------------------ */

/* A server's URL as a file name: without the scheme, and with %XX for what is special. */
static int server_file_name(char ret_name[NAME_MAX + 1], const char *server)
{
	const char *c = strstr(server, "://") ? strstr(server, "://") + 3 : server;
	size_t used = 0;

	for (; *c; c++) {
		if (used + 4 > NAME_MAX)
			return -ENAMETOOLONG;
		if (isalnum((unsigned char)*c) || *c == '-' || (*c == '.' && used))
			ret_name[used++] = *c;
		else
			used += (size_t)sprintf(ret_name + used, "%%%02X", (unsigned char)*c);
	}
	ret_name[used] = '\0';
	return 0;
}

/* The account's directory, if it is there: what never had a key leaves no trace. */
static int open_directory(struct account *account, const char *server)
{
	int error;

	error = server_file_name(account->server_name, server);
	if (error)
		return error;
	snprintf(account->place, sizeof(account->place), "%s/accounts/%s%s%s",
		 account->paths->state, account->server_name, account->name ? "/" : "",
		 account->name ? account->name : "");
	account->directory = open(account->place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return account->directory < 0 && errno != ENOENT ? -errno : 0;
}

/* Parents are for all, accounts for us. */
static int make_directory(struct account *account)
{
	int state, accounts = -1, server = -1, error;

	if (account->directory >= 0)
		return 0;
	error = file_open_path(account->paths->state, 0755, &state);
	if (error)
		return error;
	error = file_open_directory(state, "accounts", 0700, &accounts);
	if (!error)
		error = file_open_directory(accounts, account->server_name, 0700, &server);
	if (!error && account->name)
		error = file_open_directory(server, account->name, 0700, &account->directory);
	else if (!error)
		account->directory = server;
	if (server >= 0 && server != account->directory)
		close(server);
	if (accounts >= 0)
		close(accounts);
	close(state);
	return error;
}

/* 0 also when there is none; other types of keys than ours are for certificates. */
static int load_key(struct account *account, const char *file, struct key **ret_key)
{
	struct key *key = NULL;
	size_t size;
	char *pem;
	int error;

	error = file_read(account->directory, file, KEY_PEM_MAX, &pem, &size);
	if (error)
		return error == -ENOENT ? 0 : error;
	error = key_from_pem(&key, pem, size);
	explicit_bzero(pem, size);
	free(pem);
	if (!error && key_type_of(key) != KEY_P256)
		error = -EBADMSG;
	if (error)
		key_free(key);
	else
		*ret_key = key;
	return error;
}

/* 0 also when there is none; what cannot be understood is as good as none: the CA knows. */
static int load_url(struct account *account)
{
	json_t *object;
	const char *url;
	size_t size;
	char *text;
	int error;

	error = file_read(account->directory, ACCOUNT_FILE, ACCOUNT_FILE_MAX, &text, &size);
	if (error)
		return error == -ENOENT ? 0 : error;
	object = json_read(text, size);
	url = json_read_url(object, "url");
	if (url && account->key) {
		account->url = strdup(url);
		error = account->url ? 0 : -ENOMEM;
	}
	json_decref(object);
	free(text);
	return error;
}

/* In a file of its own, which must not exist: -EEXIST. */
static int write_account_key(struct account *account, const char *file, struct key *key)
{
	const struct file_access access = file_access_own(0600);
	char pem[KEY_PEM_MAX];
	int size, error;

	size = key_to_pem(key, pem);
	error = size < 0 ? size
			 : file_create_atomically(account->directory, file, &access, pem,
						  (size_t)size);
	explicit_bzero(pem, sizeof(pem));
	return error;
}

/* Another process may have made one at the same time: then that is ours too. */
static int make_account_key(struct account *account, const char *file, struct key **ret_key)
{
	struct key *key;
	int error;

	error = make_directory(account);
	if (!error)
		error = key_generate(&key, KEY_P256);
	if (error)
		return error;
	error = write_account_key(account, file, key);
	if (error) {
		key_free(key);
		return error == -EEXIST ? load_key(account, file, ret_key) : error;
	}
	*ret_key = key;
	return 0;
}

static int save_url(struct account *account)
{
	const struct file_access access = file_access_own(0600);
	json_t *object;
	char *text;
	int error;

	object = json_pack("{s:s, s:s}", "url", account->url, "server", ca_server(account->ca));
	text = json_dumps(object, JSON_INDENT(2));
	json_decref(object);
	if (!text)
		return -ENOMEM;
	error = file_replace(account->directory, ACCOUNT_FILE, &access, text, strlen(text));
	free(text);
	return error;
}

bool account_name_is_valid(const char *name)
{
	size_t length = strlen(name);

	/* No dot: such names are those of the default account's files. */
	return length > 0 && length <= ACCOUNT_NAME_MAX && name[0] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
		       length;
}

static int keep_name(struct account *account, const char *name)
{
	account->name = strdup(name);
	return account->name ? 0 : -ENOMEM;
}

int account_open(struct account **ret_account, const struct paths *paths, const char *server,
		 const char *name, struct failure *failure)
{
	struct account *account = calloc(1, sizeof(*account));
	int error;

	if (!account) {
		failure_set_errno(failure, ENOMEM, "opening the account");
		return -1;
	}
	account->paths = paths;
	account->directory = -1;
	error = name && strcmp(name, ACCOUNT_DEFAULT) != 0 ? keep_name(account, name) : 0;
	if (!error)
		error = open_directory(account, server);
	if (!error && account->directory >= 0)
		error = load_key(account, KEY_FILE, &account->key);
	if (!error && account->directory >= 0)
		error = load_key(account, NEXT_KEY_FILE, &account->next);
	if (!error && account->directory >= 0)
		error = load_url(account);
	if (!error) {
		*ret_account = account;
		return 0;
	}
	if (error == -EBADMSG)
		failure_set(failure,
			    "restore it from a backup, or move its directory away to begin with a "
			    "new account",
			    "the account key %s/" KEY_FILE " is damaged", account->place);
	else
		failure_set_errno(failure, -error, "cannot open the account in %s/accounts",
				  paths->state);
	account_free(account);
	return -1;
}

void account_free(struct account *account)
{
	if (!account)
		return;
	ca_cancel(account->request);
	failure_done(&account->failure);
	key_free(account->key);
	key_free(account->next);
	free(account->url);
	free(account->name);
	if (account->directory >= 0)
		close(account->directory);
	free(account);
}

const char *account_url(const struct account *account)
{
	return account->url;
}

bool account_has_key(const struct account *account)
{
	return account->key;
}

int account_import_key(struct account *account, struct key *key)
{
	int error;

	if (key_type_of(key) != KEY_P256)
		return -EBADMSG;
	error = make_directory(account);
	if (!error)
		error = write_account_key(account, KEY_FILE, key);
	return error ? error : load_key(account, KEY_FILE, &account->key);
}

bool account_is_new(const struct account *account)
{
	return account->is_new;
}

const char *account_place(const struct account *account)
{
	return account->place;
}

/* --- another key ---------------------------------------------------------------------- */

int account_lock(struct account *account)
{
	return flock(account->directory, LOCK_EX | LOCK_NB) ? -errno : 0;
}

int account_next_key(struct account *account, struct key **ret_key)
{
	int error = 0;

	if (!account->next)
		error = make_account_key(account, NEXT_KEY_FILE, &account->next);
	if (!error)
		*ret_key = account->next;
	return error;
}

/* Whether the file still holds the key that was loaded from it. */
static bool next_key_is_on_disk(struct account *account)
{
	uint8_t ours[KEY_PUBLIC_MAX], found[KEY_PUBLIC_MAX];
	struct key *key = NULL;
	bool same;
	int size;

	if (load_key(account, NEXT_KEY_FILE, &key) || !key)
		return false;
	size = key_public(account->next, ours);
	same = size > 0 && key_public(key, found) == size && memcmp(ours, found, (size_t)size) == 0;
	key_free(key);
	return same;
}

int account_take_next_key(struct account *account)
{
	int error = 0;

	/* Who is replacing it right now does the rest by itself. */
	if (!account_lock(account) && next_key_is_on_disk(account)) {
		if (renameat(account->directory, NEXT_KEY_FILE, account->directory, KEY_FILE))
			return -errno;
		error = file_sync_directory(account->directory);
	}
	if (error)
		return error;
	error = ca_set_account(account->ca, account->next, account->url);
	if (error)
		return error;
	key_free(account->key);
	account->key = account->next;
	account->next = NULL;
	return 0;
}

int account_drop_next_key(struct account *account)
{
	key_free(account->next);
	account->next = NULL;
	if (unlinkat(account->directory, NEXT_KEY_FILE, 0) && errno != ENOENT)
		return -errno;
	return file_sync_directory(account->directory);
}

int account_retire(struct account *account)
{
	if (renameat(account->directory, KEY_FILE, account->directory, RETIRED_KEY_FILE))
		return -errno;
	if (unlinkat(account->directory, ACCOUNT_FILE, 0) && errno != ENOENT)
		return -errno;
	return file_sync_directory(account->directory);
}

/* --- at the CA ------------------------------------------------------------------------ */

static void account_finish(struct account *account)
{
	account->done(account->context, &account->failure);
}

/* The account is known: use it. */
static void account_adopt(struct account *account)
{
	if (ca_set_account(account->ca, account->key, account->url))
		failure_set_errno(&account->failure, ENOMEM, "using the account");
	account_finish(account);
}

static void account_create(struct account *account);
static void go_by_key(struct account *account);

static void take_account(struct account *account, const struct ca_reply *reply)
{
	const char *status = json_read_string(reply->object, "status");
	int error;

	if (!reply->location) {
		failure_set(&account->failure, "tell the CA's operator",
			    "the CA does not tell the account's URL");
	} else if (status && strcmp(status, "valid") != 0) {
		failure_set(&account->failure,
			    "move the directory away and run `sidestep register --agree-tos` for a "
			    "new account",
			    "the account in %s is %s at the CA", account->place, status);
	} else {
		free(account->url);
		account->url = strdup(reply->location);
		error = account->url ? save_url(account) : -ENOMEM;
		if (error)
			failure_set_errno(&account->failure, -error,
					  "cannot write the account into %s", account->place);
	}
	if (failure_is_set(&account->failure))
		account_finish(account);
	else
		account_adopt(account);
}

/* Whether the CA has already heard of the next key. */
static void take_next(struct account *account, struct ca_reply *reply)
{
	int error;

	account->trying_next = false;
	if (problem_is(reply->failure->problem, "accountDoesNotExist")) {
		go_by_key(account);
		return;
	}
	if (failure_is_set(reply->failure)) {
		failure_move(&account->failure, reply->failure);
		account_finish(account);
		return;
	}
	error = account_take_next_key(account);
	if (error) {
		failure_set_errno(&account->failure, -error,
				  "cannot put the account's next key to use in %s", account->place);
		account_finish(account);
		return;
	}
	take_account(account, reply);
}

static void on_account(void *context, struct ca_reply *reply)
{
	struct account *account = context;

	account->request = NULL;
	if (account->trying_next) {
		take_next(account, reply);
	} else if (!failure_is_set(reply->failure)) {
		account->is_new = account->creating;
		take_account(account, reply);
	} else if (!account->creating &&
		   problem_is(reply->failure->problem, "accountDoesNotExist")) {
		account_create(account);
	} else {
		failure_move(&account->failure, reply->failure);
		account_finish(account);
	}
}

static void account_post(struct account *account, json_t *payload)
{
	struct key *key = account->trying_next ? account->next : account->key;
	struct ca_call call = {.url = ca_directory(account->ca)->new_account,
			       .payload = payload,
			       .signer = CA_SIGNED_BY_KEY,
			       .done = on_account,
			       .context = account};

	if (payload && !ca_set_account(account->ca, key, NULL))
		account->request = ca_post(account->ca, &call);
	if (!account->request) {
		failure_set_errno(&account->failure, ENOMEM, "asking for the account");
		account_finish(account);
	}
}

/* RFC 8555 section 7.3.1: by its key, whoever made it and whatever we know. */
static void account_look_up(struct account *account)
{
	account->creating = false;
	account_post(account, json_pack("{s:b}", "onlyReturnExisting", 1));
}

/* What must be true before an account is made. */
static bool may_create(struct account *account)
{
	const struct directory *directory = ca_directory(account->ca);

	if (account->options->must_exist)
		failure_set(&account->failure, "`sidestep register` makes one",
			    "there is no account in %s", account->place);
	else if (directory->external_account_required && !account->options->eab.key_id)
		failure_set(&account->failure,
			    "get a key id and an HMAC key there, and give them with --eab-kid and "
			    "--eab-hmac-key-file",
			    "%s wants an account made on its web site (external account binding)",
			    ca_server(account->ca));
	else if (directory->terms_of_service && !account->options->agree_tos)
		failure_set(&account->failure, "read them, and add --agree-tos if you agree",
			    "there is no account at %s yet, and making one means agreeing to its "
			    "terms of service: %s",
			    ca_server(account->ca), directory->terms_of_service);
	return !failure_is_set(&account->failure);
}

static void account_create(struct account *account)
{
	const char *email = account->options->email;
	json_t *payload;
	int error = 0;

	if (!may_create(account)) {
		account_finish(account);
		return;
	}
	if (!account->key)
		error = make_account_key(account, KEY_FILE, &account->key);
	if (error) {
		failure_set_errno(&account->failure, -error, "cannot make the account key in %s",
				  account->place);
		account_finish(account);
		return;
	}
	account->creating = true;
	payload = email ? json_pack("{s:[s+]}", "contact", "mailto:", email) : json_object();
	if ((account->options->agree_tos &&
	     json_object_set_new(payload, "termsOfServiceAgreed", json_true())) ||
	    (account->options->eab.key_id &&
	     json_object_set_new(payload, "externalAccountBinding",
				 eab_bind(&account->options->eab, account->key,
					  ca_directory(account->ca)->new_account)))) {
		json_decref(payload);
		payload = NULL;
	}
	account_post(account, payload);
}

/* By the present key, or with a new one. */
static void go_by_key(struct account *account)
{
	if (account->url && !account->options->ask_ca)
		account_adopt(account);
	else if (account->key)
		account_look_up(account);
	else
		account_create(account);
}

void account_ensure(struct account *account, struct ca *ca, const struct account_options *options,
		    void (*done)(void *context, struct failure *failure), void *context)
{
	account->ca = ca;
	account->options = options;
	account->done = done;
	account->context = context;
	account->trying_next = account->next != NULL;
	if (account->trying_next)
		account_look_up(account);
	else
		go_by_key(account);
}
