// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/util/duration.h"

#include <stdlib.h>
#include <string.h>

#define MAX_S (3650 * INT64_C(86400))

bool duration_parse(int64_t *ret_s, const char *text)
{
	static const char units[] = "smhdw";
	static const int64_t seconds[] = {1, 60, 3600, 86400, 7 * 86400};
	unsigned long number;
	const char *unit;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	number = strtoul(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (!unit || end[1] || number < 1 ||
	    number > (unsigned long)(MAX_S / seconds[unit - units]))
		return false;
	*ret_s = (int64_t)number * seconds[unit - units];
	return true;
}
