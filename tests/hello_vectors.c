// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/hello_vectors.h"

#include <ctype.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tests run in the top directory of the source. */
#define DIRECTORY "tests/data/hello/"
#define SUFFIX    ".hello"

static const char *const verdict_names[] = {
	[CLIENT_HELLO_ACME] = "acme",
	[CLIENT_HELLO_OTHER] = "other",
	[CLIENT_HELLO_TRUNCATED] = "truncated",
	[CLIENT_HELLO_MALFORMED] = "malformed",
};

#define VERDICTS (sizeof(verdict_names) / sizeof(verdict_names[0]))

const char *hello_verdict_name(enum client_hello_verdict verdict)
{
	return (size_t)verdict < VERDICTS ? verdict_names[verdict] : "no verdict";
}

static void __attribute__((noreturn, format(printf, 1, 2))) give_up(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fprintf(stderr, "hello vectors: ");
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(1);
}

static void *must(void *memory)
{
	if (!memory)
		give_up("out of memory");
	return memory;
}

/* The line's value when it begins with `key` and a colon, as a new string; else NULL. */
static char *header(const char *line, const char *key)
{
	size_t length = strlen(key);

	if (strncmp(line, key, length) || line[length] != ':')
		return NULL;
	line += length + 1;
	return must(strdup(line + strspn(line, " ")));
}

/* Append the line's bytes, two digits each, to the vector. */
static void read_bytes(struct hello_vector *vector, const char *line)
{
	unsigned int byte;

	for (;;) {
		line += strspn(line, " ");
		if (!*line)
			return;
		if (!isxdigit((unsigned char)line[0]) || !isxdigit((unsigned char)line[1]) ||
		    sscanf(line, "%2x", &byte) != 1)
			give_up("%s: not hexadecimal: %s", vector->name, line);
		vector->data = must(realloc(vector->data, vector->size + 1));
		vector->data[vector->size++] = (uint8_t)byte;
		line += 2;
	}
}

static void read_verdict(struct hello_vector *vector, const char *text)
{
	for (size_t i = 0; i < VERDICTS; i++) {
		if (strcmp(text, verdict_names[i]) == 0) {
			vector->verdict = (enum client_hello_verdict)i;
			return;
		}
	}
	give_up("%s: no such verdict: %s", vector->name, text);
}

/* Returns whether it was the verdict. */
static int read_line(struct hello_vector *vector, char *line)
{
	char *value;

	line[strcspn(line, "#\n")] = '\0';
	if ((value = header(line, "verdict"))) {
		read_verdict(vector, value);
		free(value);
		return 1;
	}
	if ((value = header(line, "what")))
		vector->what = value;
	else if ((value = header(line, "server_name")))
		vector->server_name = value;
	else
		read_bytes(vector, line);
	return 0;
}

static void read_vector(struct hello_vector *vector, const char *path)
{
	int verdicts = 0;
	char line[1024];
	FILE *file;

	memset(vector, 0, sizeof(*vector));
	vector->name = must(strdup(path + strlen(DIRECTORY)));
	vector->name[strlen(vector->name) - strlen(SUFFIX)] = '\0';
	file = fopen(path, "r");
	if (!file)
		give_up("cannot open %s", path);
	while (fgets(line, sizeof(line), file))
		verdicts += read_line(vector, line);
	fclose(file);
	if (verdicts != 1 || !vector->what || !vector->server_name || !vector->size)
		give_up("%s: needs what, verdict, server_name and bytes", path);
}

void hello_vectors_load(struct hello_vectors *ret_vectors)
{
	glob_t paths;

	if (glob(DIRECTORY "*" SUFFIX, 0, NULL, &paths))
		give_up("none in %s: run this from the top directory of the source", DIRECTORY);
	ret_vectors->count = paths.gl_pathc;
	ret_vectors->list = must(calloc(paths.gl_pathc, sizeof(*ret_vectors->list)));
	for (size_t i = 0; i < paths.gl_pathc; i++)
		read_vector(&ret_vectors->list[i], paths.gl_pathv[i]);
	globfree(&paths);
}

void hello_vectors_free(struct hello_vectors *vectors)
{
	for (size_t i = 0; i < vectors->count; i++) {
		free(vectors->list[i].name);
		free(vectors->list[i].what);
		free(vectors->list[i].server_name);
		free(vectors->list[i].data);
	}
	free(vectors->list);
}

const struct hello_vector *hello_vectors_find(const struct hello_vectors *vectors, const char *name)
{
	for (size_t i = 0; i < vectors->count; i++)
		if (strcmp(vectors->list[i].name, name) == 0)
			return &vectors->list[i];
	give_up("there is no vector %s", name);
}
