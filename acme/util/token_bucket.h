/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Arithmetic of a token bucket: so many in a window of time, which come back evenly.  All there is
 * of a bucket is the moment at which it will be full again; pure, and of any clock.
 */
#ifndef ACME_UTIL_TOKEN_BUCKET_H
#define ACME_UTIL_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct token_bucket {
	uint32_t count; /* 0: there is no limit */
	int64_t window_s;
};

/* Read "300/3h": a number, and how many seconds (s), minutes (m), hours (h), days (d) or weeks (w);
 * or "none". */
bool token_bucket_parse(struct token_bucket *ret_bucket, const char *text);

/* How many may be taken now; UINT32_MAX: there is no limit. */
uint32_t token_bucket_left(const struct token_bucket *bucket, int64_t full_at_us, int64_t now_us);

/* When one may be taken, perhaps in the past. */
int64_t token_bucket_next_us(const struct token_bucket *bucket, int64_t full_at_us);

/* Take one: the new moment. */
int64_t token_bucket_take(const struct token_bucket *bucket, int64_t full_at_us, int64_t now_us);

#endif
