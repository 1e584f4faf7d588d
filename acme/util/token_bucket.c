// SPDX-License-Identifier: GPL-3.0-or-later
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

bool token_bucket_parse(struct token_bucket *ret_bucket, const char *text)
{
	static const char units[] = "smhdw";
	static const int64_t seconds[] = {1, 60, 3600, 86400, 7 * 86400};
	unsigned long count, number = 1;
	const char *unit;

	if (strcmp(text, "none") == 0) {
		*ret_bucket = (struct token_bucket){0};
		return true;
	}
	if (!read_number(&count, &text, COUNT_MAX) || *text++ != '/' ||
	    (*text >= '0' && *text <= '9' && !read_number(&number, &text, UNITS_MAX)))
		return false;
	unit = *text ? strchr(units, *text) : NULL;
	if (!unit || text[1])
		return false;
	*ret_bucket = (struct token_bucket){.count = (uint32_t)count,
					    .window_s = (int64_t)number * seconds[unit - units]};
	return true;
}

/* The time in which one token returns. */
static int64_t interval_us(const struct token_bucket *bucket)
{
	return bucket->window_s * US_PER_S / bucket->count;
}

uint32_t token_bucket_left(const struct token_bucket *bucket, int64_t full_at_us, int64_t now_us)
{
	int64_t missing_us = full_at_us - now_us, interval, missing;

	if (!bucket->count)
		return UINT32_MAX;
	if (missing_us <= 0)
		return bucket->count;
	interval = interval_us(bucket);
	missing = (missing_us + interval - 1) / interval;
	return missing < bucket->count ? bucket->count - (uint32_t)missing : 0;
}

int64_t token_bucket_next_us(const struct token_bucket *bucket, int64_t full_at_us)
{
	return bucket->count ? full_at_us - (bucket->count - 1) * interval_us(bucket) : 0;
}

int64_t token_bucket_take(const struct token_bucket *bucket, int64_t full_at_us, int64_t now_us)
{
	return (full_at_us > now_us ? full_at_us : now_us) + interval_us(bucket);
}

int64_t token_bucket_give_back(const struct token_bucket *bucket, int64_t full_at_us)
{
	return full_at_us - interval_us(bucket);
}
