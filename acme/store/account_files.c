// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/store/account_files.h"

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

#include "acme/crypto/key.h"
#include "acme/util/failure.h"
#include "acme/util/file.h"
#include "acme/util/json.h"
#include "acme/util/name.h"
#include "common/paths.h"

#define KEY_FILE         "key.pem"
#define NEXT_KEY_FILE    "key.next.pem"
#define RETIRED_KEY_FILE "key.deactivated.pem"
#define ACCOUNT_FILE     "account.json"
#define ACCOUNT_FILE_MAX 65536

struct account_files {
	const struct paths *paths;
	char *name; /* NULL: the default account */
	char server_name[NAME_MAX + 1]; /* as a file's */
	int directory; /* -1: not made yet */
	char place[PATHS_MAX + 2 * NAME_MAX + 16]; /* of the directory, for messages */
	struct key *key; /* NULL: none yet */
	struct key *next; /* that is to replace it, or has at the CA; NULL: none */
	char *url; /* NULL: not known */
};

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
static int open_directory(struct account_files *files, const char *server)
{
	int err;

	err = server_file_name(files->server_name, server);
	if (err)
		return err;
	snprintf(files->place, sizeof(files->place), "%s/accounts/%s%s%s", files->paths->state,
		 files->server_name, files->name ? "/" : "", files->name ? files->name : "");
	files->directory = open(files->place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return files->directory < 0 && errno != ENOENT ? -errno : 0;
}

/* Other users may read the parents, but not accounts/. */
static int make_directory(struct account_files *files)
{
	int state, accounts = -1, server = -1, err;

	if (files->directory >= 0)
		return 0;
	err = file_open_path(files->paths->state, 0755, &state);
	if (err)
		return err;
	err = file_open_directory(state, "accounts", 0700, &accounts);
	if (!err)
		err = file_open_directory(accounts, files->server_name, 0700, &server);
	if (!err && files->name)
		err = file_open_directory(server, files->name, 0700, &files->directory);
	else if (!err)
		files->directory = server;
	if (server >= 0 && server != files->directory)
		close(server);
	if (accounts >= 0)
		close(accounts);
	close(state);
	return err;
}

/* Read an account key: only P-256 is one.  0 also when there is no file. */
static int load_key(struct account_files *files, const char *file, struct key **ret_key)
{
	struct key *key = NULL;
	int err;

	err = key_read(&key, files->directory, file);
	if (err == -ENOENT)
		return 0;
	if (!err && key_type_of(key) != KEY_P256)
		err = -EBADMSG;
	if (err)
		key_free(key);
	else
		*ret_key = key;
	return err;
}

/* Read the account's URL.  0 also when it is missing or unreadable: the CA knows it. */
static int load_url(struct account_files *files)
{
	json_t *object;
	const char *url;
	size_t size;
	char *text;
	int err;

	err = file_read(files->directory, ACCOUNT_FILE, ACCOUNT_FILE_MAX, &text, &size);
	if (err)
		return err == -ENOENT ? 0 : err;
	object = json_read(text, size);
	url = json_read_url(object, "url");
	if (url && files->key) {
		files->url = strdup(url);
		err = files->url ? 0 : -ENOMEM;
	}
	json_decref(object);
	free(text);
	return err;
}

/* In a file of its own, which must not exist: -EEXIST. */
static int write_account_key(struct account_files *files, const char *file, struct key *key)
{
	const struct file_access access = file_access_own(0600);
	char pem[KEY_PEM_MAX];
	int size, err;

	size = key_to_pem(key, pem);
	err = size < 0 ? size
		       : file_create_atomically(files->directory, file, &access, pem, (size_t)size);
	explicit_bzero(pem, sizeof(pem));
	return err;
}

/* Create a key; use another process's key if that one comes first. */
static int make_account_key(struct account_files *files, const char *file, struct key **ret_key)
{
	struct key *key;
	int err;

	err = make_directory(files);
	if (!err)
		err = key_generate(&key, KEY_P256);
	if (err)
		return err;
	err = write_account_key(files, file, key);
	if (err) {
		key_free(key);
		return err == -EEXIST ? load_key(files, file, ret_key) : err;
	}
	*ret_key = key;
	return 0;
}

int account_files_save_url(struct account_files *files, const char *url, const char *server)
{
	const struct file_access access = file_access_own(0600);
	char *copy = strdup(url), *text;
	json_t *object;
	int err;

	if (!copy)
		return -ENOMEM;
	free(files->url);
	files->url = copy;
	object = json_pack("{s:s, s:s}", "url", url, "server", server);
	text = json_dumps(object, JSON_INDENT(2));
	json_decref(object);
	if (!text)
		return -ENOMEM;
	err = file_replace(files->directory, ACCOUNT_FILE, &access, text, strlen(text));
	free(text);
	return err;
}

static int keep_name(struct account_files *files, const char *name)
{
	files->name = strdup(name);
	return files->name ? 0 : -ENOMEM;
}

int account_files_open(struct account_files **ret_files, const struct paths *paths,
		       const char *server, const char *name, struct failure *failure)
{
	struct account_files *files = calloc(1, sizeof(*files));
	int err;

	if (!files) {
		failure_set_errno(failure, ENOMEM, "opening the account");
		return -1;
	}
	files->paths = paths;
	files->directory = -1;
	err = name && strcmp(name, ACCOUNT_DEFAULT) != 0 ? keep_name(files, name) : 0;
	if (!err)
		err = open_directory(files, server);
	if (!err && files->directory >= 0)
		err = load_key(files, KEY_FILE, &files->key);
	if (!err && files->directory >= 0)
		err = load_key(files, NEXT_KEY_FILE, &files->next);
	if (!err && files->directory >= 0)
		err = load_url(files);
	if (!err) {
		*ret_files = files;
		return 0;
	}
	if (err == -EBADMSG)
		failure_set(failure,
			    "restore it from a backup, or move its directory away to start with a "
			    "new account",
			    "the account key %s/" KEY_FILE " is damaged", files->place);
	else
		failure_set_errno(failure, -err, "cannot open the account in %s/accounts",
				  paths->state);
	account_files_free(files);
	return -1;
}

void account_files_free(struct account_files *files)
{
	if (!files)
		return;
	key_free(files->key);
	key_free(files->next);
	free(files->url);
	free(files->name);
	if (files->directory >= 0)
		close(files->directory);
	free(files);
}

const char *account_files_url(const struct account_files *files)
{
	return files->url;
}

struct key *account_files_key(const struct account_files *files)
{
	return files->key;
}

struct key *account_files_next_key(const struct account_files *files)
{
	return files->next;
}

int account_files_import_key(struct account_files *files, struct key *key)
{
	int err;

	if (key_type_of(key) != KEY_P256)
		return -EBADMSG;
	err = make_directory(files);
	if (!err)
		err = write_account_key(files, KEY_FILE, key);
	return err ? err : load_key(files, KEY_FILE, &files->key);
}

const char *account_files_place(const struct account_files *files)
{
	return files->place;
}

/* --- another key ---------------------------------------------------------------------- */

int account_files_lock(struct account_files *files)
{
	return flock(files->directory, LOCK_EX | LOCK_NB) ? -errno : 0;
}

int account_files_make_key(struct account_files *files)
{
	return files->key ? 0 : make_account_key(files, KEY_FILE, &files->key);
}

int account_files_make_next_key(struct account_files *files)
{
	return files->next ? 0 : make_account_key(files, NEXT_KEY_FILE, &files->next);
}

/* Whether the file still holds the key that was loaded from it. */
static bool next_key_is_on_disk(struct account_files *files)
{
	uint8_t ours[KEY_PUBLIC_MAX], found[KEY_PUBLIC_MAX];
	struct key *key = NULL;
	bool same;
	int size;

	if (load_key(files, NEXT_KEY_FILE, &key) || !key)
		return false;
	size = key_public(files->next, ours);
	same = size > 0 && key_public(key, found) == size && memcmp(ours, found, (size_t)size) == 0;
	key_free(key);
	return same;
}

int account_files_take_next_key(struct account_files *files)
{
	int err = 0;

	/* A process that holds the lock is replacing the key, and renames the file itself. */
	if (!account_files_lock(files) && next_key_is_on_disk(files)) {
		if (renameat(files->directory, NEXT_KEY_FILE, files->directory, KEY_FILE))
			return -errno;
		err = file_sync_directory(files->directory);
	}
	if (err)
		return err;
	key_free(files->key);
	files->key = files->next;
	files->next = NULL;
	return 0;
}

int account_files_drop_next_key(struct account_files *files)
{
	key_free(files->next);
	files->next = NULL;
	if (unlinkat(files->directory, NEXT_KEY_FILE, 0) && errno != ENOENT)
		return -errno;
	return file_sync_directory(files->directory);
}

int account_files_retire(struct account_files *files)
{
	if (renameat(files->directory, KEY_FILE, files->directory, RETIRED_KEY_FILE))
		return -errno;
	if (unlinkat(files->directory, ACCOUNT_FILE, 0) && errno != ENOENT)
		return -errno;
	return file_sync_directory(files->directory);
}
