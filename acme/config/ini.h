/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads INI files, lines of any length:
 *
 *	# a comment, also with ';'; blanks before it do not matter
 *	[section]
 *	name = value
 *	  more			an indented line continues the setting above it
 *
 * A value goes to the end of its line: a ';' or '#' in it is part of it.  ':' may stand for '='.  A
 * byte order mark at the beginning is skipped.
 */
#ifndef ACME_CONFIG_INI_H
#define ACME_CONFIG_INI_H

#include <stdbool.h>
#include <stdio.h>

/* A setting, or one more line of it.  The texts live until the callback returns. */
struct ini_setting {
	const char *section; /* "" before the first */
	const char *name;
	const char *value; /* without the blanks around it; "" when there is none */
	unsigned int line; /* from 1 */
	bool is_continued; /* an indented line that continues the setting `name` */
};

/* Why a file is no INI file, for a message. */
struct ini_error {
	unsigned int line;
	const char *cause;
};

/*
 * Read `file` to its end.  `each` is called for every setting and returns 0 to go on; anything else
 * ends the reading and is returned.  -EBADMSG: *ret_error says what is wrong with which line;
 * -ENOMEM, or the -errno of reading.
 */
int ini_read(FILE *file, int (*each)(void *context, const struct ini_setting *setting),
	     void *context, struct ini_error *ret_error);

#endif
