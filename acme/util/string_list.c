// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/util/string_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int add_part(struct string_list *list, const char *text, size_t length)
{
	char **items = reallocarray(list->items, list->count + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	list->items = items;
	items[list->count] = strndup(text, length);
	if (items[list->count]) {
		list->count++;
		return 0;
	}
	if (!list->count) {
		free(items);
		list->items = NULL;
	}
	return -ENOMEM;
}

int string_list_add(struct string_list *list, const char *text)
{
	return add_part(list, text, strlen(text));
}

int string_list_split(struct string_list *list, const char *text, const char *separators)
{
	size_t length;

	for (text += strspn(text, separators); *text; text += strspn(text, separators)) {
		length = strcspn(text, separators);
		if (add_part(list, text, length))
			return -ENOMEM;
		text += length;
	}
	return 0;
}

int string_list_append(struct string_list *list, const struct string_list *from)
{
	size_t i;

	for (i = 0; i < from->count; i++)
		if (string_list_add(list, from->items[i]))
			return -ENOMEM;
	return 0;
}

char *string_list_join(const struct string_list *list, char separator)
{
	size_t size = 1, i;
	char *text, *end;

	for (i = 0; i < list->count; i++)
		size += strlen(list->items[i]) + 1;
	text = end = malloc(size);
	if (!text)
		return NULL;
	for (i = 0; i < list->count; i++) {
		if (i)
			*end++ = separator;
		end = stpcpy(end, list->items[i]);
	}
	*end = '\0';
	return text;
}

size_t string_list_find(const struct string_list *list, const char *text)
{
	size_t i = 0;

	while (i < list->count && strcmp(list->items[i], text) != 0)
		i++;
	return i;
}

bool string_list_equal(const struct string_list *a, const struct string_list *b)
{
	size_t i;

	if (a->count != b->count)
		return false;
	for (i = 0; i < a->count; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

void string_list_done(struct string_list *list)
{
	while (list->count)
		free(list->items[--list->count]);
	free(list->items);
	list->items = NULL;
}
