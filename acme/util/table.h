/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A table for people: a line of titles, and rows below it.  On a terminal it is as wide as that, at
 * most: cells of flexible columns are cut, the widest first, and end in "..".  Elsewhere, where
 * COLUMNS is not set, nothing is cut.
 */
#ifndef ACME_UTIL_TABLE_H
#define ACME_UTIL_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct table;

#define TABLE_COLUMNS_MAX 8

struct table_column {
	const char *title;
	size_t least; /* characters, when it is cut; 0: never cut */
};

/* The columns must outlive it.  NULL: out of memory. */
struct table *table_new(const struct table_column *columns, size_t count);

/* Append a row: one text for each column, NULL for none; bytes that could confuse a terminal are shown
 * as '?'.  0 or -ENOMEM. */
int table_add(struct table *table, const char *const *cells);

/* Print all rows by output_line(); nothing when there are none. */
void table_print(const struct table *table);
void table_free(struct table *table);

#endif
