// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/protocol/backoff.h"

#define NS_PER_S  1000000000ULL
#define NS_PER_MS 1000000ULL

static int64_t pause_ms(struct backoff *backoff, int64_t retry_after_s, uint64_t now_ns)
{
	int64_t pause;

	if (!backoff->deadline_ns)
		backoff->deadline_ns = now_ns + BACKOFF_DEADLINE_S * NS_PER_S;
	backoff->pause_ms = backoff->pause_ms ? backoff->pause_ms * 3 / 2 : BACKOFF_FIRST_MS;
	if (backoff->pause_ms > BACKOFF_LONGEST_MS)
		backoff->pause_ms = BACKOFF_LONGEST_MS;
	if (retry_after_s > BACKOFF_RETRY_AFTER_MAX_S)
		retry_after_s = BACKOFF_RETRY_AFTER_MAX_S;
	pause = retry_after_s > 0 ? retry_after_s * 1000 : backoff->pause_ms;
	return now_ns + (uint64_t)pause * NS_PER_MS > backoff->deadline_ns ? -1 : pause;
}

int64_t backoff_again_ms(struct backoff *backoff, int64_t retry_after_s, uint64_t now_ns)
{
	backoff->failures = 0;
	backoff->missing_since_ns = 0;
	return pause_ms(backoff, retry_after_s, now_ns);
}

int64_t backoff_after_failure_ms(struct backoff *backoff, int64_t retry_after_s, uint64_t now_ns)
{
	if (++backoff->failures >= BACKOFF_FAILURES_MAX)
		return -1;
	return pause_ms(backoff, retry_after_s, now_ns);
}

int64_t backoff_after_missing_ms(struct backoff *backoff, int64_t retry_after_s, uint64_t now_ns)
{
	if (!backoff->missing_since_ns)
		backoff->missing_since_ns = now_ns;
	if (now_ns - backoff->missing_since_ns >= BACKOFF_MISSING_S * NS_PER_S)
		return -1;
	return pause_ms(backoff, retry_after_s, now_ns);
}
