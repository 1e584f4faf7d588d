/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the state*.c share: the connection, and short ways to say what SQLite does in ten calls. */
#ifndef ACME_STORE_STATE_INTERNAL_H
#define ACME_STORE_STATE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme/store/state.h"
#include "common/paths.h"

struct sqlite3;
struct sqlite3_stmt;

#define STATE_STATEMENTS_MAX 128

struct state {
	struct sqlite3 *db;
	char path[PATHS_MAX + sizeof(STATE_FILE)];
	bool in_batch, is_damaged;
	int batch_error; /* of the first write in the batch that failed: it cannot be committed */
	char *last_tenant; /* of those that had to share: the next share begins behind it */
	size_t statement_count;
	struct {
		const char *sql; /* by its address: each text stands in one place of the source */
		struct sqlite3_stmt *statement;
	} statements[STATE_STATEMENTS_MAX]; /* prepared once, kept */
};

/* Make the database's tables, or bring them to this version.  0, -errno, -EPROTO: it is newer. */
int state_migrate(struct state *state);

/* -errno of the last SQLite call; `code` is what it returned. */
int state_error(struct state *state, int code);

/* Execute SQL without parameters, perhaps several statements. */
int state_execute(struct state *state, const char *sql);

/*
 * Take the prepared statement of `sql`, a literal, and bind its parameters: one letter of
 * `types` each: t const char * (NULL is NULL), i int64_t.
 */
int state_query(struct state *state, struct sqlite3_stmt **ret_statement, const char *sql,
		const char *types, ...);

/* 1: there is a row; 0: no more, and the statement is free again; or -errno, likewise. */
int state_step(struct state *state, struct sqlite3_stmt *statement);

/* The rows that are left are not wanted. */
void state_finish(struct sqlite3_stmt *statement);

/* A statement without result, in state_enter(); ret_changes may be NULL. */
int state_run(struct state *state, int64_t *ret_changes, const char *sql, const char *types, ...);

/* One number, 0 when it is NULL; -ENOENT: there is no row. */
int state_number(struct state *state, int64_t *ret_number, const char *sql, const char *types, ...);

/* Around what a call writes: a transaction of its own, or a part of the batch. */
int state_enter(struct state *state);
int state_leave(struct state *state, int err);

/* NULL for NULL; the row's own. */
const char *state_text(struct sqlite3_stmt *statement, int column);

/* Append the words of a text with blanks between, as lists are stored.  0 or -ENOMEM. */
int state_list(struct sqlite3_stmt *statement, int column, struct string_list *list);

#endif
