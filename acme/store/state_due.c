// SPDX-License-Identifier: GPL-3.0-or-later
/* What is due: every query here goes by an index and reads no more than it gives. */
#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "acme/store/state_internal.h"
#include "acme/store/state_lineages.h"

#define DUE_COLUMNS "id, tenant, priority, issue_at, not_after"

/*
 * Of those that are due the longest, the one with the smallest share of its life left comes first; new
 * names, which serve nobody yet, before what has enough.  What has little has a priority of its own.
 */
#define MOST_PRESSING(source, now)                                         \
	"SELECT " DUE_COLUMNS " FROM (SELECT " DUE_COLUMNS                 \
	", not_before FROM lineage WHERE " source                          \
	"	ORDER BY issue_at, not_after LIMIT " OF_SO_MANY ") "       \
	"ORDER BY iif(not_after = 0, -1.0, (not_after - " now ") * 1.0 / " \
	"	max(not_after - not_before, 1)), issue_at, id "
#define OF_SO_MANY "400"

/* A list under way. */
struct list {
	size_t left; /* so many may still be given */
	int (*each)(void *context, const struct state_due *due);
	void *context;
};

/* Give the rows of a query to the list.  0 or -errno, or what the callback returned. */
static int give_rows(struct state *state, struct sqlite3_stmt *statement, struct list *list)
{
	struct state_due due;
	int result;

	while ((result = state_step(state, statement)) > 0) {
		due = (struct state_due){
			.id = sqlite3_column_int64(statement, 0),
			.tenant = state_text(statement, 1),
			.priority = (enum state_priority)sqlite3_column_int(statement, 2),
			.due_at_s = sqlite3_column_int64(statement, 3),
			.not_after_s = sqlite3_column_int64(statement, 4),
		};
		list->left--;
		result = list->each(list->context, &due);
		if (result) {
			state_finish(statement);
			return result;
		}
	}
	return result;
}

/* --- sharing among tenants --------------------------------------------------------------------- */

struct tenants {
	char **names;
	size_t count, max;
};

static void tenants_free(struct tenants *tenants)
{
	size_t i;

	for (i = 0; i < tenants->count; i++)
		free(tenants->names[i]);
	free(tenants->names);
}

/* Whether the tenant has something due; one seek, whatever there is of others. */
static int has_due(struct state *state, const char *ca, int64_t priority, const char *tenant,
		   int64_t now_s)
{
	int64_t one;
	int err;

	err = state_number(state, &one,
			   "SELECT 1 FROM lineage WHERE ca = ?1 AND priority = ?2 AND tenant = ?3 "
			   "AND issue_at <= ?4 LIMIT 1",
			   "titi", ca, priority, tenant, now_s);
	return err == -ENOENT ? 0 : err ? err : 1;
}

/* The next tenant behind `tenant` (NULL: the first).  1, 0: there is none, or -errno. */
static int next_tenant(struct state *state, const char *ca, int64_t priority, const char *tenant,
		       char **ret_name)
{
	struct sqlite3_stmt *statement;
	int result;

	result = tenant ? state_query(state, &statement,
				      "SELECT tenant FROM lineage WHERE ca = ?1 AND priority = ?2 "
				      "AND tenant > ?3 AND issue_at IS NOT NULL "
				      "ORDER BY tenant LIMIT 1",
				      "tit", ca, priority, tenant)
			: state_query(state, &statement,
				      "SELECT tenant FROM lineage WHERE ca = ?1 AND priority = ?2 "
				      "AND issue_at IS NOT NULL ORDER BY tenant LIMIT 1",
				      "ti", ca, priority);
	if (!result)
		result = state_step(state, statement);
	if (result <= 0)
		return result;
	*ret_name = strdup(state_text(statement, 0));
	state_finish(statement);
	return *ret_name ? 1 : -ENOMEM;
}

/* Collect those with something due between two names: (after, until]; NULL: open. */
static int collect_tenants(struct state *state, struct tenants *tenants, const char *ca,
			   int64_t priority, int64_t now_s, const char *after, const char *until)
{
	char *previous = NULL, *name;
	int result = 0;

	while (tenants->count < tenants->max) {
		result = next_tenant(state, ca, priority, previous ? previous : after, &name);
		free(previous);
		previous = NULL;
		if (result <= 0)
			break;
		if (until && strcmp(name, until) > 0) {
			free(name);
			break;
		}
		result = has_due(state, ca, priority, name, now_s);
		if (result > 0)
			tenants->names[tenants->count++] = strdup(name);
		if (result > 0 && !tenants->names[tenants->count - 1]) {
			tenants->count--;
			result = -ENOMEM;
		}
		previous = name;
		if (result < 0)
			break;
	}
	free(previous);
	return result < 0 ? result : 0;
}

