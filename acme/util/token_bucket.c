/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/util/token_bucket.h"

#include <stdlib.h>
#include <string.h>

#define US_PER_S  INT64_C(1000000)
#define COUNT_MAX 1000000000ul
#define UNITS_MAX 10000ul

static bool read_number(unsigned long *ret_number, const char **text, unsigned long max)
{
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	*ret_number = strtoul(*text, &end, 10);
	*text = end;
	return *ret_number >= 1 && *ret_number <= max;
}

bool budget_parse(struct budget *ret_budget, const char *text)
{
	static const char units[] = "smhdw";
	static const int64_t seconds[] = {1, 60, 3600, 86400, 7 * 86400};
	unsigned long count, number = 1;
	const char *unit;

	if (strcmp(text, "none") == 0) {
		*ret_budget = (struct budget){0};
		return true;
	}
	if (!read_number(&count, &text, COUNT_MAX) || *text++ != '/' ||
	    (*text >= '0' && *text <= '9' && !read_number(&number, &text, UNITS_MAX)))
		return false;
	unit = *text ? strchr(units, *text) : NULL;
	if (!unit || text[1])
		return false;
	*ret_budget = (struct budget){.count = (uint32_t)count,
				      .window_s = (int64_t)number * seconds[unit - units]};
	return true;
}

/* In which one comes back. */
static int64_t interval_us(const struct budget *budget)
{
	return budget->window_s * US_PER_S / budget->count;
}

uint32_t budget_left(const struct budget *budget, int64_t full_at_us, int64_t now_us)
{
	int64_t missing_us = full_at_us - now_us, interval, missing;

	if (!budget->count)
		return UINT32_MAX;
	if (missing_us <= 0)
		return budget->count;
	interval = interval_us(budget);
	missing = (missing_us + interval - 1) / interval;
	return missing < budget->count ? budget->count - (uint32_t)missing : 0;
}

int64_t budget_next_us(const struct budget *budget, int64_t full_at_us)
{
	return budget->count ? full_at_us - (budget->count - 1) * interval_us(budget) : 0;
}

int64_t budget_take(const struct budget *budget, int64_t full_at_us, int64_t now_us)
{
	return (full_at_us > now_us ? full_at_us : now_us) + interval_us(budget);
}
