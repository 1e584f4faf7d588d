// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/util/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "acme/util/output.h"

#define GAP        2 /* blanks between columns */
#define LINE_MAX_W 4096

struct table {
	const struct table_column *columns;
	size_t column_count;
	char **cells; /* row by row */
	size_t row_count, room;
};

struct table *table_new(const struct table_column *columns, size_t count)
{
	struct table *table = calloc(1, sizeof(*table));

	if (table) {
		table->columns = columns;
		table->column_count = count;
	}
	return table;
}

static char *clean_copy(const char *text)
{
	char *copy = strdup(text ? text : "-"), *at;

	for (at = copy; at && *at; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	return copy;
}

int table_add(struct table *table, const char *const *cells)
{
	size_t count = table->column_count, room = table->room ? 2 * table->room : 16, i;
	char **grown, **row;

	if (table->row_count == table->room) {
		grown = reallocarray(table->cells, room * count, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		table->cells = grown;
		table->room = room;
	}
	row = table->cells + table->row_count * count;
	for (i = 0; i < count; i++) {
		row[i] = clean_copy(cells[i]);
		if (!row[i]) {
			while (i)
				free(row[--i]);
			return -ENOMEM;
		}
	}
	table->row_count++;
	return 0;
}

/* How wide it may be; 0: as wide as it gets. */
static size_t line_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;

	if (columns && atoi(columns) > 0)
		return (size_t)atoi(columns);
	if (!isatty(STDOUT_FILENO))
		return 0;
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

static size_t whole_width(const struct table *table, const size_t *widths)
{
	size_t width = GAP * (table->column_count - 1), i;

	for (i = 0; i < table->column_count; i++)
		width += widths[i];
	return width;
}

/* Take from the column that has the most above its least. */
static void fit(const struct table *table, size_t *widths)
{
	size_t width = line_width(), most, column, i;

	while (width && whole_width(table, widths) > width) {
		most = 0;
		column = table->column_count;
		for (i = 0; i < table->column_count; i++)
			if (table->columns[i].least && widths[i] > table->columns[i].least &&
			    widths[i] - table->columns[i].least > most) {
				most = widths[i] - table->columns[i].least;
				column = i;
			}
		if (!most)
			return;
		widths[column]--;
	}
}

static void print_row(const struct table *table, const size_t *widths, const char *const *cells)
{
	char line[LINE_MAX_W];
	size_t used = 0, length, i, room;

	for (i = 0; i < table->column_count && used + 1 < sizeof(line); i++) {
		length = strlen(cells[i]);
		room = sizeof(line) - 1 - used;
		if (length > room)
			length = room;
		if (length > widths[i])
			length = widths[i];
		memcpy(line + used, cells[i], length);
		if (length < strlen(cells[i]) && length > 2)
			memcpy(line + used + length - 2, "..", 2);
		used += length;
		for (; i + 1 < table->column_count && length < widths[i] + GAP &&
		       used + 1 < sizeof(line);
		     length++)
			line[used++] = ' ';
	}
	while (used && line[used - 1] == ' ')
		used--;
	line[used] = '\0';
	output_line("%s", line);
}

void table_print(const struct table *table)
{
	const char *titles[TABLE_COLUMNS_MAX];
	size_t widths[TABLE_COLUMNS_MAX], row, i;
	char *const *cells;

	if (!table->row_count)
		return;
	for (i = 0; i < table->column_count; i++) {
		titles[i] = table->columns[i].title;
		widths[i] = strlen(titles[i]);
		for (row = 0; row < table->row_count; row++) {
			cells = table->cells + row * table->column_count;
			if (strlen(cells[i]) > widths[i])
				widths[i] = strlen(cells[i]);
		}
	}
	fit(table, widths);
	print_row(table, widths, titles);
	for (row = 0; row < table->row_count; row++)
		print_row(table, widths,
			  (const char *const *)table->cells + row * table->column_count);
}

void table_free(struct table *table)
{
	size_t i;

	if (!table)
		return;
	for (i = 0; i < table->row_count * table->column_count; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
}
