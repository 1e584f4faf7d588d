// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/protocol/link_header.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "acme/net/url.h"

#define BLANKS " \t"

static const char *skip_link_blanks(const char *at)
{
	return at + strspn(at, BLANKS);
}

/* Whether one of the words, separated by blanks, is this relation. */
static bool has_word(const char *words, size_t length, const char *relation)
{
	size_t wanted = strlen(relation), word;

	while (length) {
		word = strcspn(words, BLANKS);
		if (word > length)
			word = length;
		if (word == wanted && strncasecmp(words, relation, wanted) == 0)
			return true;
		if (word < length)
			word++;
		words += word;
		length -= word;
	}
	return false;
}

/* Skip a parameter's value, quoted or not.  Returns its end; NULL: the quote is not closed. */
static const char *read_link_value(const char *at, const char **ret_value, size_t *ret_length)
{
	const char *end;

	if (*at != '"') {
		*ret_value = at;
		*ret_length = strcspn(at, BLANKS ";,");
		return at + *ret_length;
	}
	for (end = ++at; *end != '"'; end++) {
		if (*end == '\\' && end[1])
			end++;
		if (!*end)
			return NULL;
	}
	*ret_value = at;
	*ret_length = (size_t)(end - at);
	return end + 1;
}

/* Read the parameters after a link's target; the first "rel" counts.  NULL: malformed. */
static const char *read_parameters(const char *at, const char *relation, bool *ret_matches)
{
	const char *name, *value;
	size_t name_length, length;
	bool has_rel = false;

	*ret_matches = false;
	for (at = skip_link_blanks(at); *at == ';'; at = skip_link_blanks(at)) {
		name = skip_link_blanks(at + 1);
		name_length = strcspn(name, BLANKS "=;,\"");
		at = skip_link_blanks(name + name_length);
		if (*at != '=')
			continue;
		at = read_link_value(skip_link_blanks(at + 1), &value, &length);
		if (!at)
			return NULL;
		if (has_rel || name_length != strlen("rel") ||
		    strncasecmp(name, "rel", name_length) != 0)
			continue;
		has_rel = true;
		*ret_matches = has_word(value, length, relation);
	}
	return *at == ',' || !*at ? at : NULL;
}

size_t link_header_read(char **ret_urls, size_t max, const char *value, const char *relation,
			const char *base)
{
	const char *at = value, *target, *end;
	size_t count = 0;
	bool matches;

	while (count < max) {
		at += strspn(at, BLANKS ",");
		if (*at != '<')
			break;
		target = at + 1;
		end = strchr(target, '>');
		if (!end)
			break;
		at = read_parameters(end + 1, relation, &matches);
		if (!at)
			break;
		if (!matches)
			continue;
		ret_urls[count] = url_resolve(target, (size_t)(end - target), base);
		count += ret_urls[count] != NULL;
	}
	return count;
}
