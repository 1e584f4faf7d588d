// SPDX-License-Identifier: GPL-3.0-or-later
/* Databases of earlier versions become this version's, and keep what they say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/acme/store/state_fixture.h"

static const char version_1[] =
	/* clang-format off */
	"CREATE TABLE lineage ( id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT "
	"NULL UNIQUE, identifiers TEXT NOT NULL, cas TEXT NOT NULL, account TEXT, "
	"key_type TEXT, preferred_profile TEXT, required_profile TEXT, preferred_chain "
	"TEXT, tenant TEXT NOT NULL, deploy_hook TEXT, source TEXT NOT NULL, reuse_key "
	"INTEGER NOT NULL, bundle INTEGER NOT NULL, server TEXT, ari_id TEXT, "
	"not_before INTEGER NOT NULL DEFAULT 0, not_after INTEGER NOT NULL DEFAULT 0, "
	"window_start INTEGER NOT NULL DEFAULT 0, window_end INTEGER NOT NULL DEFAULT "
	"0, explanation_url TEXT, check_at INTEGER NOT NULL DEFAULT 0, ca TEXT NOT "
	"NULL, renew_at INTEGER NOT NULL DEFAULT 0, next_attempt INTEGER NOT NULL "
	"DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0, last_failure TEXT, "
	"last_problem TEXT, paused TEXT, retired INTEGER NOT NULL DEFAULT 0, priority "
	"INTEGER NOT NULL DEFAULT 0, in_flight INTEGER NOT NULL DEFAULT 0, issue_at "
	"INTEGER AS (CASE WHEN paused IS NULL AND retired = 0 AND in_flight = 0 THEN "
	"max(renew_at, next_attempt, 1) END) VIRTUAL, check_due INTEGER AS (CASE WHEN "
	"check_at > 0 AND retired = 0 AND in_flight = 0 THEN check_at END) VIRTUAL) "
	"STRICT;"
	"CREATE INDEX lineage_by_issue ON lineage (issue_at) WHERE issue_at IS NOT "
	"NULL;"
	"CREATE INDEX lineage_by_check ON lineage (check_due) WHERE check_due IS NOT "
	"NULL;"
	"CREATE INDEX lineage_by_ca ON lineage (ca, priority, issue_at, not_after) "
	"WHERE issue_at IS NOT NULL;"
	"CREATE INDEX lineage_by_tenant ON lineage (ca, priority, tenant, issue_at, "
	"not_after) WHERE issue_at IS NOT NULL;"
	"CREATE TABLE order_in_flight ( lineage INTEGER PRIMARY KEY REFERENCES lineage "
	"ON DELETE CASCADE, ca TEXT NOT NULL, server TEXT NOT NULL, account TEXT, "
	"identifiers TEXT NOT NULL, url TEXT, made_at INTEGER NOT NULL) STRICT;"
	"CREATE TABLE attempt ( id INTEGER PRIMARY KEY, lineage INTEGER NOT NULL "
	"REFERENCES lineage ON DELETE CASCADE, at INTEGER NOT NULL, ca TEXT, url TEXT, "
	"failure TEXT, problem TEXT) STRICT;"
	"CREATE INDEX attempt_by_lineage ON attempt (lineage, id);"
	"CREATE TABLE bucket ( server TEXT NOT NULL, account TEXT NOT NULL, limit_name "
	"TEXT NOT NULL, scope TEXT NOT NULL, full_at INTEGER NOT NULL, PRIMARY KEY "
	"(server, account, limit_name, scope)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX bucket_by_full ON bucket (full_at);"
	"CREATE TABLE hold ( server TEXT NOT NULL, account TEXT NOT NULL, until INTEGER"
	" NOT NULL, PRIMARY KEY (server, account)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE fingerprint ( path TEXT PRIMARY KEY, fingerprint TEXT NOT NULL) "
	"STRICT, WITHOUT ROWID;"
	"CREATE TABLE fact ( name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, "
	"WITHOUT ROWID;";
/* clang-format on */

static const char version_2[] =
	"CREATE INDEX lineage_by_replacement ON lineage (ca, priority, issue_at, "
	"not_after) WHERE issue_at IS NOT NULL AND ari_id IS NOT NULL AND server = ca "
	"AND check_at > 0;";

/* One of each kind: what it was in the columns of then. */
static const char rows[] =
	"INSERT INTO lineage (name, identifiers, cas, tenant, source, reuse_key, bundle, ca, not_before, "
	"	not_after, renew_at, next_attempt, failures, last_failure, paused, retired, "
	"	priority, in_flight) VALUES "
	"('new', 'new', 'one two', '', 'config', 0, 0, 'one', 0, 0, 0, 0, 0, NULL, NULL, 0, 0, 0),"
	"('good', 'good', 'one', '', 'cli', 1, 0, 'one', 100, 900, 700, 0, 0, NULL, NULL, 0, 0, 0),"
	"('bad', 'bad', 'one', '', 'cli', 0, 1, 'one', 0, 0, 0, 50, 2, 'caa', NULL, 0, 0, 0),"
	"('put-off', 'put-off', 'one', '', 'cli', 0, 0, 'one', 0, 0, 0, 60, 0, NULL, NULL, 0, 0, 0),"
	"('ordered', 'ordered', 'one', '', 'cli', 0, 0, 'one', 0, 0, 0, 0, 0, NULL, NULL, 0, 0, 1),"
	"('stopped', 'stopped', 'one', '', 'cli', 0, 0, 'one', 100, 900, 700, 0, 0, NULL, 'visit', 0, 0, 0),"
	"('gone', 'gone', 'one', '', 'config', 0, 0, 'one', 100, 900, 700, 0, 0, NULL, NULL, 1, 0, 0),"
	"('both', 'both', 'one', '', 'config', 0, 0, 'one', 100, 900, 700, 0, 0, NULL, 'visit', 1, 0, 0),"
	"('revoked', 'revoked', 'one', '', 'cli', 0, 0, 'one', 100, 900, 5, 0, 0, NULL, NULL, 0, 2, 0);"
	"INSERT INTO order_in_flight SELECT id, ca, ca, NULL, identifiers, 'https://ca/1', 7 "
	"	FROM lineage WHERE in_flight;"
	"INSERT INTO attempt (lineage, at, failure) SELECT id, 9, 'caa' FROM lineage WHERE failures;";

