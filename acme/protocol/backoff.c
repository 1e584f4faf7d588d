/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "acme/protocol/backoff.h"

#define NS_PER_S  1000000000ULL
#define NS_PER_MS 1000000ULL

static int64_t pause_ms(struct poll *poll, int64_t retry_after_s, uint64_t now_ns)
{
	int64_t pause;

	if (!poll->deadline_ns)
		poll->deadline_ns = now_ns + POLL_DEADLINE_S * NS_PER_S;
	poll->pause_ms = poll->pause_ms ? poll->pause_ms * 3 / 2 : POLL_FIRST_MS;
	if (poll->pause_ms > POLL_LONGEST_MS)
		poll->pause_ms = POLL_LONGEST_MS;
	if (retry_after_s > POLL_RETRY_AFTER_MAX_S)
		retry_after_s = POLL_RETRY_AFTER_MAX_S;
	pause = retry_after_s > 0 ? retry_after_s * 1000 : poll->pause_ms;
	return now_ns + (uint64_t)pause * NS_PER_MS > poll->deadline_ns ? -1 : pause;
}

int64_t poll_again_ms(struct poll *poll, int64_t retry_after_s, uint64_t now_ns)
{
	poll->failures = 0;
	return pause_ms(poll, retry_after_s, now_ns);
}

int64_t poll_after_failure_ms(struct poll *poll, int64_t retry_after_s, uint64_t now_ns)
{
	if (++poll->failures >= POLL_FAILURES_MAX)
		return -1;
	return pause_ms(poll, retry_after_s, now_ns);
}
