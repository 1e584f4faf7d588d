/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the user sees.  Results go to standard output: as text, or as exactly one document with
 * --json.  Failures and the steps of long work go to standard error; on a terminal, the steps share
 * one line.
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

/* Of this process.  Only output.c uses it; simulated processes take turns with theirs (tests/sim). */
extern struct output_state {
	struct output_options options;
	bool has_live_line;
	bool live_line_shown;
	bool document_written;
} output_state;

void output_init(const struct output_options *options);

/* A step of long work. */
void output_step(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* An error that does not stop the work. */
void output_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A result in text; nothing with --json.  The caller has checked its strings for the terminal. */
void output_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The result as JSON, which it frees; nothing without --json.  Call it once. */
void output_document(struct json_t *document);

/* Print the cause, the CA's own words and the next step; `subject` is what failed, or NULL. */
void output_failure(const char *subject, const struct failure *failure);

/* output_failure(), and the document {"ok": false, "error": ...}.  Returns the exit status 1. */
int output_fatal(const struct failure *failure);

/* Flush standard output; false when that fails. */
bool output_done(void);

#endif