static void execute(sqlite3 *db, const char *sql)
{
	char *message = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &message))
		fail_msg("%s", message);
}

/* Put an earlier version's database in the place of this test's. */
static struct state *open_version(struct state_test *test, int version)
{
	char path[PATHS_MAX + 16];
	sqlite3 *db;

	state_free(test->state);
	test->state = NULL;
	snprintf(path, sizeof(path), "%s/state.db", test->paths.state);
	free(fixture_run(NULL, "rm -f %s %s-wal %s-shm", path, path, path));
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	execute(db, version_1);
	if (version > 1)
		execute(db, version_2);
	execute(db, rows);
	execute(db, version == 1 ? "PRAGMA user_version = 1" : "PRAGMA user_version = 2");
	sqlite3_close(db);
	return state_test_open(test);
}

/* A lineage as text: status, reason, issue_at. */
static const char *shown(struct state *state, const char *name)
{
	static char text[256];
	struct state_lineage lineage;

	assert_int_equal(state_lineage_find(state, name, &lineage), 0);
	snprintf(text, sizeof(text), "%s %s %lld", state_status_name(lineage.status),
		 lineage.status_reason ? lineage.status_reason : "-",
		 (long long)lineage.issue_at_s);
	state_lineage_done(&lineage);
	return text;
}

static int see_order(void *context, const struct state_order *order)
{
	snprintf(context, 256, "%s %s", order->name, order->url);
	return 0;
}

static void check_rows(struct state *state)
{
	char order[256] = "";
	struct state_lineage lineage;

	assert_string_equal(shown(state, "new"), "waiting - 1");
	assert_string_equal(shown(state, "good"), "waiting - 700");
	assert_string_equal(shown(state, "bad"), "retrying caa 50");
	assert_string_equal(shown(state, "put-off"), "held - 60");
	assert_string_equal(shown(state, "ordered"), "ordering - 0");
	assert_string_equal(shown(state, "stopped"), "paused visit 0");
	assert_string_equal(shown(state, "gone"), "retired - 0");
	assert_string_equal(shown(state, "both"), "retired visit 0");
	assert_string_equal(shown(state, "revoked"), "waiting - 5");
	assert_int_equal(state_orders(state, see_order, order), 0);
	assert_string_equal(order, "ordered https://ca/1");
	assert_int_equal(state_lineage_find(state, "revoked", &lineage), 0);
	assert_int_equal(lineage.priority, STATE_URGENT);
	assert_int_equal(lineage.generation, 0);
	state_lineage_done(&lineage);
	assert_int_equal(state_lineage_find(state, "bad", &lineage), 0);
	assert_int_equal(lineage.failures, 2);
	assert_true(lineage.spec.settings.bundle);
	state_lineage_done(&lineage);
}

static void check_integrity(struct state_test *test)
{
	char path[PATHS_MAX + 16];
	struct sqlite3_stmt *row;
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/state.db", test->paths.state);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &row, NULL), 0);
	assert_int_equal(sqlite3_step(row), SQLITE_ROW);
	assert_string_equal(sqlite3_column_text(row, 0), "ok");
	sqlite3_finalize(row);
	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA foreign_key_check", -1, &row, NULL), 0);
	assert_int_equal(sqlite3_step(row), SQLITE_DONE);
	sqlite3_finalize(row);
	sqlite3_close(db);
}

static void test_versions(void **context)
{
	struct state_test *test = *context;
	int version;

	for (version = 1; version <= 2; version++) {
		check_rows(open_version(test, version));
		check_integrity(test);
		/* Opened again nothing changes any more. */
		check_rows(state_test_again(test));
	}
}

/* A program that is older than the database says so, and leaves it alone. */
static void test_newer_version(void **context)
{
	struct state_test *test = *context;
	struct failure failure = {0};
	char path[PATHS_MAX + 16];
	struct state *state;
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/state.db", test->paths.state);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	execute(db, "PRAGMA user_version = 99");
	sqlite3_close(db);
	assert_int_equal(state_open(&state, &test->paths, &failure), -1);
	assert_non_null(strstr(failure.cause, "newer version"));
	failure_done(&failure);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_versions, state_test_setup,
						state_test_teardown),
		cmocka_unit_test_setup_teardown(test_newer_version, state_test_setup,
						state_test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
