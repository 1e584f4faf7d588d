// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * dehydrated's tree, mostly /var/lib/dehydrated or where the script lies:
 *
 *	certs/<name>/{privkey,cert,chain,fullchain}.pem	-> privkey-<time>.pem, ...
 *	accounts/<base64url of the CA's directory URL>/account_key.pem
 *	config			shell, among it CA="...", HOOK=..., PREFERRED_CHAIN=... and
 *				PRIVATE_KEY_RENEW="no"; Debian has it elsewhere
 *
 * dehydrated does not store a certificate's CA.  It is the CA of the only account, or, with several
 * accounts, the one in the configuration.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/util/base64url.h"
#include "acme/import/layouts.h"
#include "acme/util/file.h"
#include "acme/import/tree.h"
#include "acme/util/json.h"

#define URL_MAX 2048

/* The CA of all certificates, as far as it is known. */
struct origin {
	char server[URL_MAX + 1]; /* "": unknown */
	char *account; /* path of the account's key; NULL: none */
	char *hook;
	char *preferred_chain;
	bool reuse_key;
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
	return strlen(ret_server) == size && url_is_usable(ret_server);
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

static void read_config(struct origin *origin, const char *tree, char **ret_ca)
{
	char *config = import_text("%s/config", tree), *value;

	if (!config)
		return;
	*ret_ca = import_value(config, "CA");
	origin->hook = import_value(config, "HOOK");
	origin->preferred_chain = import_value(config, "PREFERRED_CHAIN");
	value = import_value(config, "PRIVATE_KEY_RENEW");
	origin->reuse_key = value && strcmp(value, "no") == 0;
	free(value);
	free(config);
}

/*
 * Count the CAs that have an account and are the configured one (NULL: any); the origin becomes the
 * last of them.  An account at an old address of a CA is also one at the present address.
 */
static int find_accounts(struct origin *origin, const char *tree, const char *configured,
			 size_t *ret_count)
{
	char server[URL_MAX + 1], **accounts, *key;
	size_t count, i, usable = 0;
	const char *present;
	int err = import_names(&accounts, &count, "%s/accounts", tree);

	if (err)
		return err;
	for (i = 0; i < count; i++) {
		if (!read_server(server, accounts[i]))
			continue;
		present = import_present_server(server);
		if (configured && strcmp(present, configured) != 0)
			continue;
		key = import_path_if_there("%s/accounts/%s/account_key.pem", tree, accounts[i]);
		if (strcmp(origin->server, present) != 0)
			usable++;
		else if (strcmp(server, present) != 0 && origin->account) {
			/* There is one at the present address already. */
			free(key);
			continue;
		}
		snprintf(origin->server, sizeof(origin->server), "%s", present);
		free(origin->account);
		origin->account = key;
	}
	file_list_free(accounts, count);
	*ret_count = usable;
	return 0;
}

static int find_origin(struct origin *ret_origin, const char *tree)
{
	const char *configured;
	size_t count = 0;
	char *ca = NULL;
	int err;

	read_config(ret_origin, tree, &ca);
	configured = configured_server(ca);
	if (configured)
		configured = import_present_server(configured);
	err = find_accounts(ret_origin, tree, configured, &count);
	if (count != 1)
		ret_origin->server[0] = '\0';
	free(ca);
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
	found.settings.reuse_key = origin->reuse_key;
	found.settings.preferred_chain = copy_if_set(origin->preferred_chain);
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
	free(origin.preferred_chain);
	return err;
}

const struct import_layout import_dehydrated = {
	.client = "dehydrated",
	.farewell = "remove `dehydrated -c` from cron, or its timer",
	.is_of = is_dehydrated,
	.read = read_dehydrated,
};
