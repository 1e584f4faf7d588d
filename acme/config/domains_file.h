/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A list of many certificates, like dehydrated's domains.txt.  Each line is one:
 *
 *	name [name]... [> what the certificate is called]
 *
 * Without ">" it is called as its first name.  Lines that begin with '#' are comments.
 */
#ifndef ACME_CONFIG_DOMAINS_FILE_H
#define ACME_CONFIG_DOMAINS_FILE_H

#include <stddef.h>
#include <stdio.h>

struct failure;
struct identifier;

struct domains_file_line {
	unsigned int number; /* from 1 */
	const struct identifier *names;
	size_t name_count;
	const char *cert_name; /* that certificate_name_is_valid() takes */
};

/*
 * Read `file` to its end.  `each` gets every line and returns 0 to go on; anything else ends the
 * reading and is returned.  `wrong` gets every line that cannot be used; the others are read all the
 * same.  What a line points to lives until the callback returns.  0, `each`'s value, -ENOMEM or -EIO.
 */
int domains_file_read(FILE *file, int (*each)(void *context, const struct domains_file_line *line),
		      void (*wrong)(void *context, unsigned int number,
				    const struct failure *failure),
		      void *context);

#endif
