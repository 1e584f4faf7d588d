/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A list that owns its texts: the names of a certificate, the CAs to try. */
#ifndef ACME_UTIL_STRING_LIST_H
#define ACME_UTIL_STRING_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* All zero: empty. */
struct string_list {
	char **items; /* NULL when `count` is 0 */
	size_t count;
};

/*
 * A list that does not own its texts: STRING_LIST("a", "b").  It lives as long as the enclosing
 * block.  Do not pass it to string_list_done().
 */
#define STRING_LIST(...)                                                         \
	((struct string_list){                                                   \
		.items = (char **)(const char *[]){__VA_ARGS__},                 \
		.count = sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), \
	})

/* Append a copy of `text`.  0 or -ENOMEM: the list is unchanged. */
int string_list_add(struct string_list *list, const char *text);

/*
 * Append the words of `text`, which characters of `separators` separate.  0 or -ENOMEM: some words
 * may be appended.
 */
int string_list_split(struct string_list *list, const char *text, const char *separators);

/* Append copies of all texts of `from`.  0 or -ENOMEM: some may be appended. */
int string_list_append(struct string_list *list, const struct string_list *from);

/* The texts with `separator` between them, as a new string.  NULL: out of memory. */
char *string_list_join(const struct string_list *list, char separator);

/* The index of the first item that is `text`; `count` when none is. */
size_t string_list_find(const struct string_list *list, const char *text);

/* Whether both have the same texts in the same order. */
bool string_list_equal(const struct string_list *a, const struct string_list *b);

/* Free the texts; the list is empty afterwards. */
void string_list_done(struct string_list *list);

#endif
