/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the user sees.  Results go to standard output: as text, or, with
 * --json, as exactly one document.  Everything else goes to standard error:
 * failures, and the steps of long work, on a terminal as one line that changes.
 */
#ifndef ACME_UTIL_OUTPUT_H
#define ACME_UTIL_OUTPUT_H

#include <stdbool.h>

struct failure;
struct json_t;

struct output_options {
	bool json;
	bool quiet; /* only failures and results */
	bool verbose;
};

void output_init(const struct output_options *options);

/* A step of long work. */
void output_step(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Something that went wrong without stopping anything. */
void output_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A result in text; left out with --json.  Only strings that were checked before. */
void output_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A result as JSON, taken over; left out without --json.  Once. */
void output_document(struct json_t *document);

/* Cause, the CA's own words, and next step; `subject` is what failed, or NULL. */
void output_failure(const char *subject, const struct failure *failure);

/* output_failure(), and the document {"ok": false, "error": ...}.  Returns the exit status 1. */
int output_fatal(const struct failure *failure);

/* Finish; false when standard output could not be written. */
bool output_done(void);

#endif
