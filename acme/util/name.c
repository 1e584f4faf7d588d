// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/util/name.h"

#include <string.h>

#define LETTERS_AND_DIGITS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

bool certificate_name_is_valid(const char *name)
{
	size_t length = strlen(name);

	return length > 0 && length <= CERTIFICATE_NAME_MAX && name[0] != '.' && name[0] != '-' &&
	       strspn(name, LETTERS_AND_DIGITS "._-:") == length;
}

bool account_name_is_valid(const char *name)
{
	size_t length = strlen(name);

	/* No dot: the default account's files, whose names have one, are in the same directory. */
	return length > 0 && length <= ACCOUNT_NAME_MAX && name[0] != '-' &&
	       strspn(name, LETTERS_AND_DIGITS "_-") == length;
}
