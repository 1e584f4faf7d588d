// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/challenge/name_claims.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acme/util/failure.h"
#include "acme/util/file.h"
#include "acme/util/output.h"
#include "common/clock.h"
#include "common/identifier.h"
#include "common/paths.h"

#define LOCK_FILE "names.lock"
#define AGAIN_MS  1000 /* between two looks at what another process holds */

TAILQ_HEAD(claim_list, name_claim);

struct name_claims {
	struct loop *loop;
	const struct paths *paths;
	int file; /* -1: not open */
	bool has_warned;
	struct claim_list list; /* in the sequence in which they began */
	struct timer timer;
};

/* --- names as numbers ------------------------------------------------------------------------ */

/* FNV-1a, as an offset in a file.  Two names with the same number wait for each other: no harm. */
static uint64_t key_of_name(const struct identifier *identifier)
{
	uint64_t key = UINT64_C(14695981039346656037);
	const char *c;

	for (c = identifier->value; *c; c++)
		key = (key ^ (unsigned char)*c) * UINT64_C(1099511628211);
	return key >> 2;
}

static int compare_keys(const void *a, const void *b)
{
	const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

static bool have_name_in_common(const struct name_claim *one, const struct name_claim *other)
{
	size_t i = 0, j = 0;

	while (i < one->count && j < other->count) {
		if (one->keys[i] == other->keys[j])
			return true;
		if (one->keys[i] < other->keys[j])
			i++;
		else
			j++;
	}
	return false;
}

/* --- beside other processes ------------------------------------------------------------------ */

/* Without the file, the claims hold within this process only. */
static void claims_open_file(struct name_claims *claims)
{
	int directory, err;

	if (claims->file >= 0)
		return;
	err = file_open_path(claims->paths->state, 0755, &directory);
	if (!err) {
		claims->file = openat(directory, LOCK_FILE,
				      O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (claims->file < 0)
			err = -errno;
		close(directory);
	}
	if (err && !claims->has_warned) {
		claims->has_warned = true;
		output_warning("cannot open %s/" LOCK_FILE ": %s; another sidestep process that "
			       "orders the same names now may disturb this one",
			       claims->paths->state, strerror(-err));
	}
}

/* 0 or -errno: -EAGAIN when another process has it. */
static int set_lock(const struct name_claims *claims, uint64_t key, short type)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)key, .l_len = 1};

	return fcntl(claims->file, F_OFD_SETLK, &lock) ? -errno : 0;
}

static void unlock_names(const struct name_claim *claim, size_t count)
{
	size_t i;

	for (i = 0; claim->claims->file >= 0 && i < count; i++)
		(void)set_lock(claim->claims, claim->keys[i], F_UNLCK);
}

/* Whether another process has none of the names; they are locked then. */
static bool lock_names(struct name_claim *claim)
{
	struct name_claims *claims = claim->claims;
	size_t i;
	int err;

	claims_open_file(claims);
	for (i = 0; claims->file >= 0 && i < claim->count; i++) {
		err = set_lock(claims, claim->keys[i], F_WRLCK);
		if (err == -EAGAIN || err == -EACCES) {
			unlock_names(claim, i);
			return false;
		}
		/* A file system without locks: as without the file. */
		if (err)
			break;
	}
	return true;
}

/* --- whose turn it is ------------------------------------------------------------------------ */

static bool is_free_here(const struct name_claim *claim)
{
	const struct name_claim *before = TAILQ_FIRST(&claim->claims->list);

	for (; before != claim; before = TAILQ_NEXT(before, link))
		if (have_name_in_common(before, claim))
			return false;
	return true;
}

/* Whether it has waited for another process for too long. */
static bool has_lost_patience(struct name_claim *claim)
{
	const uint64_t now_ns = clock_monotonic_ns();

	if (!claim->since_ns)
		claim->since_ns = now_ns;
	return now_ns - claim->since_ns > NAME_CLAIMS_PATIENCE_S * CLOCK_NS_PER_S;
}

static void claim_give_up(struct name_claim *claim)
{
	void (*ready)(void *, struct failure *) = claim->ready;
	void *context = claim->context;
	struct failure failure = {0};

	name_claim_end(claim);
	failure_set(&failure, "wait until it has finished, or stop it, then run this again",
		    "another sidestep process has been ordering a certificate with one of these "
		    "names for %d s",
		    NAME_CLAIMS_PATIENCE_S);
	failure.retry_after_s = NAME_CLAIMS_PATIENCE_S;
	ready(context, &failure);
	failure_done(&failure);
}

static void claims_look_after(struct name_claims *claims, uint64_t delay_ms);

/* Serve one claim at a time: its owner may begin and end claims in the callback. */
static void on_claims_timer(void *context)
{
	struct name_claims *claims = context;
	struct failure none = {0};
	struct name_claim *claim;
	bool is_waiting = false;

	TAILQ_FOREACH(claim, &claims->list, link)
	{
		if (claim->is_held || !is_free_here(claim))
			continue;
		if (lock_names(claim)) {
			claim->is_held = true;
			claims_look_after(claims, 0);
			claim->ready(claim->context, &none);
			return;
		}
		is_waiting = true;
		if (has_lost_patience(claim)) {
			claim_give_up(claim);
			return;
		}
	}
	if (is_waiting)
		claims_look_after(claims, AGAIN_MS);
}

static void claims_look_after(struct name_claims *claims, uint64_t delay_ms)
{
	loop_timer_start(claims->loop, &claims->timer, delay_ms, on_claims_timer, claims);
}

/* --- public functions ------------------------------------------------------------------------ */

int name_claims_new(struct name_claims **ret_claims, struct loop *loop, const struct paths *paths)
{
	struct name_claims *claims = calloc(1, sizeof(*claims));

	if (!claims)
		return -ENOMEM;
	claims->loop = loop;
	claims->paths = paths;
	claims->file = -1;
	TAILQ_INIT(&claims->list);
	*ret_claims = claims;
	return 0;
}

void name_claims_free(struct name_claims *claims)
{
	if (!claims)
		return;
	loop_timer_stop(claims->loop, &claims->timer);
	if (claims->file >= 0)
		close(claims->file);
	free(claims);
}

int name_claim_begin(struct name_claim *claim, struct name_claims *claims,
		     const struct identifier *identifiers, size_t count,
		     void (*ready)(void *context, struct failure *failure), void *context)
{
	size_t i;

	*claim = (struct name_claim){.count = count, .ready = ready, .context = context};
	claim->keys = calloc(count, sizeof(*claim->keys));
	if (!claim->keys)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		claim->keys[i] = key_of_name(&identifiers[i]);
	qsort(claim->keys, count, sizeof(*claim->keys), compare_keys);
	claim->claims = claims;
	TAILQ_INSERT_TAIL(&claims->list, claim, link);
	claims_look_after(claims, 0);
	return 0;
}

void name_claim_end(struct name_claim *claim)
{
	struct name_claims *claims = claim->claims;

	if (!claims)
		return;
	if (claim->is_held)
		unlock_names(claim, claim->count);
	TAILQ_REMOVE(&claims->list, claim, link);
	free(claim->keys);
	*claim = (struct name_claim){0};
	claims_look_after(claims, 0);
}
