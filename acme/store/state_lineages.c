// SPDX-License-Identifier: GPL-3.0-or-later
/* The rows of lineages: what is wanted, what there is, and when it is due. */
#include <assert.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "acme/store/state_internal.h"
#include "acme/store/state_lineages.h"
#include "acme/util/moment.h"
#include "common/clock.h"

const char *state_status_name(enum state_status status)
{
	static const char *const names[] = {
		[STATE_WAITING] = "waiting", [STATE_RETRYING] = "retrying",
		[STATE_HELD] = "held",       [STATE_ORDERING] = "ordering",
		[STATE_PAUSED] = "paused",   [STATE_RETIRED] = "retired",
	};

	return (size_t)status < sizeof(names) / sizeof(*names) ? names[status] : "unknown";
}

/* --- rows ------------------------------------------------------------------------------------ */

#define READ_TEXT(row, column)          state_text(row, column)
#define READ_FLAG(row, column)          sqlite3_column_int(row, column)
#define FILL_SETTING(kind, member, ...) lineage->spec.settings.member = READ_##kind(row, column++);

int state_lineage_fill(struct state_lineage *lineage, struct sqlite3_stmt *row)
{
	int column = 0, err;

	/* In the order of STATE_LINEAGE_COLUMNS. */
	*lineage = (struct state_lineage){0};
	lineage->id = sqlite3_column_int64(row, column++);
	lineage->spec.name = state_text(row, column++);
	err = state_list(row, column++, &lineage->spec.identifiers);
	if (!err)
		err = state_list(row, column, &lineage->spec.cas);
	column++;
	lineage->spec.account = state_text(row, column++);
	lineage->spec.tenant = state_text(row, column++);
	lineage->spec.source = state_text(row, column++);
	lineage->spec.digest = sqlite3_column_int64(row, column++);
	CERTIFICATE_SETTINGS(FILL_SETTING)
	lineage->server = state_text(row, column++);
	lineage->ari_id = state_text(row, column++);
	lineage->not_before_s = sqlite3_column_int64(row, column++);
	lineage->not_after_s = sqlite3_column_int64(row, column++);
	lineage->window_start_s = sqlite3_column_int64(row, column++);
	lineage->window_end_s = sqlite3_column_int64(row, column++);
	lineage->explanation_url = state_text(row, column++);
	lineage->check_at_s = sqlite3_column_int64(row, column++);
	lineage->ca = state_text(row, column++);
	lineage->renew_at_s = sqlite3_column_int64(row, column++);
	lineage->next_attempt_s = sqlite3_column_int64(row, column++);
	lineage->issue_at_s = sqlite3_column_int64(row, column++);
	lineage->failures = (unsigned int)sqlite3_column_int(row, column++);
	lineage->last_failure = state_text(row, column++);
	lineage->last_problem = state_text(row, column++);
	lineage->priority = (enum state_priority)sqlite3_column_int(row, column++);
	lineage->status = (enum state_status)sqlite3_column_int(row, column++);
	lineage->status_reason = state_text(row, column++);
	lineage->status_since_s = sqlite3_column_int64(row, column++);
	lineage->revision = sqlite3_column_int64(row, column++);
	lineage->issued_at_s = sqlite3_column_int64(row, column++);
	lineage->generation = sqlite3_column_int64(row, column++);
	lineage->deployed_generation = sqlite3_column_int64(row, column++);
	lineage->refused_generation = sqlite3_column_int64(row, column++);
	lineage->deploy_failures = (unsigned int)sqlite3_column_int(row, column++);
	lineage->refused_next_s = sqlite3_column_int64(row, column++);
	lineage->deploy_next_s = sqlite3_column_int64(row, column++);
	lineage->deploy_failure = state_text(row, column++);
	if (err)
		state_lineage_done(lineage);
	return err;
}

#define TEXT_AT_TEXT(member) offsetof(struct state_lineage, spec.settings.member),
#define TEXT_AT_FLAG(member)
#define SETTING_TEXT_AT(kind, member, ...) TEXT_AT_##kind(member)

