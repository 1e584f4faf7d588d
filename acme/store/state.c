// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/store/state.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acme/util/failure.h"
#include "acme/util/file.h"
#include "acme/store/state_internal.h"
#include "common/clock.h"

#define DIRECTORY_MODE 0755
#define RETRY_MS       20

/* --- errors ---------------------------------------------------------------------------------- */

int state_error(struct state *state, int code)
{
	int err;

	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		state->is_damaged = true;
		return -EBADMSG;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	}
	/* What the system said is known for SQLITE_IOERR and SQLITE_CANTOPEN. */
	err = state->db ? sqlite3_system_errno(state->db) : 0;
	return err > 0 ? -err : -EIO;
}

bool state_is_damaged(const struct state *state)
{
	return state->is_damaged;
}

void state_explain(const struct state *state, int err, struct failure *failure)
{
	if (!err || failure_is_set(failure))
		return;
	switch (err) {
	case -EBADMSG:
		failure_set(
			failure,
			"move it away, with its -wal and -shm files, and run this again: sidestep "
			"rebuilds it from the certificates on the disk, with what is wanted of "
			"them",
			"the database %s is damaged", state->path);
		break;
	case -EBUSY:
		failure_set(failure, "wait, or find the process with fuser",
			    "another process has locked the database %s for over %d seconds",
			    state->path, STATE_BUSY_MS / 1000);
		break;
	case -EPROTO:
		failure_set(failure, "install that version, or move the database away",
			    "a newer version of sidestep has written the database %s", state->path);
		break;
	case -EFBIG:
		failure_set(failure, "raise the limit of file sizes (ulimit -f)",
			    "the database %s has reached this process's limit of file sizes",
			    state->path);
		break;
	default:
		failure_set_errno(failure, -err, "keeping the state in %s", state->path);
	}
	failure->owner = FAILURE_OF_STATE;
}

/* --- statements ------------------------------------------------------------------------------ */

int state_execute(struct state *state, const char *sql)
{
	return state_error(state, sqlite3_exec(state->db, sql, NULL, NULL, NULL));
}

static int find_statement(struct state *state, struct sqlite3_stmt **ret_statement, const char *sql)
{
	struct sqlite3_stmt *statement;
	size_t i;
	int code;

	for (i = 0; i < state->statement_count; i++) {
		if (state->statements[i].sql == sql) {
			*ret_statement = state->statements[i].statement;
			return 0;
		}
	}
	assert(state->statement_count < STATE_STATEMENTS_MAX);
	code = sqlite3_prepare_v3(state->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
	if (code)
		return state_error(state, code);
	state->statements[state->statement_count].sql = sql;
	state->statements[state->statement_count++].statement = statement;
	*ret_statement = statement;
	return 0;
}

static int state_query_va(struct state *state, struct sqlite3_stmt **ret_statement, const char *sql,
			  const char *types, va_list arguments)
{
	struct sqlite3_stmt *statement = NULL;
	const char *text;
	int column, code = SQLITE_OK, err;

	err = find_statement(state, &statement, sql);
	if (err)
		return err;
	for (column = 1; code == SQLITE_OK && *types; column++, types++) {
		if (*types == 'i') {
			code = sqlite3_bind_int64(statement, column, va_arg(arguments, int64_t));
		} else {
			text = va_arg(arguments, const char *);
			code = sqlite3_bind_text(statement, column, text, -1, SQLITE_STATIC);
		}
	}
	if (code) {
		state_finish(statement);
		return state_error(state, code);
	}
	*ret_statement = statement;
	return 0;
}

int state_query(struct state *state, struct sqlite3_stmt **ret_statement, const char *sql,
		const char *types, ...)
{
	va_list arguments;
	int err;

	va_start(arguments, types);
	err = state_query_va(state, ret_statement, sql, types, arguments);
	va_end(arguments);
	return err;
}

int state_step(struct state *state, struct sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement), err;

	if (code == SQLITE_ROW)
		return 1;
	/* Before the reset, which forgets it. */
	err = state_error(state, code);
	state_finish(statement);
	return err;
}

/* Parameters are bound without a copy: none may outlive the call. */
void state_finish(struct sqlite3_stmt *statement)
{
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
}

int state_run(struct state *state, int64_t *ret_changes, const char *sql, const char *types, ...)
{
	struct sqlite3_stmt *statement;
	va_list arguments;
	int err;

	va_start(arguments, types);
	err = state_query_va(state, &statement, sql, types, arguments);
	va_end(arguments);
	if (err)
		return err;
	err = state_step(state, statement);
	if (!err && ret_changes)
		*ret_changes = sqlite3_changes64(state->db);
	return err;
}

int state_number(struct state *state, int64_t *ret_number, const char *sql, const char *types, ...)
{
	struct sqlite3_stmt *statement;
	va_list arguments;
	int result;

	va_start(arguments, types);
	result = state_query_va(state, &statement, sql, types, arguments);
	va_end(arguments);
	if (result)
		return result;
	result = state_step(state, statement);
	if (result <= 0)
		return result ? result : -ENOENT;
	*ret_number = sqlite3_column_int64(statement, 0);
	state_finish(statement);
	return 0;
}

