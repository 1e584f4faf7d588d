/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading another client's tree: symbolic links are followed, sizes bounded, nothing written. */
#ifndef ACME_IMPORT_TREE_H
#define ACME_IMPORT_TREE_H

#include <stdbool.h>
#include <stddef.h>

/* A new string; NULL when out of memory. */
char *import_path(const char *format, ...) __attribute__((format(printf, 1, 2)));

bool import_is_directory(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether something has this name, be it a link that leads nowhere. */
bool import_is_there(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The path as a new string, if something is there; NULL: nothing is, or out of memory. */
char *import_path_if_there(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A small text file as a new string; NULL: it cannot be read, or is too large to be meant. */
char *import_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * The names in a directory, sorted, without those that begin with a dot; a directory that is not
 * there has none.  *ret_names is for file_list_free().  0 or -errno.
 */
int import_names(char ***ret_names, size_t *ret_count, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * What the first line "KEY=VALUE" (or with blanks around the sign) of a text gives to `key`, without
 * quotes around it, as a new string.  NULL: no line does, or out of memory.
 */
char *import_value(const char *text, const char *key);

/* The directory URL that has taken the place of one that is gone; any other as it is. */
const char *import_present_server(const char *server);

#endif
