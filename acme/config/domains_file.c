// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/config/domains_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "acme/util/failure.h"
#include "acme/config/identifiers.h"
#include "acme/util/name.h"
#include "acme/util/string_list.h"

#define BLANKS " \t\r\n\v\f"

/* The name behind ">", a new string.  NULL: the failure says why. */
static char *read_cert_name(const char *text, struct failure *failure)
{
	struct string_list words = {0};
	char *name = NULL;

	if (string_list_split(&words, text, BLANKS))
		failure_set_errno(failure, ENOMEM, "reading the line");
	else if (words.count != 1 || !certificate_name_is_valid(words.items[0]))
		failure_set(failure,
			    "use letters, digits and \"._-:\", with no dot at the beginning",
			    "one word must follow '>': the certificate's name on disk");
	else if (!(name = strdup(words.items[0])))
		failure_set_errno(failure, ENOMEM, "reading the line");
	string_list_done(&words);
	return name;
}

/* The names before ">", a new array.  NULL: the failure says why. */
static struct identifier *read_names(const char *text, size_t *ret_count, struct failure *failure)
{
	struct identifier *names = NULL;
	struct string_list words = {0};

	if (string_list_split(&words, text, BLANKS))
		failure_set_errno(failure, ENOMEM, "reading the line");
	else if (!words.count)
		failure_set(failure, NULL, "there is no name before '>'");
	else if (identifiers_parse(&names, ret_count, (const char *const *)words.items, words.count,
				   failure))
		names = NULL;
	string_list_done(&words);
	return names;
}

/* Read a line that is not empty and not a comment; it is cut. */
static int read_line(unsigned int number, char *text,
		     int (*each)(void *context, const struct domains_file_line *line),
		     void *context, struct failure *failure)
{
	char *alias = strchr(text, '>'), *cert_name = NULL;
	struct domains_file_line line = {.number = number};
	struct identifier *names = NULL;
	int result = 0;

	if (alias) {
		*alias++ = '\0';
		cert_name = read_cert_name(alias, failure);
	}
	if (!failure_is_set(failure))
		names = read_names(text, &line.name_count, failure);
	if (names) {
		line.names = names;
		line.cert_name = cert_name ? cert_name : names[0].value;
		result = each(context, &line);
	}
	free(cert_name);
	free(names);
	return result;
}

int domains_file_read(FILE *file, int (*each)(void *context, const struct domains_file_line *line),
		      void (*wrong)(void *context, unsigned int number,
				    const struct failure *failure),
		      void *context)
{
	struct failure failure = {0};
	char *text = NULL, *begin;
	unsigned int number = 0;
	size_t size = 0;
	ssize_t length;
	int result = 0;

	while (!result && (length = getline(&text, &size, file)) >= 0) {
		number++;
		begin = text + strspn(text, BLANKS);
		if (strlen(text) != (size_t)length)
			failure_set(&failure, NULL, "there is a zero byte in the line");
		else if (*begin && *begin != '#')
			result = read_line(number, begin, each, context, &failure);
		if (failure_is_set(&failure))
			wrong(context, number, &failure);
		failure_done(&failure);
	}
	if (!result && ferror(file))
		result = -EIO;
	else if (!result && !feof(file))
		result = -ENOMEM;
	free(text);
	return result;
}
