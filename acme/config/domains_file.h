/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A long list of certificates, as dehydrated has it in its domains.txt: one a line,
 *
 *	name [name]... [> what the certificate is called]
 *
 * which without ">" is called as its first name.  '#' at a line's beginning makes it a comment.
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
 * Read to the end.  A line that is wrong is told by `wrong`, which may be called for many, and the
 * others are read all the same; `each` returns 0 to go on, anything else to end, which is
 * returned then.  What a line points to lives until the callback returns.  0, `each`'s, or
 * -ENOMEM, -EIO.
 */
int domains_file_read(FILE *file, int (*each)(void *context, const struct domains_file_line *line),
		      void (*wrong)(void *context, unsigned int number,
				    const struct failure *failure),
		      void *context);

#endif
