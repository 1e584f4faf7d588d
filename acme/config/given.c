// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/config/given.h"

#include <stdio.h>
#include <string.h>

static bool is_given_text(const char *given)
{
	return given;
}

static bool is_given_flag(enum setting_flag given)
{
	return given != SETTING_NOT_GIVEN;
}

/* A text that is not set is the same as an empty one. */
static bool is_other_text(const char *given, const char *value)
{
	return strcmp(given, value ? value : "") != 0;
}

static bool is_other_flag(enum setting_flag given, bool value)
{
	return (given == SETTING_YES) != value;
}

#define IS_GIVEN_TEXT     is_given_text
#define IS_GIVEN_FLAG     is_given_flag
#define IS_OTHER_TEXT     is_other_text
#define IS_OTHER_FLAG     is_other_flag
#define VALUE_TEXT(given) (*(given) ? (given) : NULL)
#define VALUE_FLAG(given) ((given) == SETTING_YES)

#define OR_GIVEN(kind, member, ...) || IS_GIVEN_##kind(given->member)
#define APPLY(kind, member, ...)            \
	if (IS_GIVEN_##kind(given->member)) \
		settings->member = VALUE_##kind(given->member);
#define ADD_DIFFERENCE(kind, member, name, ...)                                                 \
	if (IS_GIVEN_##kind(given->member) && IS_OTHER_##kind(given->member, settings->member)) \
		add_option(text, size, name);

bool given_any(const struct certificate_settings_given *given)
{
	return false CERTIFICATE_SETTINGS(OR_GIVEN);
}

void given_apply(struct certificate_settings *settings,
		 const struct certificate_settings_given *given)
{
	CERTIFICATE_SETTINGS(APPLY)
}

static void add_option(char *text, size_t size, const char *name)
{
	size_t used = strlen(text);

	snprintf(text + used, size - used, "%s--%s", used ? ", " : "", name);
}

void given_differences(char *text, size_t size, const struct certificate_settings_given *given,
		       const struct certificate_settings *settings)
{
	*text = '\0';
	CERTIFICATE_SETTINGS(ADD_DIFFERENCE)
}
