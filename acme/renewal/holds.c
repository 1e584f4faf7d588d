// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/renewal/holds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "acme/renewal/consequence.h"
#include "acme/store/state.h"
#include "acme/util/output.h"
#include "common/clock.h"

/* Failures of this host, in a row, after which nothing begins for a while. */
#define HOST_FAILURES_MAX 3

#define LOOK_PAUSE_NS (60 * CLOCK_NS_PER_S)

/* More waits in a row are not counted. */
#define REFUSALS_MAX 1000

/* A CA, or an account at one, that the last orders were refused by. */
struct refusals {
	SLIST_ENTRY(refusals) link;
	char *server;
	char *account; /* "": all of the CA's */
	unsigned int count; /* in a row */
	uint64_t looked_at_ns; /* for what leaves it, by clock_boottime_ns(); 0: never */
};

struct holds {
	struct state *state;
	unsigned int host_failures; /* in a row */
	uint64_t rests_until_ns; /* of clock_boottime_ns() */
	SLIST_HEAD(refusals_list, refusals) refusals;
};

int holds_new(struct holds **ret_holds, struct state *state)
{
	struct holds *holds = calloc(1, sizeof(*holds));

	if (!holds)
		return -ENOMEM;
	holds->state = state;
	SLIST_INIT(&holds->refusals);
	*ret_holds = holds;
	return 0;
}

static void refusals_free(struct refusals *refusals)
{
	free(refusals->account);
	free(refusals->server);
	free(refusals);
}

void holds_free(struct holds *holds)
{
	struct refusals *refusals;

	if (!holds)
		return;
	while ((refusals = SLIST_FIRST(&holds->refusals))) {
		SLIST_REMOVE_HEAD(&holds->refusals, link);
		refusals_free(refusals);
	}
	free(holds);
}

/* --- CAs and accounts --------------------------------------------------------------------------- */

static struct refusals *refusals_find(const struct holds *holds, const char *server,
				      const char *account)
{
	struct refusals *refusals;

	for (refusals = SLIST_FIRST(&holds->refusals); refusals;
	     refusals = SLIST_NEXT(refusals, link))
		if (strcmp(refusals->server, server) == 0 &&
		    strcmp(refusals->account, account) == 0)
			return refusals;
	return NULL;
}

/* NULL: out of memory. */
static struct refusals *refusals_find_or_add(struct holds *holds, const char *server,
					     const char *account)
{
	struct refusals *refusals = refusals_find(holds, server, account);

	if (refusals)
		return refusals;
	refusals = calloc(1, sizeof(*refusals));
	if (!refusals)
		return NULL;
	refusals->server = strdup(server);
	refusals->account = strdup(account);
	if (!refusals->server || !refusals->account) {
		refusals_free(refusals);
		return NULL;
	}
	SLIST_INSERT_HEAD(&holds->refusals, refusals, link);
	return refusals;
}

unsigned int holds_refusals(const struct holds *holds, const char *server, const char *account)
{
	const struct refusals *of_ca = refusals_find(holds, server, "");
	const struct refusals *of_account = refusals_find(holds, server, account);
	unsigned int count = of_ca ? of_ca->count : 0;

	return of_account && of_account->count > count ? of_account->count : count;
}

int holds_note_refusal(struct holds *holds, const char *server, const char *account,
		       const struct consequence *consequence, int64_t *ret_until_s,
		       unsigned int *ret_waits)
{
	struct refusals *refusals = refusals_find_or_add(holds, server, account);
	const int64_t now_s = clock_now_s();
	int err = state_hold_read(holds->state, server, account, ret_until_s);

	if (err)
		return err;
	*ret_waits = refusals && refusals->count ? refusals->count : 1;
	/* Those that were under way meet the same: they count as one. */
	if (*ret_until_s > now_s)
		return 0;
	if (refusals && refusals->count < REFUSALS_MAX)
		*ret_waits = ++refusals->count;
	*ret_until_s = now_s + consequence_wait_s(consequence, *ret_waits);
	return state_hold_write(holds->state, server, account, *ret_until_s);
}

void holds_note_well(struct holds *holds, const char *server, const char *account)
{
	struct refusals *of_ca = refusals_find(holds, server, "");
	struct refusals *of_account = refusals_find(holds, server, account);

	if (of_ca)
		of_ca->count = 0;
	if (of_account)
		of_account->count = 0;
}

bool holds_must_look(struct holds *holds, const char *server)
{
	struct refusals *refusals = refusals_find_or_add(holds, server, "");
	const uint64_t now_ns = clock_boottime_ns();

	if (!refusals ||
	    (refusals->looked_at_ns && now_ns < refusals->looked_at_ns + LOOK_PAUSE_NS))
		return false;
	refusals->looked_at_ns = now_ns;
	return true;
}

/* --- this host ---------------------------------------------------------------------------------- */

int64_t holds_host_rest_s(const struct holds *holds)
{
	const uint64_t now_ns = clock_boottime_ns();

	if (now_ns >= holds->rests_until_ns)
		return 0;
	return (int64_t)((holds->rests_until_ns - now_ns) / CLOCK_NS_PER_S) + 1;
}

void holds_note_host_failure(struct holds *holds, const struct consequence *consequence,
			     bool is_certain)
{
	int64_t wait_s;

	holds->host_failures += holds->host_failures < REFUSALS_MAX;
	if (is_certain && holds->host_failures < HOST_FAILURES_MAX)
		holds->host_failures = HOST_FAILURES_MAX;
	if (holds->host_failures < HOST_FAILURES_MAX || holds_host_rest_s(holds))
		return;
	wait_s = consequence_wait_s(consequence, holds->host_failures - HOST_FAILURES_MAX + 1);
	holds->rests_until_ns = clock_boottime_ns() + (uint64_t)wait_s * CLOCK_NS_PER_S;
	output_warning("this host keeps orders from being made: none begins for %lld s",
		       (long long)wait_s);
}

void holds_note_host_well(struct holds *holds)
{
	holds->host_failures = 0;
}
