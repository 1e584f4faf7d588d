// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/option_table.h"

#include <string.h>

#define WIDTH       80
#define HELP_COLUMN 30 /* where the explanations of options begin */

/* --- plain text --------------------------------------------------------------------------------- */

/*
 * Print one paragraph, up to the end of its line. Its lines begin in column `left`; the first line
 * has already reached `column`.
 */
static void print_wrapped(const char *text, size_t left, size_t column, FILE *out)
{
	size_t length;

	for (text += strspn(text, " "); *text && *text != '\n'; text += strspn(text, " ")) {
		length = strcspn(text, " \n");
		if (column > left && column + 1 + length > WIDTH) {
			fputc('\n', out);
			column = 0;
		}
		if (column > left) {
			fputc(' ', out);
			column++;
		}
		for (; column < left; column++)
			fputc(' ', out);
		fwrite(text, 1, length, out);
		column += length;
		text += length;
	}
	fputc('\n', out);
}

void option_print_text(const char *text, FILE *out)
{
	size_t length;

	for (; *text; text += length + (text[length] == '\n')) {
		length = strcspn(text, "\n");
		if (*text == ' ')
			fprintf(out, "%.*s\n", (int)length, text);
		else
			print_wrapped(text, 0, 0, out);
	}
}

/* "-d, --domain NAME" */
static void print_option(const struct option_row *row, bool has_letters, FILE *out)
{
	char left[96], letter[] = {'-', row->letter, ',', ' ', '\0'};
	int length;

	length = snprintf(left, sizeof(left), "  %s--%s%s%s",
			  row->letter   ? letter
			  : has_letters ? "    "
					: "",
			  row->name, row->value ? " " : "", row->value ? row->value : "");
	fputs(left, out);
	if (length >= HELP_COLUMN) {
		fputc('\n', out);
		length = 0;
	}
	print_wrapped(row->help, HELP_COLUMN, (size_t)length, out);
}

static bool is_shown(const struct option_page *page, const struct option_row *row)
{
	return row->help && (!page->verbs || row->verbs & page->verbs);
}

static bool has_letters(const struct option_page *page)
{
	size_t i;

	for (i = 0; i < page->table->count; i++)
		if (page->table->rows[i].letter && is_shown(page, &page->table->rows[i]))
			return true;
	return false;
}

void option_print_help(const struct option_page *page, FILE *out)
{
	size_t i;

	fprintf(out, "usage: %s %s\n", page->command, page->usage);
	if (page->before) {
		fputc('\n', out);
		option_print_text(page->before, out);
	}
	fputc('\n', out);
	for (i = 0; i < page->table->count; i++)
		if (is_shown(page, &page->table->rows[i]))
			print_option(&page->table->rows[i], has_letters(page), out);
	if (page->after) {
		fputc('\n', out);
		option_print_text(page->after, out);
	}
}

/* --- mdoc(7) -------------------------------------------------------------------------------------- */

/* Escape text for mdoc(7); prose gets one line for each sentence. */
static void print_escaped(const char *text, size_t length, bool is_prose, FILE *out)
{
	bool is_first = true;
	size_t i;

	for (i = 0; i < length; i++) {
		if (is_first && (text[i] == '.' || text[i] == '\''))
			fputs("\\&", out);
		is_first = is_prose && text[i] == ' ' && i && strchr(".:?", text[i - 1]);
		if (is_first)
			fputc('\n', out);
		else if (text[i] == '\\')
			fputs("\\e", out);
		else if (text[i] == '-')
			fputs("\\-", out);
		else
			fputc(text[i], out);
	}
}

void option_print_man_text(const char *text, FILE *out)
{
	bool is_literal = false;
	size_t length;

	for (; *text; text += length + (text[length] == '\n')) {
		length = strcspn(text, "\n");
		if (is_literal != (*text == ' ')) {
			is_literal = !is_literal;
			fputs(is_literal ? ".Bd -literal\n" : ".Ed\n", out);
		}
		/* An empty line ends a paragraph; .Bd and .Ed do so anyway. */
		if (length) {
			print_escaped(text, length, !is_literal, out);
			fputc('\n', out);
		} else if (text[1] && text[1] != ' ' && text[1] != '\n') {
			fputs(".Pp\n", out);
		}
	}
	if (is_literal)
		fputs(".Ed\n", out);
}

static void print_man_option(const struct option_row *row, FILE *out)
{
	fputs(".It ", out);
	if (row->letter)
		fprintf(out, "Fl %c , ", row->letter);
	fprintf(out, "Fl -%s", row->name);
	if (row->value)
		fprintf(out, " Ar %s", row->value);
	fputc('\n', out);
	print_escaped(row->help, strlen(row->help), true, out);
	fputc('\n', out);
}

void option_print_man(const struct option_page *page, FILE *out)
{
	size_t i;

	fputs(".Bd -literal\n", out);
	print_escaped(page->command, strlen(page->command), false, out);
	fputc(' ', out);
	print_escaped(page->usage, strlen(page->usage), false, out);
	fputs("\n.Ed\n", out);
	if (page->before) {
		if (page->before[0] != ' ')
			fputs(".Pp\n", out);
		option_print_man_text(page->before, out);
	}
	fputs(".Bl -tag -width Ds\n", out);
	for (i = 0; i < page->table->count; i++)
		if (is_shown(page, &page->table->rows[i]))
			print_man_option(&page->table->rows[i], out);
	fputs(".El\n", out);
	if (page->after) {
		fputs(".Pp\n", out);
		option_print_man_text(page->after, out);
	}
}
