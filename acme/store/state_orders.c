// SPDX-License-Identifier: GPL-3.0-or-later
/* Orders in flight, and how they ended. */
#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "acme/store/state_internal.h"
#include "acme/store/state_lineages.h"

#define NUMBER(text) #text
#define STRING(name) NUMBER(name)

int state_order_begin(struct state *state, const struct state_order *order)
{
	char *identifiers = string_list_join(&order->identifiers, ' ');
	int err = identifiers ? state_enter(state) : -ENOMEM;
	int64_t changes = 0;

	if (!err) {
		/* Also of a paused one, which somebody asks for; a retired one does not come back. */
		err = state_run(
			state, &changes,
			"UPDATE lineage SET revision = revision + 1, next_attempt = 0, "
			"status_since = iif(status = " STATE_SQL_RETIRED ", status_since, ?2), "
			"status_reason = iif(status = " STATE_SQL_RETIRED ", status_reason, NULL), "
			"status = iif(status = " STATE_SQL_RETIRED ", status, " STATE_SQL_ORDERING
			") WHERE id = ?1",
			"ii", order->lineage, order->made_at_s);
		if (!err && !changes)
			err = -ENOENT;
		if (!err)
			err = state_run(
				state, NULL,
				"INSERT INTO order_in_flight VALUES (?1, ?2, ?3, ?4, ?5, NULL, ?6)",
				"itttti", order->lineage, order->ca, order->server, order->account,
				identifiers, order->made_at_s);
		err = state_leave(state, err);
	}
	free(identifiers);
	return err;
}

int state_order_created(struct state *state, int64_t lineage, const char *url)
{
	int64_t changes = 0;
	int err = state_enter(state);

	if (err)
		return err;
	err = state_run(state, &changes, "UPDATE order_in_flight SET url = ?2 WHERE lineage = ?1",
			"it", lineage, url);
	return state_leave(state, err ? err : changes ? 0 : -ENOENT);
}

/* Into the history, of which the oldest is forgotten. */
static int note_attempt(struct state *state, int64_t lineage, const struct state_failure *failure,
			int64_t now_s)
{
	int err;

	err = state_run(state, NULL,
			"INSERT INTO attempt (lineage, at, ca, url, failure, problem) VALUES "
			"(?1, ?2, (SELECT ca FROM order_in_flight WHERE lineage = ?1), "
			"(SELECT url FROM order_in_flight WHERE lineage = ?1), ?3, ?4)",
			"iitt", lineage, now_s, failure ? failure->text : NULL,
			failure ? failure->problem : NULL);
	if (err)
		return err;
	return state_run(state, NULL,
			 "DELETE FROM attempt WHERE lineage = ?1 AND id <= (SELECT id FROM attempt "
			 "WHERE lineage = ?1 ORDER BY id DESC LIMIT 1 "
			 "OFFSET " STRING(STATE_ATTEMPTS) ")",
			 "i", lineage);
}

/* Whether other identifiers are wanted by now than were ordered. */
#define IS_SUPERSEDED                                                              \
	"EXISTS (SELECT 1 FROM order_in_flight AS o WHERE o.lineage = lineage.id " \
	"AND o.identifiers <> lineage.identifiers)"

/* What an order's end leaves alone: who paused or retired the lineage meanwhile knew of the order. */
#define IS_STOPPED "status IN (" STATE_SQL_PAUSED ", " STATE_SQL_RETIRED ")"

static int remove_order(struct state *state, int64_t lineage)
{
	return state_run(state, NULL, "DELETE FROM order_in_flight WHERE lineage = ?1", "i",
			 lineage);
}

/* The next renewal begins with the CA that is preferred. */
static int note_success(struct state *state, int64_t lineage, int64_t now_s)
{
	return state_run(state, NULL,
			 "UPDATE lineage SET revision = revision + 1, failures = 0, "
			 "next_attempt = 0, last_failure = NULL, last_problem = NULL, "
			 "renew_at = iif(" IS_SUPERSEDED ", 0, renew_at), "
			 "issued_at = iif(" IS_SUPERSEDED ", 0, ?2), priority = 0, "
			 "deployed_generation = 0, refused_generation = 0, refused_next = 0, "
			 "deploy_failures = 0, deploy_next = 0, deploy_failure = NULL, "
			 "status_reason = iif(" IS_STOPPED ", status_reason, NULL), "
			 "status_since = iif(" IS_STOPPED ", status_since, ?2), "
			 "status = iif(" IS_STOPPED ", status, " STATE_SQL_WAITING "), "
			 "ca = substr(cas, 1, instr(cas || ' ', ' ') - 1) WHERE id = ?1",
			 "ii", lineage, now_s);
}

int state_order_succeeded(struct state *state, int64_t lineage,
			  const struct state_certificate *certificate, int64_t now_s)
{
	int err = state_enter(state);

	if (err)
		return err;
	err = state_certificate_write(state, lineage, certificate);
	if (!err)
		err = note_attempt(state, lineage, NULL, now_s);
	if (!err)
		err = note_success(state, lineage, now_s);
	if (!err)
		err = remove_order(state, lineage);
	return state_leave(state, err);
}

