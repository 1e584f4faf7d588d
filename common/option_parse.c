// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/option_table.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX  128
#define CODE_BASE 256 /* getopt's code of the first row; codes below are letters */

void option_wrong(struct option_error *error, const char *format, ...)
{
	va_list list;

	if (error->text[0])
		return;
	va_start(list, format);
	vsnprintf(error->text, sizeof(error->text), format, list);
	va_end(list);
}

/* --- values ----------------------------------------------------------------------------------- */

static bool read_number(const char *text, double max, double *ret_number)
{
	char *end;

	if (text[strspn(text, "0123456789.eE")] || text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*ret_number = strtod(text, &end);
	return !*end && !errno && *ret_number > 0 && *ret_number <= max;
}

static void take_number(const struct option_row *row, void *field, const char *value,
			struct option_error *error)
{
	double number;
	uint64_t whole;

	if (!read_number(value, row->max, &number) || number != floor(number)) {
		option_wrong(error, "--%s takes a whole number from 1 to %.0f, not '%s'", row->name,
			     row->max, value);
		return;
	}
	whole = (uint64_t)number;
	if (row->size == sizeof(uint64_t))
		memcpy(field, &whole, sizeof(whole));
	else if (row->size == sizeof(uint32_t))
		memcpy(field, &(uint32_t){(uint32_t)whole}, sizeof(uint32_t));
	else
		memcpy(field, &(uint16_t){(uint16_t)whole}, sizeof(uint16_t));
}

static void take_decimal(const struct option_row *row, void *field, const char *value,
			 struct option_error *error)
{
	double number;

	if (read_number(value, row->max, &number))
		*(double *)field = number;
	else
		option_wrong(error, "--%s takes a number above 0, up to %.0f, not '%s'", row->name,
			     row->max, value);
}

/* "a, b or c" */
static void list_choices(const char *const *choices, char *text, size_t size)
{
	size_t used = 0, i;

	for (i = 0; choices[i] && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s",
					 i == 0           ? ""
					 : choices[i + 1] ? ", "
							  : " or ",
					 choices[i]);
}

static void take_choice(const struct option_row *row, void *field, const char *value,
			struct option_error *error)
{
	char all[128] = "";
	unsigned int i;

	assert(row->size == sizeof(i));
	for (i = 0; row->choices[i]; i++)
		if (strcmp(row->choices[i], value) == 0) {
			memcpy(field, &i, sizeof(i));
			return;
		}
	list_choices(row->choices, all, sizeof(all));
	option_wrong(error, "--%s takes %s, not '%s'", row->name, all, value);
}

static void take_option(const struct option_row *row, void *target, const char *value,
			struct option_error *error)
{
	void *field = (char *)target + row->field;
	struct option_texts *texts = field;

	/* Probably an unset variable of a script: refuse it rather than guess. */
	if (value && !*value && !row->may_be_empty) {
		option_wrong(error, "--%s has an empty value", row->name);
		return;
	}
	switch (row->kind) {
	case OPTION_FLAG:
		if (row->size == sizeof(bool))
			*(bool *)field = true;
		else
			memcpy(field, &(unsigned int){1}, sizeof(unsigned int));
		break;
	case OPTION_TEXT:
		*(const char **)field = value;
		break;
	case OPTION_TEXTS:
		texts->items[texts->count++] = value;
		break;
	case OPTION_NUMBER:
		take_number(row, field, value, error);
		break;
	case OPTION_DECIMAL:
		take_decimal(row, field, value, error);
		break;
	case OPTION_CHOICE:
		take_choice(row, field, value, error);
		break;
	case OPTION_OWN:
		row->take(target, value, error);
		break;
	}
}

/* --- getopt_long(3) ---------------------------------------------------------------------------- */

static void make_options(const struct option_table *table, struct option *options, char *letters)
{
	size_t i;

	*letters++ = ':'; /* getopt tells a missing value apart */
	for (i = 0; i < table->count; i++) {
		const struct option_row *row = &table->rows[i];

		options[i] = (struct option){
			.name = row->name,
			.has_arg = row->value ? required_argument : no_argument,
			.val = CODE_BASE + (int)i,
		};
		if (row->letter)
			*letters++ = row->letter;
		if (row->letter && row->value)
			*letters++ = ':';
	}
	options[table->count] = (struct option){0};
	*letters = '\0';
}

/* The row of a getopt code; NULL when the code reports a fault. */
static const struct option_row *find_row(const struct option_table *table, int code)
{
	size_t i;

	if (code >= CODE_BASE)
		return &table->rows[code - CODE_BASE];
	for (i = 0; i < table->count; i++)
		if (table->rows[i].letter == code)
			return &table->rows[i];
	return NULL;
}

/* getopt_long() has found a fault in `word`. */
static void explain(const struct option_table *table, int code, char *word,
		    struct option_error *error)
{
	if (code == ':') {
		option_wrong(error, "the option %s needs a value", word);
	} else if (optopt >= CODE_BASE) {
		option_wrong(error, "--%s takes no value", table->rows[optopt - CODE_BASE].name);
	} else {
		if (!error->text[0])
			error->unknown = word;
		if (optopt)
			option_wrong(error, "there is no option -%c", optopt);
		else
			option_wrong(error, "there is no option %s", word);
	}
}

int option_parse(const struct option_table *table, int argc, char **argv, void *target, bool *given,
		 struct option_error *error)
{
	struct option options[ROWS_MAX + 1];
	char letters[2 * ROWS_MAX + 2];
	const struct option_row *row;
	int code;

	assert(table->count <= ROWS_MAX);
	make_options(table, options, letters);
	/* Make getopt start from the beginning and print no messages. */
	optind = 0;
	opterr = 0;
	while ((code = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		row = find_row(table, code);
		if (!row) {
			explain(table, code, argv[optind - 1], error);
			continue;
		}
		if (given)
			given[row - table->rows] = true;
		take_option(row, target, optarg, error);
	}
	return optind;
}