/*
 * More is due than may be given: every tenant gets the same part.  When there are more
 * tenants than places, the next call begins behind the last of this one.
 */
static int give_shares(struct state *state, const char *ca, int64_t priority, int64_t now_s,
		       struct list *list)
{
	struct tenants tenants = {.max = list->left};
	struct sqlite3_stmt *statement;
	size_t share, i;
	int result;

	tenants.names = calloc(tenants.max, sizeof(*tenants.names));
	if (!tenants.names)
		return -ENOMEM;
	result = collect_tenants(state, &tenants, ca, priority, now_s, state->last_tenant, NULL);
	if (!result && state->last_tenant)
		result = collect_tenants(state, &tenants, ca, priority, now_s, NULL,
					 state->last_tenant);
	share = tenants.count ? list->left / tenants.count : 0;
	for (i = 0; !result && i < tenants.count; i++) {
		result =
			state_query(state, &statement,
				    MOST_PRESSING("ca = ?1 AND priority = ?2 AND tenant = ?3 "
						  "AND issue_at <= ?4",
						  "?4") "LIMIT ?5",
				    "titii", ca, priority, tenants.names[i], now_s, (int64_t)share);
		if (!result)
			result = give_rows(state, statement, list);
	}
	if (!result && tenants.count) {
		free(state->last_tenant);
		state->last_tenant = tenants.names[--tenants.count];
	}
	tenants_free(&tenants);
	return result;
}

/* Whether more than `max` are due. */
static int is_more(struct state *state, const char *ca, int64_t priority, int64_t now_s, size_t max)
{
	int64_t one;
	int err;

	err = state_number(state, &one,
			   "SELECT 1 FROM lineage WHERE ca = ?1 AND priority = ?2 "
			   "AND issue_at <= ?3 ORDER BY issue_at, not_after LIMIT 1 OFFSET ?4",
			   "tiii", ca, priority, now_s, (int64_t)max);
	return err == -ENOENT ? 0 : err ? err : 1;
}

int state_due_orders(struct state *state, const char *ca, int64_t now_s, size_t max,
		     int (*each)(void *context, const struct state_due *due), void *context)
{
	struct list list = {.left = max, .each = each, .context = context};
	struct sqlite3_stmt *statement;
	int64_t priority;
	int result = 0;

	for (priority = STATE_URGENT; !result && list.left && priority >= STATE_NORMAL;
	     priority--) {
		result = is_more(state, ca, priority, now_s, list.left);
		if (result > 0) {
			/* Those of lower priority wait. */
			return give_shares(state, ca, priority, now_s, &list);
		}
		if (!result)
			result = state_query(state, &statement,
					     MOST_PRESSING("ca = ?1 AND priority = ?2 "
							   "AND issue_at <= ?3",
							   "?3") "LIMIT ?4",
					     "tiii", ca, priority, now_s, (int64_t)list.left);
		if (!result)
			result = give_rows(state, statement, &list);
	}
	return result;
}

/* --- renewal information to ask for ------------------------------------------------------------------- */

int state_due_replacements(struct state *state, const char *ca, int64_t now_s, size_t max,
			   int (*each)(void *context, const struct state_due *due), void *context)
{
	struct list list = {.left = max, .each = each, .context = context};
	struct sqlite3_stmt *statement;
	int64_t priority;
	int result = 0;

	for (priority = STATE_URGENT; !result && list.left && priority >= STATE_NORMAL;
	     priority--) {
		result = state_query(state, &statement,
				     MOST_PRESSING("ca = ?1 AND priority = ?2 AND issue_at <= ?3 "
						   "AND ari_id IS NOT NULL AND server = ca "
						   "AND check_at > 0 AND window_start <= ?3 "
						   "AND window_end > ?3",
						   "?3") "LIMIT ?4",
				     "tiii", ca, priority, now_s, (int64_t)list.left);
		if (!result)
			result = give_rows(state, statement, &list);
	}
	return result;
}

int state_due_with_other_cas(struct state *state, const char *ca, int64_t now_s, size_t max,
			     int (*each)(void *context, const struct state_due *due), void *context)
{
	struct list list = {.left = max, .each = each, .context = context};
	struct sqlite3_stmt *statement;
	int err;

	err = state_query(state, &statement,
			  "SELECT " DUE_COLUMNS " FROM lineage WHERE ca = ?1 AND cas <> ca "
			  "AND issue_at <= ?2 ORDER BY not_after LIMIT ?3",
			  "tii", ca, now_s, (int64_t)max);
	return err ? err : give_rows(state, statement, &list);
}