static int note_failure(struct state *state, int64_t lineage, const struct state_failure *failure,
			int64_t now_s)
{
	int64_t changes = 0;
	int err;

	err = state_run(state, &changes,
			"UPDATE lineage SET revision = revision + 1, "
			"failures = iif(" IS_SUPERSEDED ", 0, failures + 1), "
			"next_attempt = iif(" IS_SUPERSEDED ", 0, ?2), "
			"last_failure = ?3, last_problem = ?4, " STATE_SQL_CA(
				"?5") ", "
				      "status_reason = iif(" IS_STOPPED ", status_reason, "
				      "	iif(" IS_SUPERSEDED ", NULL, ?3)), "
				      "status_since = iif(" IS_STOPPED ", status_since, ?6), "
				      "status = iif(" IS_STOPPED ", status, iif(" IS_SUPERSEDED
				      ", " STATE_SQL_WAITING ", " STATE_SQL_RETRYING
				      ")) WHERE id = ?1",
			"iittti", lineage, failure->next_attempt_s, failure->text, failure->problem,
			failure->next_ca, now_s);
	return err ? err : changes ? 0 : -ENOENT;
}

int state_order_failed(struct state *state, int64_t lineage, const struct state_failure *failure,
		       int64_t now_s)
{
	int err = state_enter(state);

	if (err)
		return err;
	err = note_failure(state, lineage, failure, now_s);
	if (!err)
		err = note_attempt(state, lineage, failure, now_s);
	if (!err)
		err = remove_order(state, lineage);
	return state_leave(state, err);
}

int state_order_drop(struct state *state, int64_t lineage)
{
	int64_t changes = 0;
	int err = state_enter(state);

	if (err)
		return err;
	err = remove_order(state, lineage);
	if (!err)
		err = state_run(state, &changes,
				"UPDATE lineage SET revision = revision + 1, "
				"status_reason = iif(status <> " STATE_SQL_ORDERING
				", status_reason, iif(failures > 0, last_failure, NULL)), "
				"status = iif(status <> " STATE_SQL_ORDERING ", status, "
				"	iif(failures > 0, " STATE_SQL_RETRYING
				", " STATE_SQL_WAITING ")) WHERE id = ?1",
				"i", lineage);
	return state_leave(state, err ? err : changes ? 0 : -ENOENT);
}

int state_orders(struct state *state, int (*each)(void *context, const struct state_order *order),
		 void *context)
{
	struct sqlite3_stmt *statement;
	struct state_order order;
	int result;

	result = state_query(
		state, &statement,
		"SELECT lineage, name, o.ca, o.server, o.account, o.identifiers, url, "
		"made_at, next_attempt FROM order_in_flight AS o JOIN lineage ON id = lineage "
		"WHERE status = " STATE_SQL_ORDERING " ORDER BY made_at, lineage",
		"");
	if (result)
		return result;
	while ((result = state_step(state, statement)) > 0) {
		order = (struct state_order){
			.lineage = sqlite3_column_int64(statement, 0),
			.name = state_text(statement, 1),
			.ca = state_text(statement, 2),
			.server = state_text(statement, 3),
			.account = state_text(statement, 4),
			.url = state_text(statement, 6),
			.made_at_s = sqlite3_column_int64(statement, 7),
			.next_attempt_s = sqlite3_column_int64(statement, 8),
		};
		result = state_list(statement, 5, &order.identifiers);
		if (!result)
			result = each(context, &order);
		string_list_done(&order.identifiers);
		if (result) {
			state_finish(statement);
			return result;
		}
	}
	return result;
}

int state_next_in_flight(struct state *state, int64_t age_s, int64_t *ret_at_s)
{
	return state_number(state, ret_at_s,
			    "SELECT min(iif(next_attempt > 0, next_attempt, made_at + ?1)) "
			    "FROM order_in_flight JOIN lineage ON id = lineage "
			    "WHERE status = " STATE_SQL_ORDERING,
			    "i", age_s);
}

int state_attempts(struct state *state, int64_t lineage,
		   int (*each)(void *context, const struct state_attempt *attempt), void *context)
{
	struct state_attempt attempt;
	struct sqlite3_stmt *statement;
	int result;

	result = state_query(state, &statement,
			     "SELECT at, ca, url, failure, problem FROM attempt "
			     "WHERE lineage = ?1 ORDER BY id DESC",
			     "i", lineage);
	if (result)
		return result;
	while ((result = state_step(state, statement)) > 0) {
		attempt = (struct state_attempt){
			.at_s = sqlite3_column_int64(statement, 0),
			.ca = state_text(statement, 1),
			.url = state_text(statement, 2),
			.failure = state_text(statement, 3),
			.problem = state_text(statement, 4),
		};
		result = each(context, &attempt);
		if (result) {
			state_finish(statement);
			return result;
		}
	}
	return result;
}
