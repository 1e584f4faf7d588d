/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A list of many certificates, like dehydrated's domains.txt.  Each line is one:
 *
 *	name [name]... [> what the certificate is called]
 *
 * Without ">" it is called as its first name.  Lines that begin with '#' are comments.
 *
 * Lines are read one by one, so that a list of a million can be read in steps; reading a line and
 * understanding it are two calls, so that one that is known already costs nothing more.
 */
#ifndef ACME_CONFIG_DOMAINS_FILE_H
#define ACME_CONFIG_DOMAINS_FILE_H

#include <stddef.h>
#include <stdio.h>

struct domains_file;
struct failure;
struct identifier;

/* A line that says something.  Its text has no blanks around it, and lives until the next call. */
struct domains_file_text {
	unsigned int number; /* from 1 */
	const char *text;
	size_t length;
};

/* What a line says.  The texts live until the next call. */
struct domains_file_line {
	const struct identifier *names;
	size_t name_count;
	const char *cert_name; /* that certificate_name_is_valid() takes */
};

/* 0 or -errno, -EISDIR among them. */
int domains_file_open(struct domains_file **ret_file, const char *path);

/* The same of an open file, which becomes its own, also on an error.  NULL: out of memory. */
struct domains_file *domains_file_new(FILE *file);
void domains_file_free(struct domains_file *file);

/* The next line that is neither empty nor a comment: 1; 0: there is none; or -errno. */
int domains_file_next(struct domains_file *file, struct domains_file_text *ret_text);

/* What the line of the last domains_file_next() says.  0, or -1 with `failure` filled in. */
int domains_file_parse(struct domains_file *file, struct domains_file_line *ret_line,
		       struct failure *failure);

#endif
