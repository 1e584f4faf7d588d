// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Certbot's tree, mostly /etc/letsencrypt:
 *
 *	live/<name>/{privkey,cert,chain,fullchain}.pem	-> ../../archive/<name>/privkey2.pem, ...
 *	renewal/<name>.conf		"key = value", among them server, renew_hook, and what
 *					certificate_spec.h calls by Certbot's names
 *	renewal-hooks/deploy/		programs that are run for every renewed certificate
 *	accounts/<server>/<id>/private_key.json
 *
 * Certbot's account keys are RSA.  Sidestep's accounts have P-256 keys, so it ignores them.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "acme/import/layouts.h"
#include "acme/util/file.h"
#include "acme/import/tree.h"

static bool is_certbot(const char *tree)
{
	return import_is_directory("%s/live", tree) && import_is_directory("%s/renewal", tree);
}

/* A new string; NULL: the key is missing, or its value is None. */
static char *certbot_read_setting(const char *text, const char *key)
{
	char *value = import_value(text, key);

	if (value && *value && strcmp(value, "None") != 0)
		return value;
	free(value);
	return NULL;
}

static const char *certbot_read_text(const char *text, const char *key)
{
	return key ? certbot_read_setting(text, key) : NULL;
}

static bool certbot_read_flag(const char *text, const char *key)
{
	char *value = key ? certbot_read_setting(text, key) : NULL;
	bool is_true = value && strcmp(value, "True") == 0;

	free(value);
	return is_true;
}

#define READ_TEXT certbot_read_text
#define READ_FLAG certbot_read_flag
#define READ_SETTING(kind, member, name, value, certbot, ...) \
	found->settings.member = READ_##kind(text, certbot);

static void certbot_read_settings(struct import_found *found, const char *tree, const char *name)
{
	char *text = import_text("%s/renewal/%s.conf", tree, name);

	if (!text)
		return;
	found->server = certbot_read_setting(text, "server");
	found->hook = certbot_read_setting(text, "renew_hook");
	if (!found->hook)
		found->hook = certbot_read_setting(text, "deploy_hook");
	CERTIFICATE_SETTINGS(READ_SETTING)
	free(text);
}

static int certbot_read_one(const char *tree, const char *name, struct import_list *list)
{
	struct import_found found = {0};

	/* Such as the README among them. */
	if (!import_is_there("%s/live/%s/fullchain.pem", tree, name))
		return 0;
	found.name = strdup(name);
	found.key = import_path("%s/live/%s/privkey.pem", tree, name);
	found.chain = import_path("%s/live/%s/fullchain.pem", tree, name);
	certbot_read_settings(&found, tree, name);
	return import_list_add(list, &found);
}

static bool has_common_hooks(const char *tree)
{
	size_t count;
	char **names;

	if (import_names(&names, &count, "%s/renewal-hooks/deploy", tree))
		return false;
	file_list_free(names, count);
	return count > 0;
}

static int read_certbot(const char *tree, struct import_list *list)
{
	size_t count, i;
	char **names;
	int err;

	err = import_names(&names, &count, "%s/live", tree);
	if (err)
		return err;
	for (i = 0; !err && i < count; i++)
		err = certbot_read_one(tree, names[i], list);
	file_list_free(names, count);
	if (has_common_hooks(tree))
		list->note = "the programs in its renewal-hooks/deploy are not imported: if you "
			     "need one, give it as --deploy-hook";
	return err;
}

const struct import_layout import_certbot = {
	.client = "certbot",
	.farewell = "systemctl disable --now certbot.timer, or remove its line from cron",
	.is_of = is_certbot,
	.read = read_certbot,
};
