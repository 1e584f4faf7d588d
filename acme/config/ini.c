// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/config/ini.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS          " \t\r\n\v\f"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

struct ini_reader {
	int (*each)(void *context, const struct ini_setting *setting);
	void *context;
	char *section; /* NULL before the first */
	char *name; /* of the last setting in this section, which an indented line continues */
	struct ini_error error;
};

static bool is_blank(char c)
{
	return c && strchr(BLANKS, c);
}

/* Cut off the blanks at the end. */
static void ini_trim(char *text)
{
	size_t length = strlen(text);

	while (length && is_blank(text[length - 1]))
		length--;
	text[length] = '\0';
}

/* A value without the blanks around it.  `text` is cut. */
static char *ini_value(char *text)
{
	ini_trim(text);
	return text + strspn(text, BLANKS);
}

static int ini_wrong(struct ini_reader *reader, const char *cause)
{
	reader->error.cause = cause;
	return -EBADMSG;
}

/* Keep a copy of `text` in *kept. */
static int ini_keep(char **kept, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*kept);
	*kept = copy;
	return 0;
}

static int ini_tell(struct ini_reader *reader, const char *value, bool is_continued)
{
	const struct ini_setting setting = {
		.section = reader->section ? reader->section : "",
		.name = reader->name,
		.value = value,
		.line = reader->error.line,
		.is_continued = is_continued,
	};

	return reader->each(reader->context, &setting);
}

/* Behind "[". */
static int ini_take_section(struct ini_reader *reader, char *text)
{
	char *end = strchr(text, ']'), *rest;

	if (!end)
		return ini_wrong(reader, "the section's name has no ']' at its end");
	rest = end + 1 + strspn(end + 1, BLANKS);
	if (*rest && *rest != '#' && *rest != ';')
		return ini_wrong(reader, "there is text behind the section's ']'");
	*end = '\0';
	ini_trim(text);
	free(reader->name);
	reader->name = NULL;
	return ini_keep(&reader->section, text + strspn(text, BLANKS));
}

static int ini_take_setting(struct ini_reader *reader, char *text)
{
	char *sign = strpbrk(text, "=:");
	int err;

	if (!sign)
		return ini_wrong(reader, "this is neither a setting nor a section");
	*sign = '\0';
	ini_trim(text);
	if (!*text)
		return ini_wrong(reader, "the setting has no name before its sign");
	err = ini_keep(&reader->name, text);
	return err ? err : ini_tell(reader, ini_value(sign + 1), false);
}

static int ini_take_line(struct ini_reader *reader, char *line)
{
	char *text = line + strspn(line, BLANKS);

	if (!*text || *text == '#' || *text == ';')
		return 0;
	if (text > line && reader->name)
		return ini_tell(reader, ini_value(text), true);
	if (*text == '[')
		return ini_take_section(reader, text + 1);
	return ini_take_setting(reader, text);
}

int ini_read(FILE *file, int (*each)(void *context, const struct ini_setting *setting),
	     void *context, struct ini_error *ret_error)
{
	struct ini_reader reader = {.each = each, .context = context};
	char *line = NULL, *text;
	size_t room = 0;
	ssize_t length;
	int err = 0;

	errno = 0;
	while (!err && (length = getline(&line, &room, file)) >= 0) {
		text = line;
		if (!reader.error.line++ && strncmp(line, BYTE_ORDER_MARK, 3) == 0)
			text += strlen(BYTE_ORDER_MARK);
		if (strlen(line) == (size_t)length)
			err = ini_take_line(&reader, text);
		else
			err = ini_wrong(&reader, "there is a zero byte in the line");
	}
	if (!err && !feof(file))
		err = errno ? -errno : -EIO;
	free(line);
	free(reader.section);
	free(reader.name);
	*ret_error = reader.error;
	return err;
}
