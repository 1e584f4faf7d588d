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
