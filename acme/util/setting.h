/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Settings that come from several places: the command line, a section of the configuration,
 * [sidestep].  A table macro such as CERTIFICATE_SETTINGS(X) lists them, each as X(KIND, member, ...),
 * and makes two structs: the values that one place gives, and the effective values.
 *
 *	TEXT	const char *, NULL: not given, no value
 *	PATH	the same: the path of a file
 *	FLAG	yes or no
 */
#ifndef ACME_UTIL_SETTING_H
#define ACME_UTIL_SETTING_H

#include <stdbool.h>

enum setting_flag { SETTING_NOT_GIVEN, SETTING_YES, SETTING_NO };

/* Members of the struct for one place; all zero: it gives nothing. */
#define SETTING_GIVEN(kind, member, ...) SETTING_GIVEN_##kind member;
#define SETTING_GIVEN_TEXT               const char *
#define SETTING_GIVEN_PATH               const char *
#define SETTING_GIVEN_FLAG               enum setting_flag

/* Members of the struct of effective values. */
#define SETTING_VALUE(kind, member, ...) SETTING_VALUE_##kind member;
#define SETTING_VALUE_TEXT               const char *
#define SETTING_VALUE_PATH               const char *
#define SETTING_VALUE_FLAG               bool

#endif
