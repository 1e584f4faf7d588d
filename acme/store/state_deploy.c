// SPDX-License-Identifier: GPL-3.0-or-later
#include "acme/store/state_deploy.h"

#include <errno.h>
#include <sqlite3.h>

#include "acme/store/state_internal.h"
#include "acme/store/state_lineages.h"

int state_undeployed(struct state *state, int64_t now_s, size_t max,
		     int (*each)(void *context, const struct state_undeployed *undeployed),
		     void *context)
{
	struct state_undeployed undeployed;
	struct sqlite3_stmt *statement;
	int result;

	result = state_query(state, &statement,
			     "SELECT id, name, generation, deploy_failures, deploy_due "
			     "FROM lineage WHERE deploy_due <= ?1 ORDER BY deploy_due LIMIT ?2",
			     "ii", now_s, (int64_t)max);
	if (result)
		return result;
	while ((result = state_step(state, statement)) > 0) {
		undeployed = (struct state_undeployed){
			.id = sqlite3_column_int64(statement, 0),
			.name = state_text(statement, 1),
			.generation = sqlite3_column_int64(statement, 2),
			.failures = (unsigned int)sqlite3_column_int(statement, 3),
			.due_at_s = sqlite3_column_int64(statement, 4),
		};
		result = each(context, &undeployed);
		if (result) {
			state_finish(statement);
			return result;
		}
	}
	return result;
}

int state_next_deploy(struct state *state, int64_t *ret_at_s)
{
	return state_number(state, ret_at_s,
			    "SELECT min(deploy_due) FROM lineage WHERE deploy_due IS NOT NULL", "");
}

/* A write that held only for the generation in use: why it changed no row. */
static int leave_generation(struct state *state, int err, int64_t id, int64_t changes)
{
	int64_t one;

	if (!err && !changes) {
		err = state_number(state, &one, "SELECT 1 FROM lineage WHERE id = ?1", "i", id);
		err = err ? err : -EAGAIN;
	}
	return state_leave(state, err);
}

int state_deployed(struct state *state, int64_t id, int64_t generation)
{
	int64_t changes = 0;
	int err = state_enter(state);

	if (err)
		return err;
	err = state_run(state, &changes,
			"UPDATE lineage SET revision = revision + 1, deployed_generation = ?2, "
			"deploy_next = 0, "
			"deploy_failures = iif(refused_generation > ?2, deploy_failures, 0), "
			"deploy_failure = iif(refused_generation > ?2, deploy_failure, NULL), "
			"refused_generation = iif(refused_generation = ?2, 0, refused_generation) "
			"WHERE id = ?1 AND generation = ?2",
			"ii", id, generation);
	return leave_generation(state, err, id, changes);
}

int state_deploy_failed(struct state *state, int64_t id, int64_t generation, const char *text,
			int64_t next_s)
{
	int64_t changes = 0;
	int err = state_enter(state);

	if (err)
		return err;
	err = state_run(state, &changes,
			"UPDATE lineage SET revision = revision + 1, "
			"deploy_failures = deploy_failures + 1, deploy_next = ?4, "
			"deploy_failure = ?3 WHERE id = ?1 AND generation = ?2",
			"iiti", id, generation, text, next_s);
	return leave_generation(state, err, id, changes);
}

int state_deploy_refused(struct state *state, int64_t id, int64_t generation, const char *text,
			 const struct state_certificate *present, int64_t again_s)
{
	int64_t changes = 0;
	int err = state_enter(state);

	if (err)
		return err;
	err = state_run(state, &changes,
			"UPDATE lineage SET revision = revision + 1, refused_generation = ?2, "
			"refused_next = ?4, "
			"deployed_generation = 0, deploy_failures = deploy_failures + 1, "
			"deploy_next = 0, deploy_failure = ?3 WHERE id = ?1 AND generation = ?2",
			"iiti", id, generation, text, again_s);
	if (!err && changes)
		err = state_certificate_write(state, id, present);
	return leave_generation(state, err, id, changes);
}

/* Ends the hold of an order that was put off since the certificate was refused. */
#define NO_LONGER_PUT_OFF                                                                             \
	"status = iif(status = 2, 0, status), status_reason = iif(status = 2, NULL, status_reason), " \
	"next_attempt = iif(status = 2, 0, next_attempt) "

int state_deploy_retried(struct state *state, int64_t id, const struct state_certificate *present)
{
	int err = state_enter(state);

	if (err)
		return err;
	if (!present)
		err = state_run(state, NULL, "UPDATE lineage SET refused_next = 0 WHERE id = ?1",
				"i", id);
	else
		err = state_run(
			state, NULL,
			"UPDATE lineage SET revision = revision + 1, refused_generation = 0, "
			"refused_next = 0, deployed_generation = 0, deploy_next = 0, " NO_LONGER_PUT_OFF
			"WHERE id = ?1",
			"i", id);
	if (!err && present)
		err = state_certificate_write(state, id, present);
	return state_leave(state, err);
}

int state_deploy_returned(struct state *state, int64_t id, int64_t generation, const char *text,
			  const struct state_certificate *present, int64_t next_s)
{
	int64_t changes = 0;
	int err = state_enter(state);

	if (err)
		return err;
	err = state_run(
		state, &changes,
		"UPDATE lineage SET revision = revision + 1, refused_generation = ?5, "
		"deployed_generation = 0, deploy_failures = deploy_failures + 1, "
		"deploy_next = ?4, deploy_failure = ?3, refused_next = 0, " NO_LONGER_PUT_OFF
		"WHERE id = ?1 AND generation = ?2",
		"iitii", id, generation, text, next_s, present->generation);
	if (!err && changes)
		err = state_certificate_write(state, id, present);
	return leave_generation(state, err, id, changes);
}

int state_deploy_found(struct state *state, int64_t id, const struct state_certificate *present)
{
	int err = state_enter(state);

	return err ? err : state_leave(state, state_certificate_write(state, id, present));
}

int state_set_generation(struct state *state, int64_t id, int64_t generation, bool is_deployed)
{
	int64_t changes = 0;
	int err = state_enter(state);

	if (err)
		return err;
	err = state_run(state, &changes,
			"UPDATE lineage SET revision = revision + 1, generation = ?2, "
			"deployed_generation = iif(?3, ?2, deployed_generation), "
			"deploy_failures = 0, deploy_next = 0, deploy_failure = NULL WHERE id = ?1",
			"iii", id, generation, (int64_t)is_deployed);
	return state_leave(state, err ? err : changes ? 0 : -ENOENT);
}

int state_redeploy(struct state *state, int64_t id)
{
	int64_t changes = 0;
	int err = state_enter(state);

	if (err)
		return err;
	err = state_run(state, &changes,
			"UPDATE lineage SET revision = revision + 1, deployed_generation = 0, "
			"refused_generation = 0, deploy_failures = 0, deploy_next = 0, "
			"deploy_failure = NULL WHERE id = ?1",
			"i", id);
	return state_leave(state, err ? err : changes ? 0 : -ENOENT);
}
