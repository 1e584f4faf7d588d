// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/store/state_source.h"

#include <sqlite3.h>
#include <string.h>

#include "acme/store/state_internal.h"
#include "acme/store/state_lineages.h"
#include "common/clock.h"

int state_source_rows(struct state *state, const char *source, int64_t *last_id, size_t max,
		      int (*each)(void *context, const struct state_source_row *row), void *context)
{
	struct sqlite3_stmt *statement;
	struct state_source_row row;
	int result;

	/* By the rows and not by an index of sources, which would have to be kept up to date. */
	result = state_query(state, &statement,
			     "SELECT id, spec_digest, name, source, status FROM lineage "
			     "WHERE id > ?1 ORDER BY id LIMIT ?2",
			     "ii", *last_id, (int64_t)max);
	*last_id = 0;
	while (!result && (result = state_step(state, statement)) > 0) {
		row = (struct state_source_row){
			.id = sqlite3_column_int64(statement, 0),
			.digest = sqlite3_column_int64(statement, 1),
			.name = state_text(statement, 2),
		};
		*last_id = row.id;
		result = 0;
		if (sqlite3_column_int(statement, 4) != STATE_RETIRED &&
		    strcmp(state_text(statement, 3), source) == 0)
			result = each(context, &row);
		if (result)
			state_finish(statement);
	}
	return result;
}

#define AS_USUAL "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 1000"

int state_source_begin(struct state *state)
{
	int err = state_execute(state, "PRAGMA synchronous = NORMAL;"
				       "PRAGMA wal_autocheckpoint = 0");

	if (!err)
		err = state_begin(state);
	if (err)
		state_execute(state, AS_USUAL);
	return err;
}

int state_source_end(struct state *state, int err)
{
	int result;

	if (err)
		state_rollback(state);
	else
		err = state_commit(state);
	result = state_execute(state, AS_USUAL);
	return err ? err : result;
}

int state_source_checkpoint(struct state *state)
{
	return state_execute(state, "PRAGMA wal_checkpoint(PASSIVE)");
}

int state_source_retire(struct state *state, const char *source, int64_t id)
{
	int err = state_enter(state);

	if (err)
		return err;
	return state_leave(
		state, state_run(state, NULL,
				 "UPDATE lineage SET revision = revision + 1, "
				 "status_since = ?3, status_reason = iif(status = " STATE_SQL_PAUSED
				 ", status_reason, NULL), "
				 "status = " STATE_SQL_RETIRED " WHERE id = ?1 AND source = ?2 "
				 "AND status <> " STATE_SQL_RETIRED,
				 "iti", id, source, clock_now_s()));
}
