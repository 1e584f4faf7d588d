/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A JSON file that everyone may read, always replaced as a whole. */
#ifndef RESPONDER_JSON_FILE_H
#define RESPONDER_JSON_FILE_H

#include <stdio.h>

/* Print a JSON string (RFC 8259 section 7); `text` is UTF-8, or bytes of a system name. */
void json_file_print_string(FILE *out, const char *text);

/* Print the time of day as a JSON string (RFC 3339, UTC). */
void json_file_print_now(FILE *out);

/* Write the output of `print` to `path`, completely or not at all.  0 or -errno. */
int json_file_write(const char *path, void (*print)(FILE *out, const void *context),
		    const void *context);

#endif
