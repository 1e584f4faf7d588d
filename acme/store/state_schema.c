// SPDX-License-Identifier: GPL-3.0-or-later
/* The tables of the state, version by version. */
#include <errno.h>
#include <stddef.h>

#include "acme/store/state_internal.h"

/*
 * The code below adds a column for each new setting of certificate_spec.h.
 *
 * lineage.issue_at and lineage.check_due say when the next action is due.  They are computed from
 * the other columns, so they cannot contradict them.  Their indexes make queries cheap.
 */
static const char *const versions[] = {
	"CREATE TABLE lineage ("
	"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"	name TEXT NOT NULL UNIQUE,"
	"	identifiers TEXT NOT NULL,"
	"	cas TEXT NOT NULL,"
	"	account TEXT,"
	"	key_type TEXT,"
	"	preferred_profile TEXT,"
	"	required_profile TEXT,"
	"	preferred_chain TEXT,"
	"	tenant TEXT NOT NULL,"
	"	deploy_hook TEXT,"
	"	source TEXT NOT NULL,"
	"	reuse_key INTEGER NOT NULL,"
	"	bundle INTEGER NOT NULL,"
	"	server TEXT,"
	"	ari_id TEXT,"
	"	not_before INTEGER NOT NULL DEFAULT 0,"
	"	not_after INTEGER NOT NULL DEFAULT 0,"
	"	window_start INTEGER NOT NULL DEFAULT 0,"
	"	window_end INTEGER NOT NULL DEFAULT 0,"
	"	explanation_url TEXT,"
	"	check_at INTEGER NOT NULL DEFAULT 0,"
	"	ca TEXT NOT NULL,"
	"	renew_at INTEGER NOT NULL DEFAULT 0,"
	"	next_attempt INTEGER NOT NULL DEFAULT 0,"
	"	failures INTEGER NOT NULL DEFAULT 0,"
	"	last_failure TEXT,"
	"	last_problem TEXT,"
	"	paused TEXT,"
	"	retired INTEGER NOT NULL DEFAULT 0,"
	"	priority INTEGER NOT NULL DEFAULT 0,"
	"	in_flight INTEGER NOT NULL DEFAULT 0,"
	"	issue_at INTEGER AS (CASE WHEN paused IS NULL AND retired = 0 AND in_flight = 0 "
	"		THEN max(renew_at, next_attempt, 1) END) VIRTUAL,"
	"	check_due INTEGER AS (CASE WHEN check_at > 0 AND retired = 0 AND in_flight = 0 "
	"		THEN check_at END) VIRTUAL"
	") STRICT;"
	"CREATE INDEX lineage_by_issue ON lineage (issue_at) WHERE issue_at IS NOT NULL;"
	"CREATE INDEX lineage_by_check ON lineage (check_due) WHERE check_due IS NOT NULL;"
	"CREATE INDEX lineage_by_ca ON lineage (ca, priority, issue_at, not_after) "
	"	WHERE issue_at IS NOT NULL;"
	"CREATE INDEX lineage_by_tenant ON lineage (ca, priority, tenant, issue_at, not_after) "
	"	WHERE issue_at IS NOT NULL;"

	"CREATE TABLE order_in_flight ("
	"	lineage INTEGER PRIMARY KEY REFERENCES lineage ON DELETE CASCADE,"
	"	ca TEXT NOT NULL,"
	"	server TEXT NOT NULL,"
	"	account TEXT,"
	"	identifiers TEXT NOT NULL,"
	"	url TEXT,"
	"	made_at INTEGER NOT NULL"
	") STRICT;"

	"CREATE TABLE attempt ("
	"	id INTEGER PRIMARY KEY,"
	"	lineage INTEGER NOT NULL REFERENCES lineage ON DELETE CASCADE,"
	"	at INTEGER NOT NULL,"
	"	ca TEXT,"
	"	url TEXT,"
	"	failure TEXT,"
	"	problem TEXT"
	") STRICT;"
	"CREATE INDEX attempt_by_lineage ON attempt (lineage, id);"

	"CREATE TABLE bucket ("
	"	server TEXT NOT NULL,"
	"	account TEXT NOT NULL,"
	"	limit_name TEXT NOT NULL,"
	"	scope TEXT NOT NULL,"
	"	full_at INTEGER NOT NULL,"
	"	PRIMARY KEY (server, account, limit_name, scope)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX bucket_by_full ON bucket (full_at);"

	"CREATE TABLE hold ("
	"	server TEXT NOT NULL,"
	"	account TEXT NOT NULL,"
	"	until INTEGER NOT NULL,"
	"	PRIMARY KEY (server, account)"
	") STRICT, WITHOUT ROWID;"

	"CREATE TABLE fingerprint ("
	"	path TEXT PRIMARY KEY,"
	"	fingerprint TEXT NOT NULL"
	") STRICT, WITHOUT ROWID;"

	"CREATE TABLE fact ("
	"	name TEXT PRIMARY KEY,"
	"	value INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID;",

	/* For state_due_replacements(). */
	"CREATE INDEX lineage_by_replacement ON lineage (ca, priority, issue_at, not_after) "
	"	WHERE issue_at IS NOT NULL AND ari_id IS NOT NULL AND server = ca AND check_at > 0;",
};

