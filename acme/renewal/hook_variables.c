// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/hook_variables.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acme/util/file.h"
#include "acme/util/string_list.h"
#include "common/paths.h"

/* The kernel takes 128 KiB for one string, and for all a quarter of the stack's limit. */
#define LIST_MAX (96 * 1024)

enum { LINEAGE, RENEWED, RENEWED_FILE, FAILED, FAILED_FILE };

static const char *const names[HOOK_VARIABLES] = {
	[LINEAGE] = "RENEWED_LINEAGE",           [RENEWED] = "RENEWED_DOMAINS",
	[RENEWED_FILE] = "RENEWED_DOMAINS_FILE", [FAILED] = "FAILED_DOMAINS",
	[FAILED_FILE] = "FAILED_DOMAINS_FILE",
};

/* Make "NAME=VALUE", or "NAME", which takes it out of the environment.  0 or -ENOMEM. */
static int set_variable(struct hook_variables *variables, int number, const char *value)
{
	char *text;

	if (asprintf(&text, "%s%s%s", names[number], value ? "=" : "", value ? value : "") < 0)
		return -ENOMEM;
	free(variables->items[number]);
	variables->items[number] = text;
	return 0;
}

/* Write the list, a line each, under a name of its own. */
static int write_list(const struct paths *paths, const char *name, const struct string_list *list,
		      char **ret_path)
{
	const struct file_access access = file_access_own(0600);
	char *text = string_list_join(list, '\n'), temporary[FILE_TEMPORARY_MAX];
	int directory, err;

	if (!text)
		return -ENOMEM;
	err = file_open_path(paths->state, 0755, &directory);
	if (!err) {
		err = file_create_temporary(directory, name, &access, text, strlen(text),
					    temporary);
		close(directory);
	}
	free(text);
	if (err)
		return err;
	return asprintf(ret_path, "%s/%s", paths->state, temporary) < 0 ? -ENOMEM : 0;
}

/* `number` is the list's; its file is the next.  `slot` is the file's of the two. */
static int set_list(struct hook_variables *variables, const struct paths *paths, int number,
		    int slot, const struct string_list *list, bool with_file)
{
	char *text = list ? string_list_join(list, ' ') : NULL;
	int err = list && !text ? -ENOMEM : 0;
	bool is_long = text && strlen(text) > LIST_MAX;

	if (!err && list && (with_file || is_long))
		err = write_list(paths, names[number + 1], list, &variables->files[slot]);
	if (!err)
		err = set_variable(variables, number, is_long ? NULL : text);
	if (!err)
		err = set_variable(variables, number + 1, variables->files[slot]);
	free(text);
	return err;
}

int hook_variables_fill(struct hook_variables *ret_variables, const struct paths *paths,
			const char *lineage, const struct string_list *renewed,
			const struct string_list *failed, bool with_files)
{
	struct hook_variables variables = {0};
	int err;

	err = set_variable(&variables, LINEAGE, lineage);
	if (!err)
		err = set_list(&variables, paths, RENEWED, 0, renewed, with_files);
	if (!err)
		err = set_list(&variables, paths, FAILED, 1, failed, with_files);
	if (err) {
		hook_variables_done(&variables);
		return err;
	}
	*ret_variables = variables;
	return 0;
}

int hook_variables_shorten(struct hook_variables *variables)
{
	int err = 0;

	if (variables->files[0])
		err = set_variable(variables, RENEWED, NULL);
	if (!err && variables->files[1])
		err = set_variable(variables, FAILED, NULL);
	return err;
}

void hook_variables_done(struct hook_variables *variables)
{
	size_t i;

	for (i = 0; i < sizeof(variables->files) / sizeof(*variables->files); i++) {
		if (variables->files[i])
			(void)unlink(variables->files[i]);
		free(variables->files[i]);
	}
	for (i = 0; i < HOOK_VARIABLES; i++)
		free(variables->items[i]);
	*variables = (struct hook_variables){0};
}