int state_due_checks(struct state *state, int64_t now_s, size_t max,
		     int (*each)(void *context, const struct state_due *due), void *context)
{
	struct sqlite3_stmt *statement;
	struct state_due due;
	int result;

	result = state_query(state, &statement,
			     "SELECT id, tenant, priority, check_due, not_after, ari_id, server "
			     "FROM lineage WHERE check_due <= ?1 ORDER BY check_due LIMIT ?2",
			     "ii", now_s, (int64_t)max);
	if (result)
		return result;
	while ((result = state_step(state, statement)) > 0) {
		due = (struct state_due){
			.id = sqlite3_column_int64(statement, 0),
			.tenant = state_text(statement, 1),
			.priority = (enum state_priority)sqlite3_column_int(statement, 2),
			.due_at_s = sqlite3_column_int64(statement, 3),
			.not_after_s = sqlite3_column_int64(statement, 4),
			.ari_id = state_text(statement, 5),
			.server = state_text(statement, 6),
		};
		result = each(context, &due);
		if (result) {
			state_finish(statement);
			return result;
		}
	}
	return result;
}

/* --- when, and where --------------------------------------------------------------------------- */

int state_next_order(struct state *state, const char *ca, int64_t *ret_at_s)
{
	int64_t priority, at_s, next_s = 0;
	int err;

	for (priority = STATE_NORMAL; priority <= STATE_URGENT; priority++) {
		err = state_number(state, &at_s,
				   "SELECT issue_at FROM lineage WHERE ca = ?1 AND priority = ?2 "
				   "AND issue_at IS NOT NULL ORDER BY issue_at LIMIT 1",
				   "ti", ca, priority);
		if (err && err != -ENOENT)
			return err;
		if (!err && (!next_s || at_s < next_s))
			next_s = at_s;
	}
	*ret_at_s = next_s;
	return 0;
}

int state_next_check(struct state *state, int64_t *ret_at_s)
{
	return state_number(state, ret_at_s,
			    "SELECT min(check_due) FROM lineage WHERE check_due IS NOT NULL", "");
}

int state_cas(struct state *state, int (*each)(void *context, const char *ca), void *context)
{
	struct sqlite3_stmt *statement;
	char *previous = NULL;
	int result;

	/* From each to the next by a seek: they are few, and the rows many. */
	for (;;) {
		result = state_query(state, &statement,
				     "SELECT ca FROM lineage WHERE ca > ?1 "
				     "AND issue_at IS NOT NULL ORDER BY ca LIMIT 1",
				     "t", previous ? previous : "");
		if (!result)
			result = state_step(state, statement);
		free(previous);
		if (result <= 0)
			return result;
		previous = strdup(state_text(statement, 0));
		state_finish(statement);
		result = previous ? each(context, previous) : -ENOMEM;
		if (result) {
			free(previous);
			return result;
		}
	}
}

/* Give whole lineages to a list. */
static int give_lineages(struct state *state, struct sqlite3_stmt *statement,
			 int (*each)(void *context, const struct state_lineage *lineage),
			 void *context)
{
	struct state_lineage lineage;
	int result;

	while ((result = state_step(state, statement)) > 0) {
		result = state_lineage_fill(&lineage, statement);
		if (!result) {
			result = each(context, &lineage);
			state_lineage_done(&lineage);
		}
		if (result) {
			state_finish(statement);
			return result;
		}
	}
	return result;
}

int state_plan(struct state *state, int64_t until_s, size_t max,
	       int (*each)(void *context, const struct state_lineage *lineage), void *context)
{
	struct sqlite3_stmt *statement;
	int err;

	err = state_query(state, &statement,
			  "SELECT " STATE_LINEAGE_COLUMNS " FROM lineage "
			  "WHERE issue_at IS NULL OR issue_at <= ?1 "
			  "ORDER BY issue_at NULLS FIRST, status, name LIMIT ?2",
			  "ii", until_s, (int64_t)max);
	return err ? err : give_lineages(state, statement, each, context);
}

int state_lineages(struct state *state,
		   int (*each)(void *context, const struct state_lineage *lineage), void *context)
{
	struct sqlite3_stmt *statement;
	int err;

	err = state_query(state, &statement,
			  "SELECT " STATE_LINEAGE_COLUMNS " FROM lineage ORDER BY name", "");
	return err ? err : give_lineages(state, statement, each, context);
}
