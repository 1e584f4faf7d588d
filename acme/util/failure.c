// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/util/failure.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "acme/util/json.h"

bool failure_is_set(const struct failure *failure)
{
	return failure->cause[0] != '\0';
}

static const char *next_step_of_errno(int err)
{
	switch (err) {
	case EACCES:
	case EPERM:
		return "run this as root or as the user who owns it, or choose another place "
		       "with --root";
	case EROFS:
		return "the file system is read-only: remount it, or choose another place with "
		       "--root";
	case ENOSPC:
	case EDQUOT:
		return "free some space, then run this again";
	case EIO:
		return "check the kernel's log (dmesg) for disk errors";
	case EMFILE:
	case ENFILE:
		return "raise the limit of open files (ulimit -n)";
	case ENOTDIR:
		return "a file is where a directory is needed: move the file away";
	}
	return "";
}

void failure_set(struct failure *failure, const char *next_step, const char *format, ...)
{
	va_list arguments;

	if (failure_is_set(failure))
		return;
	va_start(arguments, format);
	vsnprintf(failure->cause, sizeof(failure->cause), format, arguments);
	va_end(arguments);
	snprintf(failure->next_step, sizeof(failure->next_step), "%s", next_step ? next_step : "");
}

void failure_set_errno(struct failure *failure, int err, const char *format, ...)
{
	va_list arguments;
	char what[512];

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	failure_set(failure, next_step_of_errno(err), "%s: %s", what, strerror(err));
}

void failure_set_problem(struct failure *failure, json_t *problem)
{
	if (!failure->problem)
		failure->problem = json_incref(problem);
}

void failure_move(struct failure *to, struct failure *from)
{
	if (failure_is_set(to)) {
		failure_done(from);
		return;
	}
	json_decref(to->problem);
	*to = *from;
	*from = (struct failure){0};
}

json_t *failure_to_json(const struct failure *failure)
{
	return json_pack("{s:o, s:o, s:o, s:O?}", "cause", json_new_text(failure->cause), "seen",
			 json_new_text(failure->seen), "next_step",
			 json_new_text(failure->next_step), "problem", failure->problem);
}

void failure_done(struct failure *failure)
{
	json_decref(failure->problem);
	*failure = (struct failure){0};
}
