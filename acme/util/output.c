// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/util/output.h"

#include <assert.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "acme/util/failure.h"
#include "acme/util/json.h"
#include "common/log.h"

#define CLEAR_LINE        "\r\033[K"
#define STEP_SIZE         512
#define TERMINAL_WIDTH    80
#define SUBPROBLEMS_SHOWN 8

struct output_state output_state;

void output_init(const struct output_options *options)
{
	enum log_level level = LOG_LEVEL_INFO;

	if (options->quiet)
		level = LOG_LEVEL_WARNING;
	else if (options->verbose)
		level = LOG_LEVEL_DEBUG;
	output_state.options = *options;
	output_state.has_live_line = !options->quiet && !options->verbose && isatty(STDERR_FILENO);
	log_init("sidestep", level);
}

static void clear_live_line(void)
{
	if (!output_state.live_line_shown)
		return;
	fputs(CLEAR_LINE, stderr);
	fflush(stderr);
	output_state.live_line_shown = false;
}

static int terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col < 20)
		return TERMINAL_WIDTH;
	return size.ws_col;
}

/* Replace what is not plain ASCII, which could confuse the terminal. */
static void make_plain(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

void output_step(const char *format, ...)
{
	char text[STEP_SIZE];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (!output_state.has_live_line) {
		log_info("%s", text);
		return;
	}
	make_plain(text);
	fprintf(stderr, CLEAR_LINE "%.*s", terminal_width() - 1, text);
	fflush(stderr);
	output_state.live_line_shown = true;
}

void output_warning(const char *format, ...)
{
	char text[STEP_SIZE];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	clear_live_line();
	log_warning("%s", text);
}

void output_line(const char *format, ...)
{
	va_list arguments;

	if (output_state.options.json)
		return;
	clear_live_line();
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

void output_document(json_t *document)
{
	char *text;

	clear_live_line();
	if (output_state.options.json) {
		assert(!output_state.document_written);
		text = json_dumps(document, JSON_INDENT(2));
		/* Out of memory: print a valid document all the same. */
		puts(text ? text : "{\"ok\": false, \"error\": {\"cause\": \"out of memory\"}}");
		free(text);
		output_state.document_written = true;
	}
	json_decref(document);
}

/* Print "detail (type)"; either may be missing. */
static void log_problem(const char *indent, const json_t *problem)
{
	const json_t *identifier = json_object_get(problem, "identifier");
	const char *detail = json_read_string(problem, "detail");
	const char *type = json_read_string(problem, "type");
	const char *name = json_read_string(identifier, "value");

	log_error("%s%s%s%s (%s)", indent, name ? name : "", name ? ": " : "",
		  detail ? detail : "no detail", type ? type : "no type");
}

void output_failure(const char *subject, const struct failure *failure)
{
	const json_t *subproblem, *subproblems;
	size_t i;

	clear_live_line();
	log_error("%s%s%s", subject ? subject : "", subject ? ": " : "", failure->cause);
	if (failure->problem) {
		log_problem("  the CA says: ", failure->problem);
		subproblems = json_object_get(failure->problem, "subproblems");
		json_array_foreach (subproblems, i, subproblem) {
			if (i < SUBPROBLEMS_SHOWN)
				log_problem("    ", subproblem);
		}
		if (json_array_size(subproblems) > SUBPROBLEMS_SHOWN)
			log_error("    and %zu more",
				  json_array_size(subproblems) - SUBPROBLEMS_SHOWN);
	}
	if (failure->seen[0])
		log_error("  seen here: %s", failure->seen);
	if (failure->next_step[0])
		log_error("  next: %s", failure->next_step);
}

int output_fatal(const struct failure *failure)
{
	output_failure(NULL, failure);
	output_document(json_pack("{s:b, s:o}", "ok", 0, "error", failure_to_json(failure)));
	return 1;
}

bool output_done(void)
{
	clear_live_line();
	if (fflush(stdout) == 0 && !ferror(stdout))
		return true;
	log_error("cannot write to standard output");
	return false;
}
