/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/config/domains_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "acme/util/failure.h"
#include "acme/config/identifiers.h"
#include "acme/protocol/order.h"
#include "acme/store/store.h"

#define BLANKS " \t\r\n\v\f"

/* Cut the words up that are in `text`; 0, or -1 when there are more than a certificate can have. */
static int split(const char *words[ORDER_NAMES_MAX], size_t *ret_count, char *text)
{
	char *place = NULL, *word;

	*ret_count = 0;
	for (word = strtok_r(text, BLANKS, &place); word; word = strtok_r(NULL, BLANKS, &place)) {
		if (*ret_count == ORDER_NAMES_MAX)
			return -1;
		words[(*ret_count)++] = word;
	}
	return 0;
}

/* What stands behind ">"; NULL: the failure tells. */
static const char *read_cert_name(char *text, struct failure *failure)
{
	const char *words[ORDER_NAMES_MAX];
	size_t count;

	if (split(words, &count, text) || count != 1 || !store_name_is_valid(words[0])) {
		failure_set(failure, "letters, digits and \"._-:\", with no dot at the beginning",
			    "behind > belongs what the certificate is called, one word");
		return NULL;
	}
	return words[0];
}

/* A line without its comment and its end; it is cut up. */
static int read_line(const struct domains_line *place, char *text,
		     int (*each)(void *context, const struct domains_line *line), void *context,
		     struct failure *failure)
{
	struct domains_line line = *place;
	const char *words[ORDER_NAMES_MAX];
	char *alias = strchr(text, '>');
	struct identifier *names;
	size_t count;
	int result;

	if (alias) {
		*alias++ = '\0';
		line.cert_name = read_cert_name(alias, failure);
		if (!line.cert_name)
			return 0;
	}
	if (split(words, &count, text))
		failure_set(failure, "spread them over several lines",
			    "one certificate cannot have more than %d names", ORDER_NAMES_MAX);
	else if (!count)
		failure_set(failure, NULL, "no name stands before >");
	if (failure_is_set(failure) || names_parse(&names, &line.name_count, words, count, failure))
		return 0;
	line.names = names;
	if (!line.cert_name)
		line.cert_name = names[0].value;
	result = each(context, &line);
	free(names);
	return result;
}

int domains_read(FILE *file, int (*each)(void *context, const struct domains_line *line),
		 void (*wrong)(void *context, unsigned int number, const struct failure *failure),
		 void *context)
{
	struct domains_line line = {0};
	struct failure failure = {0};
	char *text = NULL, *begin;
	size_t size = 0;
	ssize_t length;
	int result = 0;

	while (!result && (length = getline(&text, &size, file)) >= 0) {
		line.number++;
		begin = text + strspn(text, BLANKS);
		if (strlen(text) != (size_t)length)
			failure_set(&failure, NULL, "there is a zero byte in it");
		else if (*begin && *begin != '#')
			result = read_line(&line, begin, each, context, &failure);
		if (failure_is_set(&failure))
			wrong(context, line.number, &failure);
		failure_done(&failure);
	}
	if (!result && ferror(file))
		result = -EIO;
	else if (!result && !feof(file))
		result = -ENOMEM;
	free(text);
	return result;
}
