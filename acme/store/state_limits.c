// SPDX-License-Identifier: GPL-3.0-or-later
/* What CAs allow, and what was read of configuration files: small tables by a key. */
#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "acme/store/state_internal.h"
#include "acme/util/moment.h"
#include "common/clock.h"

/* A number that is zero when there is no row. */
static int or_zero(int err, int64_t *ret_number)
{
	if (err == -ENOENT) {
		*ret_number = 0;
		return 0;
	}
	return err;
}

int state_bucket_read(struct state *state, const char *server, const char *account,
		      const char *limit, const char *scope, int64_t *ret_full_at_us)
{
	return or_zero(state_number(state, ret_full_at_us,
				    "SELECT full_at FROM bucket WHERE server = ?1 AND account = ?2 "
				    "AND limit_name = ?3 AND scope = ?4",
				    "tttt", server, account, limit, scope),
		       ret_full_at_us);
}

int state_bucket_write(struct state *state, const char *server, const char *account,
		       const char *limit, const char *scope, int64_t full_at_us)
{
	int err = state_enter(state);

	if (err)
		return err;
	return state_leave(state,
			   state_run(state, NULL,
				     "INSERT OR REPLACE INTO bucket VALUES (?1, ?2, ?3, ?4, ?5)",
				     "tttti", server, account, limit, scope, full_at_us));
}

int state_buckets_prune(struct state *state, int64_t now_us)
{
	int err = state_enter(state);

	if (err)
		return err;
	return state_leave(state, state_run(state, NULL, "DELETE FROM bucket WHERE full_at <= ?1",
					    "i", now_us));
}

int state_hold_read(struct state *state, const char *server, const char *account,
		    int64_t *ret_until_s)
{
	int64_t until_s = 0;
	int err = state_number(state, &until_s,
			       "SELECT max(until) FROM hold WHERE server = ?1 "
			       "AND account IN (?2, '')",
			       "tt", server, account);

	if (!err)
		*ret_until_s = moment_bound(MOMENT_HOLD, until_s, clock_now_s());
	return err;
}

int state_hold_write(struct state *state, const char *server, const char *account, int64_t until_s)
{
	int err = state_enter(state);

	if (err)
		return err;
	return state_leave(state,
			   state_run(state, NULL, "INSERT OR REPLACE INTO hold VALUES (?1, ?2, ?3)",
				     "tti", server, account, until_s));
}

int state_fingerprint_read(struct state *state, const char *path, char **ret_fingerprint)
{
	struct sqlite3_stmt *statement;
	char *fingerprint;
	int result;

	result = state_query(state, &statement,
			     "SELECT fingerprint FROM fingerprint WHERE path = ?1", "t", path);
	if (result)
		return result;
	result = state_step(state, statement);
	if (result < 0)
		return result;
	fingerprint = strdup(result ? state_text(statement, 0) : "");
	if (result)
		state_finish(statement);
	if (!fingerprint)
		return -ENOMEM;
	*ret_fingerprint = fingerprint;
	return 0;
}

int state_fingerprint_write(struct state *state, const char *path, const char *fingerprint)
{
	int err = state_enter(state);

	if (err)
		return err;
	return state_leave(state, state_run(state, NULL,
					    "INSERT OR REPLACE INTO fingerprint VALUES (?1, ?2)",
					    "tt", path, fingerprint));
}
