// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Certbot's tree, mostly /etc/letsencrypt:
 *
 *	live/<name>/{privkey,cert,chain,fullchain}.pem	-> ../../archive/<name>/privkey2.pem, ...
 *	renewal/<name>.conf		"key = value", among them server, renew_hook, and what
 *					certificate_spec.h calls by Certbot's names
 *	renewal-hooks/{pre,deploy,post}/	programs that are run at every renewal
 *	cli.ini				"key = value": defaults for everything
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

/* What sidestep does not do, or does in another way. */
static void certbot_leave_out(const char *text, const char *name, struct import_list *list)
{
	static const char *const hooks[] = {"pre_hook", "post_hook"};
	char *end = certbot_read_setting(text, "renew_before_expiry"), *hook;
	size_t i;

	for (i = 0; i < sizeof(hooks) / sizeof(*hooks); i++) {
		hook = certbot_read_setting(text, hooks[i]);
		if (hook)
			import_leave_out(list, "%s: its %s is not imported: %s", name, hooks[i],
					 hook);
		free(hook);
	}
	if (certbot_read_flag(text, "must_staple"))
		import_leave_out(list, "%s: must_staple is not imported: CAs no longer offer it",
				 name);
	hook = certbot_read_setting(text, "autorenew");
	if (hook && strcmp(hook, "False") == 0)
		import_leave_out(list, "%s: autorenew = False is not imported: sidestep renews it",
				 name);
	if (end)
		import_leave_out(list,
				 "%s: renew_before_expiry = %s is not imported; `sidestep "
				 "reconfigure %s --renew-before` sets it",
				 name, end, name);
	free(hook);
	free(end);
}

#define READ_TEXT certbot_read_text
#define READ_FLAG certbot_read_flag
#define READ_SETTING(kind, member, name, value, certbot, ...) \
	found->settings.member = READ_##kind(text, certbot);

static void certbot_read_settings(struct import_found *found, const char *tree, const char *name,
				  struct import_list *list)
{
	char *text = import_text("%s/renewal/%s.conf", tree, name);

	if (!text)
		return;
	found->server = certbot_read_setting(text, "server");
	found->hook = certbot_read_setting(text, "renew_hook");
	if (!found->hook)
		found->hook = certbot_read_setting(text, "deploy_hook");
	CERTIFICATE_SETTINGS(READ_SETTING)
	certbot_leave_out(text, name, list);
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
	certbot_read_settings(&found, tree, name, list);
	return import_list_add(list, &found);
}

static void leave_out_programs(const char *tree, struct import_list *list)
{
	static const char *const kinds[] = {"pre", "deploy", "post"};
	size_t kind, count, i;
	char **names;

	for (kind = 0; kind < sizeof(kinds) / sizeof(*kinds); kind++) {
		if (import_names(&names, &count, "%s/renewal-hooks/%s", tree, kinds[kind]))
			continue;
		for (i = 0; i < count; i++)
			import_leave_out(
				list, "%s/renewal-hooks/%s/%s is not imported; %s%s", tree,
				kinds[kind], names[i],
				kind ? "if it is needed, link it into /etc/sidestep/renewal-hooks/"
				     : "sidestep stops no server, and has no pre hooks",
				kind ? kinds[kind] : "");
		file_list_free(names, count);
	}
}

/* What Debian's package sets says nothing of certificates. */
static bool is_of_certificates(const char *line, size_t length)
{
	static const char *const others[] = {"max-log-backups", "preconfigured-renewal"};
	size_t i;

	for (i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (strlen(others[i]) == length && strncmp(line, others[i], length) == 0)
			return false;
	return true;
}

/* The settings of cli.ini by their names alone: a value may be a secret. */
static void leave_out_defaults(const char *tree, struct import_list *list)
{
	char *text = import_text("%s/cli.ini", tree);
	const char *line;
	size_t length;

	for (line = text; line && *line; line += *line == '\n') {
		line += strspn(line, " \t");
		length = strcspn(line, " \t=\r\n");
		if (length && *line != '#' && *line != ';' && *line != '[' &&
		    is_of_certificates(line, length))
			import_leave_out(list,
					 "%s/cli.ini: %.*s is not imported; what sidestep has of "
					 "it is set in sidestep.conf",
					 tree, (int)length, line);
		line += strcspn(line, "\n");
	}
	free(text);
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
	leave_out_programs(tree, list);
	leave_out_defaults(tree, list);
	return err;
}

const struct import_layout import_certbot = {
	.client = "certbot",
	.farewell = "systemctl disable --now certbot.timer, or remove its line from cron",
	.is_of = is_certbot,
	.read = read_certbot,
};
