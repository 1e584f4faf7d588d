/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Certbot's tree, mostly /etc/letsencrypt:
 *
 *	live/<name>/{privkey,cert,chain,fullchain}.pem	-> ../../archive/<name>/privkey2.pem, ...
 *	renewal/<name>.conf		"key = value", among them server, renew_hook, reuse_key,
 *					preferred_profile, required_profile, preferred_chain
 *	renewal-hooks/deploy/		programs that are run for every renewed certificate
 *	accounts/<server>/<id>/private_key.json
 *
 * Its account keys are RSA, which our accounts are not, so they are not looked at.
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

/* A new string; NULL: it is not set, which may be written down as None. */
static char *certbot_read_setting(const char *text, const char *key)
{
	char *value = import_value(text, key);

	if (value && *value && strcmp(value, "None") != 0)
		return value;
	free(value);
	return NULL;
}

static void certbot_read_settings(struct import_found *found, const char *tree, const char *name)
{
	char *text = import_text("%s/renewal/%s.conf", tree, name), *reuse_key;

	if (!text)
		return;
	found->server = certbot_read_setting(text, "server");
	found->hook = certbot_read_setting(text, "renew_hook");
	if (!found->hook)
		found->hook = certbot_read_setting(text, "deploy_hook");
	found->preferred_profile = certbot_read_setting(text, "preferred_profile");
	found->required_profile = certbot_read_setting(text, "required_profile");
	found->preferred_chain = certbot_read_setting(text, "preferred_chain");
	reuse_key = certbot_read_setting(text, "reuse_key");
	found->reuse_key = reuse_key && strcmp(reuse_key, "True") == 0;
	free(reuse_key);
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
	int error;

	error = import_names(&names, &count, "%s/live", tree);
	if (error)
		return error;
	for (i = 0; !error && i < count; i++)
		error = certbot_read_one(tree, names[i], list);
	file_list_free(names, count);
	if (has_common_hooks(tree))
		list->note = "the programs in its renewal-hooks/deploy are not taken over: run "
			     "what is needed of them by --deploy-hook";
	return error;
}

const struct import_layout import_certbot = {
	.client = "certbot",
	.farewell = "systemctl disable --now certbot.timer, or remove its line from cron",
	.is_of = is_certbot,
	.read = read_certbot,
};