/* Where its texts are pointed to. */
static const size_t texts[] = {
	offsetof(struct state_lineage, spec.name),
	offsetof(struct state_lineage, spec.account),
	offsetof(struct state_lineage, spec.tenant),
	offsetof(struct state_lineage, spec.source),
	/* clang-format off */
	CERTIFICATE_SETTINGS(SETTING_TEXT_AT)
	/* clang-format on */
	offsetof(struct state_lineage, server),
	offsetof(struct state_lineage, ari_id),
	offsetof(struct state_lineage, explanation_url),
	offsetof(struct state_lineage, ca),
	offsetof(struct state_lineage, last_failure),
	offsetof(struct state_lineage, last_problem),
	offsetof(struct state_lineage, status_reason),
	offsetof(struct state_lineage, deploy_failure),
};

/* Give it copies of its texts, all in one piece. */
static int lineage_keep(struct state_lineage *lineage)
{
	const char **text;
	size_t size = 0, i;
	char *next;

	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		text = (const char **)((char *)lineage + texts[i]);
		size += *text ? strlen(*text) + 1 : 0;
	}
	lineage->storage = next = malloc(size);
	if (!next)
		return -ENOMEM;
	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		text = (const char **)((char *)lineage + texts[i]);
		if (!*text)
			continue;
		size = strlen(*text) + 1;
		*text = memcpy(next, *text, size);
		next += size;
	}
	return 0;
}

/* The one row of a query. */
static int lineage_read_one(struct state *state, struct sqlite3_stmt *statement,
			    struct state_lineage *ret_lineage)
{
	struct state_lineage lineage;
	int result = state_step(state, statement);

	if (result <= 0)
		return result ? result : -ENOENT;
	result = state_lineage_fill(&lineage, statement);
	if (!result) {
		result = lineage_keep(&lineage);
		if (!result)
			*ret_lineage = lineage;
		else
			state_lineage_done(&lineage);
	}
	state_finish(statement);
	return result;
}

int state_lineage_read(struct state *state, int64_t id, struct state_lineage *ret_lineage)
{
	struct sqlite3_stmt *statement;
	int err;

	err = state_query(state, &statement,
			  "SELECT " STATE_LINEAGE_COLUMNS " FROM lineage WHERE id = ?1", "i", id);
	return err ? err : lineage_read_one(state, statement, ret_lineage);
}

int state_lineage_find(struct state *state, const char *name, struct state_lineage *ret_lineage)
{
	struct sqlite3_stmt *statement;
	int err;

	err = state_query(state, &statement,
			  "SELECT " STATE_LINEAGE_COLUMNS " FROM lineage WHERE name = ?1", "t",
			  name);
	return err ? err : lineage_read_one(state, statement, ret_lineage);
}

int state_lineage_next(struct state *state, int64_t after, struct state_lineage *ret_lineage)
{
	struct sqlite3_stmt *statement;
	int err;

	err = state_query(state, &statement,
			  "SELECT " STATE_LINEAGE_COLUMNS
			  " FROM lineage WHERE id > ?1 ORDER BY id LIMIT 1",
			  "i", after);
	return err ? err : lineage_read_one(state, statement, ret_lineage);
}

void state_lineage_done(struct state_lineage *lineage)
{
	string_list_done(&lineage->spec.identifiers);
	string_list_done(&lineage->spec.cas);
	free(lineage->storage);
	*lineage = (struct state_lineage){0};
}

int state_lineage_count(struct state *state, int64_t *ret_count)
{
	return state_number(state, ret_count, "SELECT count(*) FROM lineage", "");
}

/* One change of one row: -ENOENT when the row is not there. */
static int leave_one(struct state *state, int err, int64_t changes)
{
	return state_leave(state, err ? err : changes ? 0 : -ENOENT);
}

int state_expect(struct state *state, const struct state_lineage *lineage)
{
	int64_t one;
	int err;

	assert(state->in_batch);
	err = state_number(state, &one, "SELECT 1 FROM lineage WHERE id = ?1 AND revision = ?2",
			   "ii", lineage->id, lineage->revision);
	return state_leave(state, err == -ENOENT ? -EAGAIN : err);
}

int state_lineage_delete(struct state *state, int64_t id)
{
	int64_t changes = 0;
	int err = state_enter(state);

	if (err)
		return err;
	err = state_run(state, &changes, "DELETE FROM lineage WHERE id = ?1", "i", id);
	return leave_one(state, err, changes);
}

/* --- what is wanted --------------------------------------------------------------------------- */

