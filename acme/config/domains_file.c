// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/config/domains_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "acme/util/failure.h"
#include "acme/config/identifiers.h"
#include "acme/crypto/csr.h"
#include "acme/util/name.h"

#define BLANKS " \t\r\n\v\f"

struct domains_file {
	FILE *file;
	char *line; /* getline(3)'s; domains_file_parse() cuts it */
	size_t room;
	unsigned int number;
	char *text; /* in the line */
	bool has_zero_byte;
	struct identifier *names; /* CSR_NAMES_MAX, for whichever line is parsed */
};

struct domains_file *domains_file_new(FILE *stream)
{
	struct domains_file *file = calloc(1, sizeof(*file));

	if (file)
		file->names = calloc(CSR_NAMES_MAX, sizeof(*file->names));
	if (!file || !file->names) {
		free(file);
		fclose(stream);
		return NULL;
	}
	file->file = stream;
	return file;
}

int domains_file_open(struct domains_file **ret_file, const char *path)
{
	FILE *stream = fopen(path, "re");
	struct stat status;

	if (!stream)
		return -errno;
	if (fstat(fileno(stream), &status) == 0 && S_ISDIR(status.st_mode)) {
		fclose(stream);
		return -EISDIR;
	}
	*ret_file = domains_file_new(stream);
	return *ret_file ? 0 : -ENOMEM;
}

void domains_file_free(struct domains_file *file)
{
	if (!file)
		return;
	fclose(file->file);
	free(file->line);
	free(file->names);
	free(file);
}

int domains_file_next(struct domains_file *file, struct domains_file_text *ret_text)
{
	size_t length;
	ssize_t size;

	for (errno = 0; (size = getline(&file->line, &file->room, file->file)) >= 0; errno = 0) {
		file->number++;
		file->text = file->line + strspn(file->line, BLANKS);
		length = strlen(file->text);
		file->has_zero_byte = file->text + length != file->line + size;
		while (length && strchr(BLANKS, file->text[length - 1]))
			length--;
		/* Such a line is nobody's: what stands before the byte is not all of it. */
		if (file->has_zero_byte)
			length = 0;
		file->text[length] = '\0';
		if (!file->has_zero_byte && (!length || file->text[0] == '#'))
			continue;
		*ret_text = (struct domains_file_text){
			.number = file->number, .text = file->text, .length = length};
		return 1;
	}
	return feof(file->file) ? 0 : errno ? -errno : -EIO;
}

/* --- what a line says --------------------------------------------------------------------------- */

/* The name behind ">", where it is in the line.  NULL: the failure says why. */
static const char *read_cert_name(char *text, struct failure *failure)
{
	char *name = text + strspn(text, BLANKS), *end = name + strcspn(name, BLANKS);
	bool is_one = !end[strspn(end, BLANKS)];

	*end = '\0';
	if (is_one && certificate_name_is_valid(name))
		return name;
	failure_set(failure, "use letters, digits and \"._-:\", with no dot at the beginning",
		    "one word must follow '>': the certificate's name on disk");
	return NULL;
}

static bool has_name(const struct domains_file_line *line, const char *value)
{
	size_t i;

	for (i = 0; i < line->name_count; i++)
		if (strcmp(line->names[i].value, value) == 0)
			return true;
	return false;
}

/* A name that is there twice counts once. */
static void add_name(struct domains_file *file, struct domains_file_line *line, const char *text,
		     struct failure *failure)
{
	struct identifier name;

	if (identifiers_parse_one(&name, text, failure) || has_name(line, name.value))
		return;
	if (line->name_count == CSR_NAMES_MAX)
		failure_set(failure, "spread them over several certificates",
			    "one certificate cannot have more than %d names", CSR_NAMES_MAX);
	else
		file->names[line->name_count++] = name;
}

int domains_file_parse(struct domains_file *file, struct domains_file_line *ret_line,
		       struct failure *failure)
{
	struct domains_file_line line = {.names = file->names};
	char *alias, *rest, *word;

	if (file->has_zero_byte) {
		failure_set(failure, NULL, "there is a zero byte in the line");
		return -1;
	}
	alias = strchr(file->text, '>');
	if (alias) {
		*alias++ = '\0';
		line.cert_name = read_cert_name(alias, failure);
	}
	for (word = strtok_r(file->text, BLANKS ",", &rest); word && !failure_is_set(failure);
	     word = strtok_r(NULL, BLANKS ",", &rest))
		add_name(file, &line, word, failure);
	if (!line.name_count)
		failure_set(failure, NULL, "there is no name before '>'");
	if (failure_is_set(failure))
		return -1;
	if (!line.cert_name)
		line.cert_name = line.names[0].value;
	*ret_line = line;
	return 0;
}
