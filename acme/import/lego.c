// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * lego's tree, mostly .lego:
 *
 *	certificates/<name>.crt		the certificate, mostly with its chain
 *	certificates/<name>.{issuer.crt,key}
 *	certificates/<name>.json	"certUrl" is where it was fetched
 *	accounts/<host>_<port>/<id>/keys/<id>.key	version 4, where <id> is a mail address
 *	accounts/<host>_<port>/<id>/<id>.key		version 5; before it was released, the
 *							type of the key named a directory
 *	accounts/<host>_<port>/<id>/account.json	in version 5 "server" is the directory URL
 *
 * Version 4 does not store the CA's directory URL; for a well-known CA it follows from the host of
 * "certUrl".
 */
#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "acme/import/layouts.h"
#include "acme/util/file.h"
#include "acme/import/tree.h"
#include "acme/util/json.h"

#define SCHEME    "https://"
#define EXTENSION ".json"

static const char *const directories[] = {
	"https://acme-v02.api.letsencrypt.org/directory",
	"https://acme-staging-v02.api.letsencrypt.org/directory",
	"https://acme.zerossl.com/v2/DV90",
	"https://dv.acme-v02.api.pki.goog/directory",
	"https://dv.acme-v02.test-api.pki.goog/directory",
};

static bool is_lego(const char *tree)
{
	return import_is_directory("%s/certificates", tree) &&
	       import_is_directory("%s/accounts", tree);
}

/* The length of "https://host:port" at the beginning of a URL; 0: it is none. */
static size_t origin_length(const char *url)
{
	if (!url_is_usable(url))
		return 0;
	return strlen(SCHEME) + strcspn(url + strlen(SCHEME), "/?");
}

static char *guess_server(const char *url)
{
	size_t length = origin_length(url), i;

	for (i = 0; i < sizeof(directories) / sizeof(*directories); i++)
		if (length && origin_length(directories[i]) == length &&
		    strncmp(url, directories[i], length) == 0)
			return strdup(directories[i]);
	return NULL;
}

/* Beside account.json, or in the first directory there that has it; NULL: none has. */
static char *find_key(const char *place, const char *account)
{
	char **kinds, *key;
	size_t count, i;

	key = import_path_if_there("%s/%s/%s.key", place, account, account);
	if (key || import_names(&kinds, &count, "%s/%s", place, account))
		return key;
	for (i = 0; !key && i < count; i++)
		key = import_path_if_there("%s/%s/%s/%s.key", place, account, kinds[i], account);
	file_list_free(kinds, count);
	return key;
}

/* The directory URL that account.json tells; NULL: it tells none that can be used. */
static char *lego_read_server(const char *place, const char *account)
{
	char *text = import_text("%s/%s/account.json", place, account), *server = NULL;
	json_t *json = text ? json_read(text, strlen(text)) : NULL;
	const char *url = json_read_url(json, "server");

	if (url)
		server = strdup(url);
	json_decref(json);
	free(text);
	return server;
}

/* The account at the host of `url`; which of several it was is not known. */
static void lego_find_account(struct import_found *found, const char *tree, const char *url)
{
	size_t length = origin_length(url), count;
	char *place, **accounts, *colon;

	if (!length)
		return;
	place = import_path("%s/accounts/%.*s", tree, (int)(length - strlen(SCHEME)),
			    url + strlen(SCHEME));
	if (!place)
		return;
	while ((colon = strchr(place + strlen(tree), ':')))
		*colon = '_';
	if (!import_names(&accounts, &count, "%s", place)) {
		if (count == 1)
			found->account = find_key(place, accounts[0]);
		if (count && !found->server)
			found->server = lego_read_server(place, accounts[0]);
		file_list_free(accounts, count);
	}
	free(place);
}

static void read_resource(struct import_found *found, const char *tree, const char *name)
{
	char *text = import_text("%s/certificates/%s" EXTENSION, tree, name);
	json_t *resource = text ? json_read(text, strlen(text)) : NULL;
	const char *url = json_read_url(resource, "certUrl");

	if (url) {
		found->server = guess_server(url);
		lego_find_account(found, tree, url);
	}
	json_decref(resource);
	free(text);
}

static int lego_read_one(const char *tree, const char *file, struct import_list *list)
{
	size_t length = strlen(file), extension = strlen(EXTENSION);
	struct import_found found = {0};

	if (length <= extension || strcmp(file + length - extension, EXTENSION) != 0)
		return 0;
	found.name = strndup(file, length - extension);
	if (!found.name)
		return -ENOMEM;
	found.key = import_path("%s/certificates/%s.key", tree, found.name);
	found.chain = import_path("%s/certificates/%s.crt", tree, found.name);
	found.issuers = import_path_if_there("%s/certificates/%s.issuer.crt", tree, found.name);
	read_resource(&found, tree, found.name);
	return import_list_add(list, &found);
}

static int read_lego(const char *tree, struct import_list *list)
{
	size_t count, i;
	char **files;
	int err;

	err = import_names(&files, &count, "%s/certificates", tree);
	if (err)
		return err;
	for (i = 0; !err && i < count; i++)
		err = lego_read_one(tree, files[i], list);
	file_list_free(files, count);
	return err;
}

const struct import_layout import_lego = {
	.client = "lego",
	.farewell = "remove `lego renew` from cron, or its timer; its hooks are in that line",
	.is_of = is_lego,
	.read = read_lego,
};
