// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/notices.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "acme/renewal/hook_process.h"
#include "acme/store/state.h"
#include "acme/util/failure.h"
#include "acme/util/output.h"
#include "common/clock.h"

#define TIME_MAX_S  60
#define WAITING_MAX 100 /* further ones are dropped: a mail for each of thousands helps nobody */

/* Failures in a row: attempts are daily from here on, and each seventh counts. */
#define DAILY 4
#define WEEK  7

#define VARIABLES_MAX 8

struct message {
	STAILQ_ENTRY(message) link;
	char *variables[VARIABLES_MAX + 1];
	size_t count;
};

STAILQ_HEAD(messages, message);

struct notices {
	struct loop *loop;
	char *command; /* NULL: none */
	void (*idle)(void *context);
	void *context;
	struct messages waiting;
	size_t waiting_count;
	struct hook_process *process; /* NULL: none runs */
	int64_t looked_at_s; /* for what ends soon; 0: never */
};

int notices_new(struct notices **ret_notices, struct loop *loop, const char *command,
		void (*idle)(void *context), void *context)
{
	struct notices *notices = calloc(1, sizeof(*notices));

	if (!notices)
		return -ENOMEM;
	notices->loop = loop;
	notices->idle = idle;
	notices->context = context;
	STAILQ_INIT(&notices->waiting);
	if (notices_set_command(notices, command)) {
		free(notices);
		return -ENOMEM;
	}
	*ret_notices = notices;
	return 0;
}

int notices_set_command(struct notices *notices, const char *command)
{
	char *copy = command ? strdup(command) : NULL;

	if (command && !copy)
		return -ENOMEM;
	free(notices->command);
	notices->command = copy;
	return 0;
}

static void message_free(struct message *message)
{
	while (message->count)
		free(message->variables[--message->count]);
	free(message);
}

static struct message *take_first(struct notices *notices)
{
	struct message *message = STAILQ_FIRST(&notices->waiting);

	if (message) {
		STAILQ_REMOVE_HEAD(&notices->waiting, link);
		notices->waiting_count--;
	}
	return message;
}

void notices_free(struct notices *notices)
{
	struct message *message;

	if (!notices)
		return;
	while ((message = take_first(notices)))
		message_free(message);
	hook_process_free(notices->process);
	free(notices->command);
	free(notices);
}

bool notices_are_busy(const struct notices *notices)
{
	return notices->process || notices->waiting_count;
}

/* --- running the command ------------------------------------------------------------------------ */

static void run_next(struct notices *notices);

static void on_notify_ended(void *context, const struct hook_process_end *end)
{
	struct notices *notices = context;

	notices->process = NULL;
	if (end->is_late || end->signal || end->status)
		output_warning("the notify command failed%s: %s",
			       end->is_late ? ", as it took more than a minute" : "",
			       notices->command ? notices->command : "");
	run_next(notices);
	if (!notices_are_busy(notices))
		notices->idle(notices->context);
}

static void run_next(struct notices *notices)
{
	char shell[] = "sh", option[] = "-c";
	struct message *message;
	int err;

	while (!notices->process && (message = take_first(notices))) {
		char *const arguments[] = {shell, option, notices->command, NULL};
		const struct hook_process_options options = {
			.loop = notices->loop,
			.program = "/bin/sh",
			.arguments = arguments,
			.variables = message->variables,
			.time_max_s = TIME_MAX_S,
			.ended = on_notify_ended,
			.context = notices,
		};

		err = notices->command ? hook_process_start(&notices->process, &options) : 0;
		if (err)
			output_warning("the notify command does not start: %s", strerror(-err));
		message_free(message);
	}
}

/* --- what a notice says --------------------------------------------------------------------------- */

static void __attribute__((format(printf, 2, 3)))
add(struct message *message, const char *format, ...)
{
	va_list list;
	char *text;

	va_start(list, format);
	if (vasprintf(&text, format, list) >= 0)
		message->variables[message->count++] = text;
	va_end(list);
}

/* "" for 0. */
static void add_moment(struct message *message, const char *name, int64_t at_s)
{
	char text[sizeof("2026-11-26T12:00:00Z")] = "";
	time_t moment = (time_t)at_s;
	struct tm utc;

	if (at_s && gmtime_r(&moment, &utc))
		strftime(text, sizeof(text), "%FT%TZ", &utc);
	add(message, "%s=%s", name, text);
}

