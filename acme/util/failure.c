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

static bool is_of_host(int err)
{
	switch (err) {
	case ENOMEM:
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
	case EROFS:
	case EIO:
	case ENODEV:
	case ENXIO:
	case ESTALE:
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case EAGAIN:
	case EACCES:
	case EPERM:
		return true;
	}
	return false;
}

static void failure_set_va(struct failure *failure, enum failure_owner owner, const char *next_step,
			   const char *format, va_list arguments)
{
	if (failure_is_set(failure))
		return;
	vsnprintf(failure->cause, sizeof(failure->cause), format, arguments);
	snprintf(failure->next_step, sizeof(failure->next_step), "%s", next_step ? next_step : "");
	failure->owner = owner;
}

void failure_set(struct failure *failure, const char *next_step, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	failure_set_va(failure, FAILURE_OF_NAME, next_step, format, arguments);
	va_end(arguments);
}

void failure_set_of(struct failure *failure, enum failure_owner owner, const char *next_step,
		    const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	failure_set_va(failure, owner, next_step, format, arguments);
	va_end(arguments);
}

void failure_set_errno(struct failure *failure, int err, const char *format, ...)
{
	va_list arguments;
	char what[512];

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	failure_set_of(failure, is_of_host(err) ? FAILURE_OF_HOST : FAILURE_OF_NAME,
		       next_step_of_errno(err), "%s: %s", what, strerror(err));
}

void failure_set_problem(struct failure *failure, json_t *problem)
{
	if (!failure->problem)
		failure->problem = json_incref(problem);
}

void failure_copy(struct failure *to, const struct failure *from)
{
	if (failure_is_set(to))
		return;
	json_decref(to->problem);
	*to = *from;
	json_incref(to->problem);
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

const char *failure_owner_text(enum failure_owner owner)
{
	static const char *const texts[] = {
		[FAILURE_OF_NAME] = "name",       [FAILURE_OF_CA] = "ca",
		[FAILURE_OF_ACCOUNT] = "account", [FAILURE_OF_HOST] = "host",
		[FAILURE_OF_STATE] = "state",
	};

	return texts[owner];
}

json_t *failure_to_json(const struct failure *failure)
{
	return json_pack("{s:o, s:o, s:o, s:s, s:O?}", "cause", json_new_text(failure->cause),
			 "seen", json_new_text(failure->seen), "next_step",
			 json_new_text(failure->next_step), "owner",
			 failure_owner_text(failure->owner), "problem", failure->problem);
}

void failure_done(struct failure *failure)
{
	json_decref(failure->problem);
	*failure = (struct failure){0};
}
