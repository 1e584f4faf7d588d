/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The arithmetic of a token bucket: a number of tokens in a window of time, which return evenly.
 * The state of a bucket is one number, the moment at which it is full again.  Pure; works with any
 * clock.
 */
#ifndef ACME_UTIL_TOKEN_BUCKET_H
#define ACME_UTIL_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct token_bucket {
	uint32_t count; /* 0: there is no limit */
	int64_t window_s;
};

/*
 * Read "300/3h": a number of tokens, and a window in seconds (s), minutes (m), hours (h), days (d)
 * or weeks (w); or "none".
 */
bool token_bucket_parse(struct token_bucket *ret_bucket, const char *text);

/* How many tokens are available now; UINT32_MAX: there is no limit. */
uint32_t token_bucket_left(const struct token_bucket *bucket, int64_t full_at_us, int64_t now_us);

/* When the next token is available; may be in the past. */
int64_t token_bucket_next_us(const struct token_bucket *bucket, int64_t full_at_us);

/* Take one token, or give back one that was taken; returns the new moment. */
int64_t token_bucket_take(const struct token_bucket *bucket, int64_t full_at_us, int64_t now_us);
int64_t token_bucket_give_back(const struct token_bucket *bucket, int64_t full_at_us);

#endif
