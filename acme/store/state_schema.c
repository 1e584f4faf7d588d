// SPDX-License-Identifier: GPL-3.0-or-later
/* The tables of the state, version by version. */
#include <errno.h>
#include <stddef.h>

#include "acme/store/state_internal.h"

/*
 * The code below adds a column for each new setting of certificate_spec.h.
 *
 * Some columns are computed from the others, so they cannot contradict them; their indexes make
 * queries cheap.  issue_at and check_due say when the next action is due.  Version 3 adds the
 * others:
 *
 *	endangered_at	a sixth of the certificate's life is left then
 *	believed_from	no moment of the row can have been written before: when it is later than now,
 *			the clock was ahead, or is behind (state_correct())
 *	deploy_due	when the hooks are to be run for the generation in use
 *
 * The numbers in the conditions are those of enum state_status and enum state_priority.  An issuance
 * holds the next one off for a twentieth of the certificate's life and at least an hour (three quarters
 * of a life that is shorter); for an urgent one, only for that hour.
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

	/* One status instead of paused, retired and in_flight; what must be deployed; one more priority. */
	"DROP INDEX lineage_by_issue;"
	"DROP INDEX lineage_by_check;"
	"DROP INDEX lineage_by_ca;"
	"DROP INDEX lineage_by_tenant;"
	"DROP INDEX lineage_by_replacement;"
	"ALTER TABLE lineage DROP COLUMN issue_at;"
	"ALTER TABLE lineage DROP COLUMN check_due;"
	"ALTER TABLE lineage ADD COLUMN status INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE lineage ADD COLUMN status_reason TEXT;"
	"ALTER TABLE lineage ADD COLUMN status_since INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE lineage ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE lineage ADD COLUMN issued_at INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE lineage ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE lineage ADD COLUMN deployed_generation INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE lineage ADD COLUMN refused_generation INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE lineage ADD COLUMN deploy_failures INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE lineage ADD COLUMN refused_next INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE lineage ADD COLUMN deploy_next INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE lineage ADD COLUMN deploy_failure TEXT;"
	"UPDATE lineage SET "
	"	status = CASE WHEN retired THEN 5 WHEN paused IS NOT NULL THEN 4 "
	"		WHEN in_flight THEN 3 WHEN next_attempt = 0 THEN 0 "
	"		WHEN failures > 0 THEN 1 ELSE 2 END,"
	"	status_reason = CASE WHEN paused IS NOT NULL THEN paused "
	"		WHEN retired = 0 AND in_flight = 0 AND next_attempt > 0 THEN last_failure END,"
	"	priority = iif(priority = 2, 3, priority);"
	"ALTER TABLE lineage DROP COLUMN paused;"
	"ALTER TABLE lineage DROP COLUMN retired;"
	"ALTER TABLE lineage DROP COLUMN in_flight;"
	"ALTER TABLE lineage ADD COLUMN issue_at INTEGER AS (CASE WHEN status <= 2 THEN max(1, "
	"	next_attempt, iif(not_after > 0, min(renew_at, not_after), renew_at), "
	"	iif(issued_at = 0, 0, issued_at + max(min(3600, (not_after - not_before) / 4 * 3), "
	"		iif(priority = 3, 0, (not_after - not_before) / 20)))) END) VIRTUAL;"
	"ALTER TABLE lineage ADD COLUMN check_due INTEGER AS ("
	"	CASE WHEN check_at > 0 AND status NOT IN (3, 5) THEN check_at END) VIRTUAL;"
	"ALTER TABLE lineage ADD COLUMN endangered_at INTEGER AS ("
	"	CASE WHEN not_after > 0 AND priority < 2 AND status <= 3 "
	"	THEN not_after - (not_after - not_before) / 6 END) VIRTUAL;"
	"ALTER TABLE lineage ADD COLUMN believed_from INTEGER AS (nullif(max(0, issued_at, "
	"	next_attempt - 172800, check_at - 86400, max(deploy_next, refused_next) - 172800), 0)) VIRTUAL;"
	"ALTER TABLE lineage ADD COLUMN deploy_due INTEGER AS ("
	"	CASE WHEN generation <> deployed_generation THEN max(1, deploy_next) "
	"	WHEN refused_generation > generation AND refused_next > 0 THEN refused_next END) VIRTUAL;"
	"CREATE INDEX lineage_by_issue ON lineage (issue_at) WHERE issue_at IS NOT NULL;"
	"CREATE INDEX lineage_by_check ON lineage (check_due) WHERE check_due IS NOT NULL;"
	"CREATE INDEX lineage_by_ca ON lineage (ca, priority, issue_at, not_after) "
	"	WHERE issue_at IS NOT NULL;"
	"CREATE INDEX lineage_by_tenant ON lineage (ca, priority, tenant, issue_at, not_after) "
	"	WHERE issue_at IS NOT NULL;"
	"CREATE INDEX lineage_by_replacement ON lineage (ca, priority, issue_at, not_after) "
	"	WHERE issue_at IS NOT NULL AND ari_id IS NOT NULL AND server = ca AND check_at > 0;"
	"CREATE INDEX lineage_by_danger ON lineage (endangered_at) WHERE endangered_at IS NOT NULL;"
	"CREATE INDEX lineage_by_belief ON lineage (believed_from) WHERE believed_from IS NOT NULL;"
	"CREATE INDEX lineage_by_deploy ON lineage (deploy_due) WHERE deploy_due IS NOT NULL;",

	/* So that lines of the configuration that have not changed need not be understood again. */
	"ALTER TABLE lineage ADD COLUMN spec_digest INTEGER NOT NULL DEFAULT 0;",

	/* For state_due_with_other_cas(). */
	"CREATE INDEX lineage_by_other_ca ON lineage (ca, not_after) "
	"	WHERE issue_at IS NOT NULL AND cas <> ca;",
};

#define VERSION ((int64_t)(sizeof(versions) / sizeof(*versions)))

/* PRAGMA takes no parameters. */
static int note_version(struct state *state)
{
	_Static_assert(sizeof(versions) / sizeof(*versions) == 5, "the number below");
	return state_execute(state, "PRAGMA user_version = 5");
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
