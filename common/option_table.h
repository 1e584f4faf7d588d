/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The command line of a program as a table: its options, what they set, and how the help explains
 * them. Parsing (option_parse.c), --help and the manual page (option_help.c) all use this table.
 */
#ifndef OPTION_TABLE_H
#define OPTION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum option_kind {
	OPTION_FLAG, /* a bool, or an enum in which 1 means yes: set to 1 */
	OPTION_TEXT, /* a const char *: points into argv */
	OPTION_TEXTS, /* a struct option_texts: adds a value */
	OPTION_NUMBER, /* an unsigned integer of any size: a whole number from 1 to `max` */
	OPTION_DECIMAL, /* a double: a number above 0, up to `max` */
	OPTION_CHOICE, /* an enum: the index of the value in `choices` */
	OPTION_OWN, /* `take` understands the value */
};

/* The values of an option that may be repeated.  The caller provides room for argc of them. */
struct option_texts {
	const char **items;
	size_t count;
};

/* The first fault of a command line.  All zero: no fault. */
struct option_error {
	char text[256]; /* one sentence, without a full stop */
	const char *unknown; /* the option as given, when the program has none of this name */
};

struct option_row {
	const char *name; /* as in --name */
	char letter; /* as in -n; 0: none */
	enum option_kind kind;
	size_t field, size; /* what it sets in the program's struct: OPTION_FIELD() */
	double max; /* of NUMBER and DECIMAL */
	const char *const *choices; /* of CHOICE, NULL at the end */
	const char *value; /* stands for the value in the help; NULL: FLAG */
	unsigned int verbs; /* a bit for each verb that takes it; 0 in programs without verbs */
	bool may_be_empty; /* the value may be "" */
	const char *help; /* sentences in one line; NULL: not shown */
	void (*take)(void *target, const char *value, struct option_error *error); /* of OWN */
};

#define OPTION_FIELD(type, member) \
	.field = offsetof(type, member), .size = sizeof(((type *)NULL)->member)

struct option_table {
	const struct option_row *rows;
	size_t count;
};

/* Note a fault, unless there is one already. */
void option_wrong(struct option_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Set the fields of `target` from the options in argv, and mark each option that is present in
 * `given`, which has an element for each row (may be NULL). Continues after the first fault.
 * Returns the index in argv of the first word that is no option; getopt moves all such words behind
 * the options.
 */
int option_parse(const struct option_table *table, int argc, char **argv, void *target, bool *given,
		 struct option_error *error);

/* --- help and manual page -------------------------------------------------------------------- */

/*
 * A help page for a program or for one verb. Each paragraph of a text is one line, and is wrapped;
 * lines that begin with a blank are examples and are printed as they are.
 */
struct option_page {
	const char *command; /* "sidestep certonly" */
	const char *usage; /* what follows the command */
	const char *before; /* text before the options; NULL: none */
	const char *after; /* text behind them; NULL: none */
	const struct option_table *table;
	unsigned int verbs; /* only options that one of these takes; 0: all */
};

/* The page for --help, at most 80 columns wide. */
void option_print_help(const struct option_page *page, FILE *out);

/* The same as a part of a manual page, in mdoc(7). */
void option_print_man(const struct option_page *page, FILE *out);

/* A text as in struct option_page, alone. */
void option_print_text(const char *text, FILE *out);
void option_print_man_text(const char *text, FILE *out);

#endif