static void notice(struct notices *notices, const char *event, const struct state_lineage *lineage,
		   const struct failure *failure, int64_t next_attempt_s)
{
	struct message *message;
	char *names;

	if (!notices->command || notices->waiting_count == WAITING_MAX)
		return;
	message = calloc(1, sizeof(*message));
	names = string_list_join(&lineage->spec.identifiers, ' ');
	if (message && names) {
		add(message, "SIDESTEP_EVENT=%s", event);
		add(message, "SIDESTEP_NAME=%s", lineage->spec.name);
		add(message, "SIDESTEP_DOMAINS=%s", names);
		add(message, "SIDESTEP_REASON=%s",
		    failure                  ? failure->cause
		    : lineage->status_reason ? lineage->status_reason
		    : lineage->last_failure  ? lineage->last_failure
					     : "");
		add(message, "SIDESTEP_NEXT_STEP=%s", failure ? failure->next_step : "");
		add_moment(message, "SIDESTEP_NEXT_ATTEMPT", next_attempt_s);
		add_moment(message, "SIDESTEP_EXPIRES", lineage->not_after_s);
		STAILQ_INSERT_TAIL(&notices->waiting, message, link);
		notices->waiting_count++;
		run_next(notices);
	} else {
		free(message);
	}
	free(names);
}

void notices_of_failure(struct notices *notices, const struct state_lineage *lineage,
			const struct failure *failure, int64_t next_attempt_s)
{
	unsigned int failures = lineage->failures + 1;

	if (failures == 1 || (failures >= DAILY && (failures - DAILY) % WEEK == 0))
		notice(notices, "failed", lineage, failure, next_attempt_s);
}

/* --- what ends soon ----------------------------------------------------------------------------- */

#define DAY_S      INT64_C(86400)
#define LOOK_S     INT64_C(3600)
#define CAS_MAX    100
#define ENDING_MAX 100

struct look {
	char *cas[CAS_MAX];
	size_t ca_count;
	int64_t ids[ENDING_MAX];
	size_t id_count;
	int64_t after_s, now_s; /* only what has crossed a day since; 0: all */
};

static int add_ca(void *context, const char *ca)
{
	struct look *look = context;

	if (look->ca_count == CAS_MAX)
		return 1;
	look->cas[look->ca_count] = strdup(ca);
	return look->cas[look->ca_count++] ? 0 : -ENOMEM;
}

/* Days to the end, downwards also when it has passed. */
static int64_t days_left(int64_t not_after_s, int64_t now_s)
{
	int64_t left_s = not_after_s - now_s;

	return left_s >= 0 ? left_s / DAY_S : -1 - (-left_s / DAY_S);
}

static int add_ending(void *context, const struct state_due *due)
{
	struct look *look = context;

	if (due->not_after_s && due->priority >= STATE_ENDANGERED &&
	    (!look->after_s || days_left(due->not_after_s, look->after_s) !=
				       days_left(due->not_after_s, look->now_s)))
		look->ids[look->id_count++] = due->id;
	return 0;
}

static int tell_of_ending(struct notices *notices, struct state *state, const struct look *look)
{
	struct state_lineage lineage;
	int err = 0;
	size_t i;

	for (i = 0; !err && i < look->id_count; i++) {
		err = state_lineage_read(state, look->ids[i], &lineage);
		if (!err) {
			notice(notices, "expires", &lineage, NULL, lineage.issue_at_s);
			state_lineage_done(&lineage);
		}
		err = err == -ENOENT ? 0 : err;
	}
	return err;
}

int notices_look(struct notices *notices, struct state *state, bool is_once)
{
	struct look look = {.now_s = clock_now_s()};
	int err;
	size_t i;

	if (!notices->command ||
	    (notices->looked_at_s && look.now_s - notices->looked_at_s < LOOK_S))
		return 0;
	if (!is_once)
		look.after_s = notices->looked_at_s ? notices->looked_at_s : look.now_s - LOOK_S;
	notices->looked_at_s = look.now_s;
	err = state_cas(state, add_ca, &look);
	for (i = 0; err >= 0 && i < look.ca_count; i++) {
		look.id_count = 0;
		/* A day ahead: what is due then has a moment of its own only because it has failed. */
		err = state_due_orders(state, look.cas[i], look.now_s + DAY_S, ENDING_MAX,
				       add_ending, &look);
		if (!err)
			err = tell_of_ending(notices, state, &look);
	}
	while (look.ca_count)
		free(look.cas[--look.ca_count]);
	return err < 0 ? err : 0;
}