#define VERSION ((int64_t)(sizeof(versions) / sizeof(*versions)))

/* PRAGMA takes no parameters. */
static int note_version(struct state *state)
{
	_Static_assert(sizeof(versions) / sizeof(*versions) == 2, "the number below");
	return state_execute(state, "PRAGMA user_version = 2");
}

/* --- columns of settings ---------------------------------------------------------------------- */

#define COLUMN_TEXT "TEXT"
#define COLUMN_FLAG "INTEGER NOT NULL DEFAULT 0"
#define SETTING_COLUMN(kind, member, ...) \
	{#member, "ALTER TABLE lineage ADD COLUMN " #member " " COLUMN_##kind},

static const struct {
	const char *name;
	const char *add;
} setting_columns[] = {CERTIFICATE_SETTINGS(SETTING_COLUMN)};

#define SETTING_NAME(kind, member, ...) ", '" #member "'"

/* Add the columns of settings that the table does not have yet. */
static int add_columns(struct state *state)
{
	int64_t is_there;
	int err = 0;
	size_t i;

	for (i = 0; !err && i < sizeof(setting_columns) / sizeof(*setting_columns); i++) {
		err = state_number(
			state, &is_there,
			"SELECT count(*) FROM pragma_table_info('lineage') WHERE name = ?1", "t",
			setting_columns[i].name);
		if (!err && !is_there)
			err = state_execute(state, setting_columns[i].add);
	}
	return err;
}

/* Whether each setting has its column: an older version of this program made the table. */
static int has_columns(struct state *state, bool *ret_has)
{
	int64_t count = 0;
	int err = state_number(state, &count,
			       "SELECT count(*) FROM pragma_table_info('lineage') "
			       "WHERE name IN (NULL" CERTIFICATE_SETTINGS(SETTING_NAME) ")",
			       "");

	*ret_has = count == sizeof(setting_columns) / sizeof(*setting_columns);
	return err;
}

/* --- versions --------------------------------------------------------------------------------- */

int state_migrate(struct state *state)
{
	bool has = false;
	int64_t version;
	int err;

	/* Look without a transaction first: mostly nothing changes, and nobody must wait. */
	err = state_number(state, &version, "PRAGMA user_version", "");
	if (!err && version == VERSION)
		err = has_columns(state, &has);
	if (err || has)
		return err;
	err = state_enter(state);
	if (err)
		return err;
	err = state_number(state, &version, "PRAGMA user_version", "");
	if (!err && version > VERSION)
		err = -EPROTO;
	for (; !err && version < VERSION; version++)
		err = state_execute(state, versions[version]);
	if (!err)
		err = note_version(state);
	if (!err)
		err = add_columns(state);
	return state_leave(state, err);
}
