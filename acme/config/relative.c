// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/config/relative.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Characters that mean nothing to the shell. */
#define PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/+@-"

char *relative_path(const char *directory, const char *path)
{
	char *current = NULL, *whole = NULL;

	if (*path == '/')
		return strdup(path);
	if (*directory != '/') {
		current = getcwd(NULL, 0);
		if (!current)
			return NULL;
	}
	while (path[0] == '.' && path[1] == '/')
		path += 2 + strspn(path + 2, "/");
	if (asprintf(&whole, "%s%s%s/%s", current ? current : "", current && *directory ? "/" : "",
		     directory, path) < 0)
		whole = NULL;
	free(current);
	return whole;
}

/* Append `text` to `out` as one word of the shell. */
static void print_word(FILE *out, const char *text)
{
	bool is_plain = !text[strspn(text, PLAIN)];

	if (is_plain) {
		fputs(text, out);
		return;
	}
	fputc('\'', out);
	for (; *text; text++)
		if (*text == '\'')
			fputs("'\\''", out);
		else
			fputc(*text, out);
	fputc('\'', out);
}

/* A command whose first `length` bytes are a relative path. */
static char *with_absolute_program(const char *directory, const char *command, size_t length)
{
	char *program = strndup(command, length), *path = NULL, *text = NULL;
	size_t size;
	FILE *out;

	if (program)
		path = relative_path(directory, program);
	out = path ? open_memstream(&text, &size) : NULL;
	if (out) {
		print_word(out, path);
		fputs(command + length, out);
		if (fclose(out)) {
			free(text);
			text = NULL;
		}
	}
	free(path);
	free(program);
	return text;
}

char *relative_command(const char *directory, const char *command)
{
	size_t length = strspn(command, PLAIN);
	bool is_word = !command[length] || strchr(" \t;&|<>", command[length]);

	/* The shell looks for a program without a slash in its PATH. */
	if (*command == '/' || !is_word || !memchr(command, '/', length))
		return strdup(command);
	return with_absolute_program(directory, command, length);
}
