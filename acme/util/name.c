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

	/* No dot: the files of the default account have one, and lie beside the other accounts. */
	return length > 0 && length <= ACCOUNT_NAME_MAX && name[0] != '-' &&
	       strspn(name, LETTERS_AND_DIGITS "_-") == length;
}