/* The parameters of a certificate_spec, in the order of STATE_SPEC_COLUMNS. */
#define SETTING_PARAMETER(...)           ", ?"
#define SPEC_PARAMETERS                  "?1, ?2, ?3, ?4, ?5, ?6, ?7" CERTIFICATE_SETTINGS(SETTING_PARAMETER)
#define TYPE_TEXT                        "t"
#define TYPE_FLAG                        "i"
#define SETTING_TYPE(kind, ...)          TYPE_##kind
#define SPEC_TYPES                       "tttttti" CERTIFICATE_SETTINGS(SETTING_TYPE)
#define BOUND_TEXT(value)                (value)
#define BOUND_FLAG(value)                ((int64_t)(value))
#define SETTING_BOUND(kind, member, ...) , BOUND_##kind(spec->settings.member)
#define SPEC_BOUND(identifiers, cas)                                                   \
	spec->name, identifiers, cas, spec->account, spec->tenant ? spec->tenant : "", \
		spec->source, spec->digest CERTIFICATE_SETTINGS(SETTING_BOUND)
#define SETTING_UPDATE(kind, member, ...) #member " = excluded." #member ", "

/* The first of the CAs, which have blanks between. */
#define FIRST_CA "substr(?3, 1, instr(?3 || ' ', ' ') - 1)"

/* Whether what was learnt of these names and CAs holds for those that are wanted now, too. */
#define SAME "(identifiers, cas) = (excluded.identifiers, excluded.cas)"

/* What a row becomes that is wanted (again): retired ones as they were, others mostly unchanged. */
#define WANTED_STATUS                                                                            \
	"CASE WHEN status = " STATE_SQL_ORDERING " THEN status "                                 \
	"WHEN status = " STATE_SQL_RETIRED " AND EXISTS "                                        \
	"	(SELECT 1 FROM order_in_flight WHERE lineage = id) THEN " STATE_SQL_ORDERING " " \
	"WHEN NOT " SAME " THEN " STATE_SQL_WAITING " "                                          \
	"WHEN status = " STATE_SQL_RETIRED " THEN iif(status_reason IS NULL, "                   \
	"	" STATE_SQL_WAITING ", " STATE_SQL_PAUSED ") ELSE status END"

/*
 * On the left the row as it is, on the right (excluded) as it is wanted.  What failed for other names,
 * or at other CAs, says nothing of these.
 */
static const char spec_upsert[] =
	"INSERT INTO lineage (" STATE_SPEC_COLUMNS ", ca, status_since) "
	"VALUES (" SPEC_PARAMETERS ", " FIRST_CA ", ?) ON CONFLICT (name) DO UPDATE SET "
	"renew_at = iif(identifiers = excluded.identifiers, renew_at, 0), "
	"issued_at = iif(identifiers = excluded.identifiers, issued_at, 0), "
	"next_attempt = iif(" SAME ", next_attempt, 0), "
	"failures = iif(" SAME ", failures, 0), "
	"status_since = iif(status = " WANTED_STATUS ", status_since, excluded.status_since), "
	"status = " WANTED_STATUS ", "
	"status_reason = iif(" SAME ", status_reason, NULL), "
	"ca = iif(cas = excluded.cas, ca, excluded.ca), "
	"identifiers = excluded.identifiers, cas = excluded.cas, account = excluded.account, "
	"tenant = excluded.tenant, source = excluded.source, "
	"spec_digest = excluded.spec_digest, "
	/* clang-format off */
	CERTIFICATE_SETTINGS(SETTING_UPDATE)
	/* clang-format on */
	"revision = revision + 1 RETURNING id";

/* A new row, where there is none of this name.  In half the time of an upsert: lists are long. */
static int insert_spec(struct state *state, const struct certificate_spec *spec,
		       const char *identifiers, const char *cas, int64_t *ret_changes)
{
	return state_run(state, ret_changes,
			 "INSERT OR IGNORE INTO lineage (" STATE_SPEC_COLUMNS ", ca, status_since) "
			 "VALUES (" SPEC_PARAMETERS ", " FIRST_CA ", ?)",
			 SPEC_TYPES "i", SPEC_BOUND(identifiers, cas), clock_now_s());
}

/*
 * Mostly nothing has changed, and a list may be long: then nothing is written.  Nor where the
 * configuration has the lineage, and another source asks.
 */
