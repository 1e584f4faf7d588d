// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/import/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "acme/util/file.h"
#include "acme/import/layouts.h"

#define TEXT_MAX 65536

/* --- paths ------------------------------------------------------------------------------------- */

static char *format_path(const char *format, va_list arguments)
{
	char *path;

	return vasprintf(&path, format, arguments) < 0 ? NULL : path;
}

char *import_path(const char *format, ...)
{
	va_list arguments;
	char *path;

	va_start(arguments, format);
	path = format_path(format, arguments);
	va_end(arguments);
	return path;
}

bool import_is_directory(const char *format, ...)
{
	struct stat status;
	va_list arguments;
	char *path;
	bool is;

	va_start(arguments, format);
	path = format_path(format, arguments);
	va_end(arguments);
	is = path && stat(path, &status) == 0 && S_ISDIR(status.st_mode);
	free(path);
	return is;
}

static bool is_there(const char *path)
{
	struct stat status;

	return path && lstat(path, &status) == 0;
}

bool import_is_there(const char *format, ...)
{
	va_list arguments;
	char *path;
	bool is;

	va_start(arguments, format);
	path = format_path(format, arguments);
	va_end(arguments);
	is = is_there(path);
	free(path);
	return is;
}

char *import_path_if_there(const char *format, ...)
{
	va_list arguments;
	char *path;

	va_start(arguments, format);
	path = format_path(format, arguments);
	va_end(arguments);
	if (is_there(path))
		return path;
	free(path);
	return NULL;
}

/* --- contents ---------------------------------------------------------------------------------- */

char *import_text(const char *format, ...)
{
	char *path, *text = NULL;
	va_list arguments;
	size_t size;

	va_start(arguments, format);
	path = format_path(format, arguments);
	va_end(arguments);
	if (path && file_read(AT_FDCWD, path, TEXT_MAX, &text, &size))
		text = NULL;
	free(path);
	return text;
}

static int select_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int import_names(char ***ret_names, size_t *ret_count, const char *format, ...)
{
	va_list arguments;
	char *path;
	int err;

	va_start(arguments, format);
	path = format_path(format, arguments);
	va_end(arguments);
	if (!path)
		return -ENOMEM;
	err = file_list(path, select_visible, ret_names, ret_count);
	free(path);
	return err;
}

/* Behind "KEY" and the sign, if the line gives a value to the key; else NULL. */
static const char *behind_key(const char *line, const char *key)
{
	line += strspn(line, " \t");
	if (strncmp(line, key, strlen(key)) != 0)
		return NULL;
	line += strlen(key);
	line += strspn(line, " \t");
	if (*line != '=')
		return NULL;
	line++;
	return line + strspn(line, " \t");
}

char *import_value(const char *text, const char *key)
{
	const char *line, *value;
	size_t length;

	for (line = text; *line; line += *line == '\n') {
		value = behind_key(line, key);
		line += strcspn(line, "\n");
		if (!value)
			continue;
		length = strcspn(value, "\r\n");
		while (length && (value[length - 1] == ' ' || value[length - 1] == '\t'))
			length--;
		if (length >= 2 && (value[0] == '\'' || value[0] == '"') &&
		    value[length - 1] == value[0]) {
			value++;
			length -= 2;
		}
		return strndup(value, length);
	}
	return NULL;
}

/* --- CAs that have moved ------------------------------------------------------------------------ */

const char *import_present_server(const char *server)
{
	/* Accounts of the old addresses are also those of the new ones. */
	static const struct {
		const char *old, *present;
	} moves[] = {
		{"https://acme-v01.api.letsencrypt.org/directory",
		 "https://acme-v02.api.letsencrypt.org/directory"},
		{"https://acme-staging.api.letsencrypt.org/directory",
		 "https://acme-staging-v02.api.letsencrypt.org/directory"},
	};
	size_t i;

	for (i = 0; i < sizeof(moves) / sizeof(*moves); i++)
		if (strcmp(moves[i].old, server) == 0)
			return moves[i].present;
	return server;
}

/* --- what was found ---------------------------------------------------------------------------- */

#define FREE_TEXT(text) free((char *)(text));
#define FREE_FLAG(flag)
#define FREE_SETTING(kind, member, ...) FREE_##kind(found->settings.member)

static void found_done(struct import_found *found)
{
	free(found->name);
	free(found->key);
	free(found->chain);
	free(found->issuers);
	free(found->server);
	free(found->hook);
	CERTIFICATE_SETTINGS(FREE_SETTING)
	free(found->account);
}

void import_leave_out(struct import_list *list, const char *format, ...)
{
	va_list arguments;
	char *text, *at;

	va_start(arguments, format);
	text = format_path(format, arguments);
	va_end(arguments);
	for (at = text; at && *at; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	if (text)
		string_list_add(&list->left_out, text);
	free(text);
}

/* 0 or -ENOMEM. */
static int correct_server(struct import_found *found)
{
	const char *present = found->server ? import_present_server(found->server) : NULL;
	char *copy;

	if (present == found->server)
		return 0;
	copy = strdup(present);
	if (!copy)
		return -ENOMEM;
	free(found->server);
	found->server = copy;
	return 0;
}

int import_list_add(struct import_list *list, struct import_found *found)
{
	size_t room = list->room ? 2 * list->room : 16;
	struct import_found *grown;

	if (!found->name || !found->key || !found->chain || correct_server(found))
		goto fail;
	if (list->count == list->room) {
		grown = reallocarray(list->found, room, sizeof(*grown));
		if (!grown)
			goto fail;
		list->found = grown;
		list->room = room;
	}
	list->found[list->count++] = *found;
	return 0;
fail:
	found_done(found);
	return -ENOMEM;
}

void import_list_done(struct import_list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		found_done(&list->found[i]);
	free(list->found);
	string_list_done(&list->left_out);
	*list = (struct import_list){0};
}
