// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/renewal_time.h"

#include <stddef.h>

#include "acme/util/duration.h"

#define MINUTE_S INT64_C(60)
#define HOUR_S   (60 * MINUTE_S)
#define DAY_S    (24 * HOUR_S)

/* Of the life of a certificate. */
#define SHORT_LIFE_S (10 * DAY_S)
#define SPREAD       0.05 /* renewals fall into this part of it */
#define MARGIN       0.1 /* is left for retries, whatever a window says */

#define RETRY_SPREAD 0.2
#define CHECK_SPREAD 0.1

static int64_t life_of(const struct renewal_facts *facts)
{
	return facts->not_after_s > facts->not_before_s ? facts->not_after_s - facts->not_before_s
							: 0;
}

static int64_t later_of(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t sooner_of(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t renewal_time_before(const char *text)
{
	int64_t before_s = 0;

	return text && duration_parse(&before_s, text) ? before_s : 0;
}

bool renewal_time_is_early(const struct renewal_facts *facts)
{
	return facts->has_window && facts->window_end_s <= facts->now_s;
}

/* When the operator wants it renewed, who may not know how short its life is. */
static int64_t asked_for(const struct renewal_facts *facts, double random)
{
	int64_t life_s = life_of(facts);
	int64_t at_s =
		facts->not_after_s - facts->before_s - (int64_t)(random * SPREAD * (double)life_s);

	return later_of(at_s, facts->not_before_s + life_s / 3);
}

int64_t renewal_time_next(const struct renewal_facts *facts, double random)
{
	int64_t life_s = life_of(facts), at_s;

	if (facts->has_window && facts->window_end_s > facts->window_start_s) {
		at_s = facts->window_start_s +
		       (int64_t)(random * (double)(facts->window_end_s - facts->window_start_s));
		if (facts->before_s)
			at_s = sooner_of(at_s, asked_for(facts, random));
	} else if (facts->before_s) {
		at_s = asked_for(facts, random);
	} else {
		at_s = facts->not_before_s + (life_s < SHORT_LIFE_S ? life_s / 2 : life_s / 3 * 2);
		at_s -= (int64_t)(random * SPREAD * (double)life_s);
	}
	return sooner_of(at_s, facts->not_after_s - (int64_t)(MARGIN * (double)life_s));
}

int64_t renewal_time_check(const struct renewal_facts *facts, int64_t retry_after_s, double random)
{
	int64_t wait_s = retry_after_s > 0 ? retry_after_s : RENEWAL_CHECK_DEFAULT_S;

	/* Only when the CA leaves it to us may it be sooner: many looks in a short life. */
	if (retry_after_s <= 0)
		wait_s = sooner_of(wait_s, life_of(facts) / 20);
	/* Never all at the same moment: later, as the CA may have asked for this wait. */
	wait_s = sooner_of(wait_s, RENEWAL_CHECK_MAX_S);
	wait_s += (int64_t)(random * CHECK_SPREAD * (double)wait_s);
	return facts->now_s + later_of(sooner_of(wait_s, RENEWAL_CHECK_MAX_S), RENEWAL_CHECK_MIN_S);
}

int64_t renewal_time_retry(int64_t now_s, unsigned int failures, int64_t retry_at_s,
			   int64_t not_after_s, double random)
{
	static const int64_t waits_s[] = {MINUTE_S, 10 * MINUTE_S, 100 * MINUTE_S, DAY_S};
	size_t last = sizeof(waits_s) / sizeof(*waits_s) - 1;
	int64_t wait_s = waits_s[failures == 0 ? 0 : failures - 1 < last ? failures - 1 : last];
	int64_t left_s = not_after_s - now_s;

	/* Four more attempts before it expires; not so for one that has expired. */
	if (left_s > 0 && wait_s > left_s / 4)
		wait_s = sooner_of(wait_s, later_of(left_s / 4, HOUR_S));
	wait_s += (int64_t)(random * RETRY_SPREAD * (double)wait_s);
	return later_of(now_s + wait_s, retry_at_s);
}