static int write_spec(struct state *state, const struct certificate_spec *spec,
		      const char *identifiers, const char *cas, int64_t *ret_id)
{
	int64_t changes = 0;
	int err = -ENOENT;

	if (strcmp(spec->source, "config") != 0)
		err = state_number(state, ret_id,
				   "SELECT id FROM lineage WHERE name = ?1 AND source = 'config' "
				   "AND status <> " STATE_SQL_RETIRED,
				   "t", spec->name);
	/* One with a digest comes here because that has changed. */
	if (err == -ENOENT && !spec->digest)
		err = state_number(state, ret_id,
				   "SELECT id FROM lineage WHERE name = ?1 AND "
				   "status <> " STATE_SQL_RETIRED " AND "
				   "(" STATE_SPEC_COLUMNS ") IS (" SPEC_PARAMETERS ")",
				   SPEC_TYPES, SPEC_BOUND(identifiers, cas));
	if (err != -ENOENT)
		return err;
	err = state_enter(state);
	if (err)
		return err;
	if (spec->digest)
		err = insert_spec(state, spec, identifiers, cas, &changes);
	if (!err && changes)
		*ret_id = sqlite3_last_insert_rowid(state->db);
	else if (!err)
		err = state_number(state, ret_id, spec_upsert, SPEC_TYPES "i",
				   SPEC_BOUND(identifiers, cas), clock_now_s());
	return state_leave(state, err);
}

int state_set_spec(struct state *state, const struct certificate_spec *spec, int64_t *ret_id)
{
	char *identifiers = string_list_join(&spec->identifiers, ' ');
	char *cas = string_list_join(&spec->cas, ' ');
	int64_t id;
	int err = -ENOMEM;

	if (identifiers && cas)
		err = write_spec(state, spec, identifiers, cas, &id);
	free(identifiers);
	free(cas);
	if (!err && ret_id)
		*ret_id = id;
	return err;
}

/* --- what there is, and when it is due --------------------------------------------------------- */

int state_certificate_write(struct state *state, int64_t id,
			    const struct state_certificate *certificate)
{
	int64_t changes = 0;
	int err;

	/* A generation has its hooks run once it is another than before. */
	err = state_run(state, &changes,
			"UPDATE lineage SET server = ?2, ari_id = ?3, not_before = ?4, "
			"not_after = ?5, renew_at = ?6, check_at = ?7, window_start = 0, "
			"window_end = 0, explanation_url = NULL, revision = revision + 1, "
			"generation = iif(?8 > 0, ?8, generation) WHERE id = ?1",
			"ittiiiii", id, certificate->server, certificate->ari_id,
			certificate->not_before_s, certificate->not_after_s,
			certificate->renew_at_s, certificate->check_at_s, certificate->generation);
	if (!err && !changes)
		err = -ENOENT;
	if (err)
		return err;
	return state_run(state, NULL,
			 "INSERT INTO fact VALUES ('newest_not_before', ?1) ON CONFLICT DO UPDATE "
			 "SET value = excluded.value WHERE value < excluded.value",
			 "i", certificate->not_before_s);
}

int state_set_certificate(struct state *state, int64_t id,
			  const struct state_certificate *certificate)
{
	int err = state_enter(state);

	if (err)
		return err;
	err = state_certificate_write(state, id, certificate);
	if (!err && certificate->generation)
		err = state_run(state, NULL,
				"UPDATE lineage SET deployed_generation = generation WHERE id = ?1",
				"i", id);
	return state_leave(state, err);
}

/* A new string; NULL stays NULL. */
static int copy_text(char **ret_copy, const char *text)
{
	*ret_copy = text ? strdup(text) : NULL;
	return *ret_copy || !text ? 0 : -ENOMEM;
}

int state_begins_after(struct state *state, int64_t moment_s, char **ret_name, char **ret_server)
{
	struct sqlite3_stmt *statement;
	int64_t newest_s;
	int result;

	/* The fact may be of a certificate that is gone. */
	result = state_number(state, &newest_s,
			      "SELECT max(value) FROM fact WHERE name = 'newest_not_before'", "");
	if (!result && newest_s <= moment_s)
		result = -ENOENT;
	if (!result)
		result = state_query(state, &statement,
				     "SELECT name, server FROM lineage WHERE not_before > ?1 "
				     "ORDER BY not_before DESC LIMIT 1",
				     "i", moment_s);
	if (!result)
		result = state_step(state, statement);
	if (result <= 0)
		return result ? result : -ENOENT;
	result = copy_text(ret_name, state_text(statement, 0));
	if (!result)
		result = copy_text(ret_server, state_text(statement, 1));
	if (result)
		free(*ret_name);
	state_finish(statement);
	return result;
}

