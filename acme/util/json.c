// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/util/json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define URL_SCHEME     "https://"
#define URL_LENGTH_MAX 2000

json_t *json_read(const char *text, size_t size)
{
	json_t *document = json_loadb(text, size, 0, NULL);

	if (json_is_object(document))
		return document;
	json_decref(document);
	return NULL;
}

/* The length of the UTF-8 sequence at `text`, by its form; 0: it is none. */
static size_t utf8_length(const unsigned char *text, size_t left)
{
	size_t length = text[0] < 0x80             ? 1
			: (text[0] & 0xe0) == 0xc0 ? 2
			: (text[0] & 0xf0) == 0xe0 ? 3
			: (text[0] & 0xf8) == 0xf0 ? 4
						   : 0;
	size_t i;

	if (length > left)
		return 0;
	for (i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

/* Replace an escaped zero, which jansson refuses in a text, by a blank. */
static void blank_escaped_zeros(char *text)
{
	static const char zero[] = "\\u0000";

	while ((text = strstr(text, zero)))
		memset(text, ' ', strlen(zero));
}

json_t *json_read_damaged(const char *text, size_t size)
{
	const unsigned char *bytes = (const unsigned char *)text;
	char *copy = malloc(2 * size + 1), *end = copy;
	size_t length, i;
	json_t *object;

	if (!copy)
		return NULL;
	for (i = 0; i < size; i += length) {
		length = utf8_length(bytes + i, size - i);
		if (length == 1 && bytes[i] < ' ') {
			*end++ = ' ';
		} else if (length) {
			memcpy(end, bytes + i, length);
			end += length;
		} else {
			length = 1;
			*end++ = (char)(0xc0 | bytes[i] >> 6);
			*end++ = (char)(0x80 | (bytes[i] & 0x3f));
		}
	}
	*end = '\0';
	blank_escaped_zeros(copy);
	object = json_read(copy, (size_t)(end - copy));
	free(copy);
	return object;
}

const char *json_read_string(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

const char *json_read_url(const json_t *object, const char *member)
{
	const char *url = json_read_string(object, member);

	return url && url_is_usable(url) ? url : NULL;
}

bool json_read_true(const json_t *object, const char *member)
{
	return json_is_true(json_object_get(object, member));
}

json_t *json_new_text(const char *text)
{
	json_t *string = json_string(text);
	char *copy, *c;

	if (string)
		return string;
	copy = strdup(text);
	if (!copy)
		return NULL;
	for (c = copy; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	string = json_string(copy);
	free(copy);
	return string;
}

bool url_is_usable(const char *url)
{
	size_t scheme = strlen(URL_SCHEME), host, i;

	if (strncmp(url, URL_SCHEME, scheme) != 0 || strlen(url) > URL_LENGTH_MAX)
		return false;
	for (i = 0; url[i]; i++)
		if (url[i] <= ' ' || url[i] >= 0x7f || strchr("\"<>\\^`{|}#", url[i]))
			return false;
	host = strcspn(url + scheme, "/?");
	return host > 0 && !memchr(url + scheme, '@', host);
}
