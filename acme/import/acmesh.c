// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * acme.sh's tree, mostly ~/.acme.sh:
 *
 *	<name>[_ecc]/fullchain.cer, <name>[_ecc]/<name>.key
 *	<name>[_ecc]/<name>.conf	"KEY='VALUE'": Le_Domain is the first name, Le_API the CA's
 *					directory URL, Le_ReloadCmd the hook, Le_RealKeyPath etc.
 *					where copies were put
 *	ca/<host>/<path of the URL>/account.key, before version 3 ca/<host>/account.key
 *
 * <name> is as it was given: an internationalized one is in UTF-8.  A value may be in base64, with a word on both sides that says so.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/config/identifiers.h"
#include "acme/util/base64url.h"
#include "acme/util/failure.h"
#include "acme/import/layouts.h"
#include "acme/util/file.h"
#include "acme/import/tree.h"
#include "acme/util/json.h"

#define SCHEME       "https://"
#define ECC          "_ecc"
#define BASE64_BEGIN "__ACME_BASE64__START_"
#define BASE64_END   "__ACME_BASE64__END_"

/* The directory's name without what only tells the type of the key; NULL: out of memory. */
static char *base_name(const char *directory)
{
	size_t length = strlen(directory), suffix = strlen(ECC);

	if (length > suffix && strcmp(directory + length - suffix, ECC) == 0)
		length -= suffix;
	return strndup(directory, length);
}

/* Many programs have X/X.conf; one that acme.sh has written says for which name it is. */
static bool has_certificate(const char *tree, const char *directory)
{
	char *base = base_name(directory), *text = NULL, *domain = NULL;
	bool has;

	if (base)
		text = import_text("%s/%s/%s.conf", tree, directory, base);
	if (text)
		domain = import_value(text, "Le_Domain");
	has = domain;
	free(domain);
	free(text);
	free(base);
	return has;
}

/* The name of the certificate here, a new string: as ACME spells it. */
static char *ascii_name(const char *name)
{
	struct failure failure = {0};
	struct identifier identifier;
	const char *at = name;

	while (*at && (unsigned char)*at < 0x80)
		at++;
	if (*at && !identifiers_parse_one(&identifier, name, &failure))
		name = identifier.value;
	failure_done(&failure);
	return strdup(name);
}

/* A name may have both key types; then the second gets another name. */
static char *name_here(const char *tree, const char *directory, const char *base)
{
	char *name = ascii_name(base), *both = NULL;

	if (!name || strcmp(directory, base) == 0 || !has_certificate(tree, base))
		return name;
	if (asprintf(&both, "%s" ECC, name) < 0)
		both = NULL;
	free(name);
	return both;
}

static bool is_acmesh(const char *tree)
{
	char **directories;
	bool is = false;
	size_t count, i;

	if (import_names(&directories, &count, "%s", tree))
		return false;
	for (i = 0; !is && i < count; i++)
		is = has_certificate(tree, directories[i]);
	file_list_free(directories, count);
	return is;
}

/* Decode in place what says that it is in base64. */
static void decode_value(char *value)
{
	size_t begin = strlen(BASE64_BEGIN), end = strlen(BASE64_END), length = strlen(value), size;
	char *text, *c;

	if (length < begin + end || strncmp(value, BASE64_BEGIN, begin) != 0 ||
	    strcmp(value + length - end, BASE64_END) != 0)
		return;
	value[length - end] = '\0';
	text = value + begin;
	text[strcspn(text, "=")] = '\0';
	for (c = text; *c; c++)
		*c = (char)(*c == '+' ? '-' : *c == '/' ? '_' : *c);
	/* Never longer than what it is decoded from, and behind it. */
	text = strdup(text);
	if (!text || base64url_decode(value, length, &size, text))
		size = 0;
	free(text);
	while (size && value[size - 1] == '\n')
		size--;
	value[size] = '\0';
}

/* A setting that is not empty, as a new string; NULL: there is none. */
static char *acmesh_read_setting(const char *text, const char *key)
{
	char *value = import_value(text, key);

	if (value)
		decode_value(value);
	if (value && *value)
		return value;
	free(value);
	return NULL;
}

static bool was_copied(const char *text)
{
	static const char *const keys[] = {"Le_RealCertPath", "Le_RealKeyPath",
					   "Le_RealFullChainPath"};
	bool was = false;
	char *path;
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		path = acmesh_read_setting(text, keys[i]);
		was = was || path;
		free(path);
	}
	return was;
}

static void acmesh_leave_out(const char *text, const char *name, struct import_list *list)
{
	static const char *const hooks[] = {"Le_PreHook", "Le_PostHook"};
	char *hook;
	size_t i;

	if (!name)
		return;
	for (i = 0; i < sizeof(hooks) / sizeof(*hooks); i++) {
		hook = acmesh_read_setting(text, hooks[i]);
		if (hook)
			import_leave_out(list, "%s: its %s is not imported: %s", name, hooks[i],
					 hook);
		free(hook);
	}
	if (was_copied(text))
		import_leave_out(list,
				 "%s: acme.sh has installed copies for servers (--install-cert), "
				 "which nothing renews from now on: let those servers read the "
				 "files in live/",
				 name);
}

static char *acmesh_find_account(const char *tree, const char *server)
{
	const char *rest = server + strlen(SCHEME), *path;
	char *key;
	int host;

	if (!url_is_usable(server))
		return NULL;
	host = (int)strcspn(rest, ":/?");
	path = strchr(rest, '/');
	key = import_path_if_there("%s/ca/%.*s/%s/account.key", tree, host, rest,
				   path ? path + 1 : "");
	return key ? key : import_path_if_there("%s/ca/%.*s/account.key", tree, host, rest);
}

static void acmesh_read_settings(struct import_found *found, const char *tree,
				 const char *directory, const char *base, struct import_list *list)
{
	char *text = import_text("%s/%s/%s.conf", tree, directory, base);

	if (!text)
		return;
	found->server = acmesh_read_setting(text, "Le_API");
	found->hook = acmesh_read_setting(text, "Le_ReloadCmd");
	if (!found->hook)
		found->hook = acmesh_read_setting(text, "Le_RenewHook");
	if (found->server)
		found->account = acmesh_find_account(tree, found->server);
	acmesh_leave_out(text, found->name, list);
	free(text);
}

static int acmesh_read_one(const char *tree, const char *directory, struct import_list *list)
{
	struct import_found found = {0};
	char *base;

	if (!has_certificate(tree, directory))
		return 0;
	base = base_name(directory);
	/* Skip a directory with settings and no certificate: acme.sh never issued it. */
	if (base && !import_is_there("%s/%s/%s.cer", tree, directory, base)) {
		free(base);
		return 0;
	}
	if (base) {
		found.name = name_here(tree, directory, base);
		found.key = import_path("%s/%s/%s.key", tree, directory, base);
		found.chain = import_path("%s/%s/fullchain.cer", tree, directory);
		acmesh_read_settings(&found, tree, directory, base, list);
	}
	free(base);
	return import_list_add(list, &found);
}

static int read_acmesh(const char *tree, struct import_list *list)
{
	char **directories;
	size_t count, i;
	int err;

	err = import_names(&directories, &count, "%s", tree);
	if (err)
		return err;
	for (i = 0; !err && i < count; i++)
		err = acmesh_read_one(tree, directories[i], list);
	file_list_free(directories, count);
	return err;
}

const struct import_layout import_acmesh = {
	.client = "acme.sh",
	.farewell = "acme.sh --uninstall-cronjob",
	.is_of = is_acmesh,
	.read = read_acmesh,
};