int state_set_renewal(struct state *state, int64_t id, int64_t renew_at_s,
		      enum state_priority priority)
{
	int64_t changes = 0;
	int err = state_enter(state);

	if (err)
		return err;
	err = state_run(state, &changes,
			"UPDATE lineage SET renew_at = ?2, priority = ?3, "
			"revision = revision + 1 WHERE id = ?1",
			"iii", id, renew_at_s, (int64_t)priority);
	return leave_one(state, err, changes);
}

int state_postpone(struct state *state, int64_t id, int64_t until_s, const char *ca,
		   const char *reason)
{
	int64_t changes = 0;
	int err = state_enter(state);

	if (err)
		return err;
	err = state_run(
		state, &changes,
		"UPDATE lineage SET revision = revision + 1, next_attempt = ?2, " STATE_SQL_CA(
			"?3") ", "
			      "status_reason = iif(" STATE_SQL_IDLE ", ?4, status_reason), "
			      "status_since = iif(" STATE_SQL_IDLE ", ?5, status_since), "
			      "status = iif(" STATE_SQL_IDLE ", " STATE_SQL_HELD ", status) "
			      "WHERE id = ?1",
		"iitti", id, until_s, ca, reason, clock_now_s());
	return leave_one(state, err, changes);
}

/* What a lineage is that is not paused any more, or whose order has gone without an end. */
#define HAS_ORDER "EXISTS (SELECT 1 FROM order_in_flight WHERE lineage = id)"
#define RESUMED                                            \
	"CASE WHEN " HAS_ORDER " THEN " STATE_SQL_ORDERING \
	" WHEN failures > 0 THEN " STATE_SQL_RETRYING " "  \
	"ELSE " STATE_SQL_WAITING " END"

static int unpause(struct state *state, int64_t id, int64_t *ret_changes)
{
	/* A retired one is not paused again when it is back. */
	return state_run(state, ret_changes,
			 "UPDATE lineage SET revision = revision + 1, "
			 "status_since = iif(status = " STATE_SQL_PAUSED ", ?2, status_since), "
			 "status_reason = CASE WHEN status = " STATE_SQL_RETIRED " THEN NULL "
			 "WHEN status <> " STATE_SQL_PAUSED " THEN status_reason "
			 "WHEN failures > 0 AND NOT " HAS_ORDER " THEN last_failure END, "
			 "status = iif(status = " STATE_SQL_PAUSED ", " RESUMED ", status) "
			 "WHERE id = ?1",
			 "ii", id, clock_now_s());
}

static int pause_lineage(struct state *state, int64_t id, const char *reason, int64_t *ret_changes)
{
	return state_run(state, ret_changes,
			 "UPDATE lineage SET revision = revision + 1, status_reason = ?2, "
			 "status_since = iif(status = " STATE_SQL_RETIRED ", status_since, ?3), "
			 "status = iif(status = " STATE_SQL_RETIRED ", status, " STATE_SQL_PAUSED
			 ") "
			 "WHERE id = ?1",
			 "iti", id, reason, clock_now_s());
}

int state_pause(struct state *state, int64_t id, const char *reason)
{
	int64_t changes = 0;
	int err = state_enter(state);

	if (err)
		return err;
	err = reason ? pause_lineage(state, id, reason, &changes) : unpause(state, id, &changes);
	return leave_one(state, err, changes);
}

/* --- renewal information ------------------------------------------------------------------------ */

int state_set_window(struct state *state, int64_t id, const char *ari_id,
		     const struct state_window *window)
{
	int64_t changes = 0;
	int err = state_enter(state);

	if (err)
		return err;
	err = state_run(state, &changes,
			"UPDATE lineage SET window_start = ?2, window_end = ?3, "
			"explanation_url = ?4, check_at = ?5, renew_at = ?6, "
			"priority = max(?7, iif(priority < " STATE_SQL_ENDANGERED
			", 0, priority)), "
			"revision = revision + 1 WHERE id = ?1 AND ari_id = ?8",
			"iiitiiit", id, window->start_s, window->end_s, window->explanation_url,
			window->check_at_s, window->renew_at_s, (int64_t)window->priority, ari_id);
	return leave_one(state, err, changes);
}

