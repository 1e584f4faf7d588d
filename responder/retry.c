// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/retry.h"

#define PAUSE_FIRST_S 5
#define PAUSE_MAX_S   60
#define NS_PER_S      UINT64_C(1000000000)

bool retry_is_due(const struct retry *retry, uint64_t now_ns)
{
	return now_ns - retry->attempt_ns >= retry->pause_s * NS_PER_S;
}

void retry_note(struct retry *retry, uint64_t now_ns)
{
	retry->pause_s = retry->pause_s ? 2 * retry->pause_s : PAUSE_FIRST_S;
	if (retry->pause_s > PAUSE_MAX_S)
		retry->pause_s = PAUSE_MAX_S;
	retry->attempt_ns = now_ns;
}

void retry_settle(struct retry *retry, uint64_t now_ns)
{
	if (now_ns - retry->attempt_ns > PAUSE_MAX_S * NS_PER_S)
		retry->pause_s = 0;
}