const char *state_text(struct sqlite3_stmt *statement, int column)
{
	return (const char *)sqlite3_column_text(statement, column);
}

int state_list(struct sqlite3_stmt *statement, int column, struct string_list *list)
{
	const char *text = state_text(statement, column);

	return text ? string_list_split(list, text, " ") : 0;
}

/* --- transactions ---------------------------------------------------------------------------- */

/* IMMEDIATE: otherwise another process may write between our first read and our write. */
int state_begin(struct state *state)
{
	int err;

	assert(!state->in_batch);
	err = state_run(state, NULL, "BEGIN IMMEDIATE", "");
	state->in_batch = !err;
	state->batch_error = 0;
	return err;
}

static void end_batch(struct state *state)
{
	state->in_batch = false;
}

int state_commit(struct state *state)
{
	int err = state->batch_error;

	assert(state->in_batch);
	if (!err)
		err = state_run(state, NULL, "COMMIT", "");
	if (err)
		state_rollback(state);
	end_batch(state);
	return err;
}

/* A full disk may have made SQLite roll back already. */
void state_rollback(struct state *state)
{
	if (!sqlite3_get_autocommit(state->db))
		(void)state_run(state, NULL, "ROLLBACK", "");
	end_batch(state);
}

int state_enter(struct state *state)
{
	if (state->in_batch)
		return state->batch_error;
	return state_run(state, NULL, "BEGIN IMMEDIATE", "");
}

int state_leave(struct state *state, int err)
{
	if (state->in_batch) {
		if (!state->batch_error)
			state->batch_error = err;
		return err;
	}
	if (!err)
		err = state_run(state, NULL, "COMMIT", "");
	if (err && !sqlite3_get_autocommit(state->db))
		(void)state_run(state, NULL, "ROLLBACK", "");
	return err;
}

/* --- changes --------------------------------------------------------------------------------- */

/* data_version counts the commits of others, total_changes the rows of our own. */
int state_version(struct state *state, int64_t *ret_version)
{
	int64_t others;
	int err = state_number(state, &others, "PRAGMA data_version", "");

	if (!err)
		*ret_version = others + sqlite3_total_changes64(state->db);
	return err;
}

/* --- opening --------------------------------------------------------------------------------- */

/* SQLite gives its other files the mode of this one. */
static int make_file(const struct paths *paths)
{
	struct file_access access = file_access_own(0600);
	int directory, err;

	err = file_open_path(paths->state, DIRECTORY_MODE, &directory);
	if (err)
		return err;
	if (faccessat(directory, STATE_FILE, F_OK, AT_SYMLINK_NOFOLLOW)) {
		err = file_create_atomically(directory, STATE_FILE, &access, "", 0);
		if (err == -EEXIST)
			err = 0;
	}
	close(directory);
	return err;
}

/*
 * The change to WAL needs the database for itself for a moment, and does not wait: two
 * processes may be opening a new one.
 */
static int use_wal(struct state *state)
{
	int waited_ms, err;

	for (waited_ms = 0;; waited_ms += RETRY_MS) {
		err = state_execute(state, "PRAGMA journal_mode = WAL");
		if (err != -EBUSY || waited_ms >= STATE_BUSY_MS)
			return err;
		clock_sleep_ms(RETRY_MS);
	}
}

/* The directory may be a symbolic link, or lie behind one; the database itself may not. */
static int resolve_directory(struct state *state, const struct paths *paths)
{
	char *directory = realpath(paths->state, NULL);
	int length;

	if (!directory)
		return -errno;
	length = snprintf(state->path, sizeof(state->path), "%s/" STATE_FILE, directory);
	free(directory);
	return length < (int)sizeof(state->path) ? 0 : -ENAMETOOLONG;
}

static int open_database(struct state *state)
{
	int code, err;

	code = sqlite3_open_v2(state->path, &state->db,
			       SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX,
			       NULL);
	if (code)
		return state_error(state, code);
	sqlite3_busy_timeout(state->db, STATE_BUSY_MS);
	err = use_wal(state);
	if (!err)
		err = state_execute(state, "PRAGMA synchronous = FULL;"
					   "PRAGMA foreign_keys = ON;"
					   "PRAGMA cache_size = -16384;"
					   "PRAGMA journal_size_limit = 67108864;");
	return err ? err : state_migrate(state);
}

int state_open(struct state **ret_state, const struct paths *paths, struct failure *failure)
{
	struct state *state = calloc(1, sizeof(*state));
	int err;

	if (!state) {
		failure_set_errno(failure, ENOMEM, "opening the state");
		return -1;
	}
	snprintf(state->path, sizeof(state->path), "%s/" STATE_FILE, paths->state);
	err = make_file(paths);
	if (!err)
		err = resolve_directory(state, paths);
	if (!err)
		err = open_database(state);
	if (!err) {
		*ret_state = state;
		return 0;
	}
	state_explain(state, err, failure);
	state_free(state);
	return -1;
}

void state_free(struct state *state)
{
	size_t i;

	if (!state)
		return;
	for (i = 0; i < state->statement_count; i++)
		sqlite3_finalize(state->statements[i].statement);
	/* Rolls back what is open. */
	sqlite3_close(state->db);
	free(state->last_tenant);
	free(state);
}