int state_set_check(struct state *state, int64_t id, const char *ari_id, int64_t check_at_s)
{
	int64_t changes = 0;
	int err = state_enter(state);

	if (err)
		return err;
	err = state_run(state, &changes,
			"UPDATE lineage SET check_at = ?2, revision = revision + 1 "
			"WHERE id = ?1 AND ari_id = ?3",
			"iit", id, check_at_s, ari_id);
	return leave_one(state, err, changes);
}

int state_mark_due(struct state *state, const struct state_filter *filter,
		   enum state_priority priority, int64_t *ret_count)
{
	int err = state_enter(state);

	if (err)
		return err;
	/* What failed before was another reason to renew; the order of expiry is in the index. */
	err = state_run(state, ret_count,
			"UPDATE lineage SET renew_at = 1, priority = ?1, next_attempt = 0, "
			"issued_at = 0, revision = revision + 1, "
			"status = iif(" STATE_SQL_IDLE ", " STATE_SQL_WAITING ", status), "
			"status_reason = iif(" STATE_SQL_IDLE ", NULL, status_reason), "
			"status_since = iif(" STATE_SQL_IDLE ", ?7, status_since) "
			"WHERE status <> " STATE_SQL_RETIRED " AND (?2 IS NULL OR ca = ?2) "
			"AND (?3 IS NULL OR server = ?3) "
			"AND (?4 = 0 OR not_before > ?4) AND (?5 = 0 OR not_before < ?5) "
			"AND (?6 = 0 OR (window_end > 0 AND window_end < ?6))",
			"ittiiii", (int64_t)priority, filter->ca, filter->server,
			filter->issued_after_s, filter->issued_before_s, filter->window_before_s,
			clock_now_s());
	return state_leave(state, err);
}

/* --- looking ------------------------------------------------------------------------------------ */

static int has_one(struct state *state, const char *sql, int64_t now_s, bool *ret_has)
{
	int64_t one;
	int err = state_number(state, &one, sql, "i", now_s);

	*ret_has = !err;
	return err == -ENOENT ? 0 : err;
}

/* What lies further ahead than its kind allows says nothing: it is now. */
static int bring_near(struct state *state, int64_t now_s)
{
	const int64_t attempt_s = now_s + MOMENT_ATTEMPT_MAX_S;
	const int64_t check_s = now_s + MOMENT_CHECK_MAX_S;

	return state_run(state, NULL,
			 "UPDATE lineage SET revision = revision + 1, "
			 "issued_at = min(issued_at, ?1), "
			 "next_attempt = iif(next_attempt > ?2, ?1, next_attempt), "
			 "check_at = iif(check_at > ?3, ?1, check_at), "
			 "deploy_next = iif(deploy_next > ?2, ?1, deploy_next), "
			 "refused_next = iif(refused_next > ?2, ?1, refused_next), "
			 "status_since = min(status_since, ?1) WHERE believed_from > ?1",
			 "iii", now_s, attempt_s, check_s);
}

static int note_danger(struct state *state, int64_t now_s)
{
	return state_run(state, NULL,
			 "UPDATE lineage SET revision = revision + 1, "
			 "priority = " STATE_SQL_ENDANGERED " WHERE endangered_at <= ?1",
			 "i", now_s);
}

int state_correct(struct state *state, int64_t now_s)
{
	bool has_future = false, has_danger = false;
	int err;

	err = has_one(state, "SELECT 1 FROM lineage WHERE believed_from > ?1 LIMIT 1", now_s,
		      &has_future);
	if (!err)
		err = has_one(state, "SELECT 1 FROM lineage WHERE endangered_at <= ?1 LIMIT 1",
			      now_s, &has_danger);
	if (err || (!has_future && !has_danger))
		return err;
	err = state_enter(state);
	if (err)
		return err;
	if (has_future)
		err = bring_near(state, now_s);
	if (!err && has_danger)
		err = note_danger(state, now_s);
	return state_leave(state, err);
}
