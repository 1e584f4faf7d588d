// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * dehydrated's tree, mostly /var/lib/dehydrated or where the script lies:
 *
 *	certs/<name>/{privkey,cert,chain,fullchain}.pem	-> privkey-<time>.pem, ...
 *	accounts/<base64url of the CA's directory URL>/account_key.pem
 *	config			shell, among it CA="..." and HOOK=...; Debian has it elsewhere
 *
 * dehydrated does not store a certificate's CA.  It is the CA of the only account, or, with several
 * accounts, the one in the configuration.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "acme/util/base64url.h"
#include "acme/import/layouts.h"
#include "acme/util/file.h"
#include "acme/import/tree.h"
#include "acme/util/json.h"

#define URL_MAX 2048

/* Long gone; a link made the account also that of its successor. */
#define OLD_CA "https://acme-v01.api.letsencrypt.org/directory"

/* The CA of all certificates, as far as it is known. */
struct origin {
	char server[URL_MAX + 1]; /* "": unknown */
	char *account; /* path of the account's key; NULL: none */
	char *hook;
};

static bool is_dehydrated(const char *tree)
{
	return import_is_directory("%s/certs", tree) && import_is_directory("%s/accounts", tree);
}

/* With the line feed that is encoded, too; false: it is no CA's. */
static bool read_server(char ret_server[URL_MAX + 1], const char *directory)
{
	size_t size;

	if (base64url_decode(ret_server, URL_MAX, &size, directory))
		return false;
	while (size && ret_server[size - 1] == '\n')
		size--;
	ret_server[size] = '\0';
	return strlen(ret_server) == size && url_is_usable(ret_server) &&
	       strcmp(ret_server, OLD_CA) != 0;
}

/* The CA that the configuration names; NULL: it names none, or there is no configuration. */
static const char *configured_server(const char *value)
{
	static const struct {
		const char *name, *server;
	} names[] = {
		{"letsencrypt", "https://acme-v02.api.letsencrypt.org/directory"},
		{"letsencrypt-test", "https://acme-staging-v02.api.letsencrypt.org/directory"},
		{"zerossl", "https://acme.zerossl.com/v2/DV90"},
	};
	size_t i;

	for (i = 0; value && i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(value, names[i].name) == 0)
			return names[i].server;
	return value;
}

static int find_origin(struct origin *ret_origin, const char *tree)
{
	char *config = import_text("%s/config", tree), *value = NULL, **accounts;
	char server[URL_MAX + 1];
	const char *configured;
	size_t count, i, usable = 0;
	int err;

	if (config) {
		value = import_value(config, "CA");
		ret_origin->hook = import_value(config, "HOOK");
	}
	configured = configured_server(value);
	err = import_names(&accounts, &count, "%s/accounts", tree);
	for (i = 0; !err && i < count; i++) {
		if (!read_server(server, accounts[i]) ||
		    (configured && strcmp(server, configured) != 0))
			continue;
		usable++;
		strcpy(ret_origin->server, server);
		free(ret_origin->account);
		ret_origin->account =
			import_path_if_there("%s/accounts/%s/account_key.pem", tree, accounts[i]);
	}
	if (usable != 1)
		ret_origin->server[0] = '\0';
	if (!err)
		file_list_free(accounts, count);
	free(config);
	free(value);
	return err;
}

static char *copy_if_set(const char *text)
{
	return text && *text ? strdup(text) : NULL;
}

static int dehydrated_read_one(const char *tree, const char *name, const struct origin *origin,
			       struct import_list *list)
{
	struct import_found found = {0};

	if (!import_is_there("%s/certs/%s/fullchain.pem", tree, name))
		return 0;
	found.name = strdup(name);
	found.key = import_path("%s/certs/%s/privkey.pem", tree, name);
	found.chain = import_path("%s/certs/%s/fullchain.pem", tree, name);
	found.server = copy_if_set(origin->server);
	found.hook = copy_if_set(origin->hook);
	if (found.server)
		found.account = copy_if_set(origin->account);
	return import_list_add(list, &found);
}

static int read_dehydrated(const char *tree, struct import_list *list)
{
	struct origin origin = {0};
	char **names;
	size_t count, i;
	int err;

	err = import_names(&names, &count, "%s/certs", tree);
	if (err)
		return err;
	err = find_origin(&origin, tree);
	for (i = 0; !err && i < count; i++)
		err = dehydrated_read_one(tree, names[i], &origin, list);
	file_list_free(names, count);
	free(origin.account);
	free(origin.hook);
	return err;
}

const struct import_layout import_dehydrated = {
	.client = "dehydrated",
	.farewell = "remove `dehydrated -c` from cron, or its timer",
	.is_of = is_dehydrated,
	.read = read_dehydrated,
};
