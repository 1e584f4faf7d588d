/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What state_lineages.c offers to the other state*.c. */
#ifndef ACME_STORE_STATE_LINEAGES_H
#define ACME_STORE_STATE_LINEAGES_H

#include <stdint.h>

#include "acme/util/certificate_spec.h"

struct sqlite3_stmt;
struct state;
struct state_certificate;
struct state_lineage;

/* What the table has of a certificate_spec: its own columns, and one for each setting. */
#define STATE_SETTING_COLUMN(kind, member, ...) ", " #member
#define STATE_SPEC_COLUMNS                                                                   \
	"name, identifiers, cas, account, tenant, source, spec_digest" CERTIFICATE_SETTINGS( \
		STATE_SETTING_COLUMN)

/* What state_lineage_fill() reads, in its order. */
#define STATE_LINEAGE_COLUMNS                                                                   \
	"id, " STATE_SPEC_COLUMNS ", server, ari_id, not_before, not_after, window_start, "     \
	"window_end, explanation_url, check_at, ca, renew_at, next_attempt, issue_at, "         \
	"failures, last_failure, last_problem, priority, status, status_reason, status_since, " \
	"revision, issued_at, generation, deployed_generation, refused_generation, "            \
	"deploy_failures, refused_next, deploy_next, deploy_failure"

/* Numbers of enum state_status and enum state_priority in SQL: state_schema.c has them, too. */
#define STATE_SQL_IDLE       "status <= 2" /* waiting, retrying or held */
#define STATE_SQL_WAITING    "0"
#define STATE_SQL_RETRYING   "1"
#define STATE_SQL_HELD       "2"
#define STATE_SQL_ORDERING   "3"
#define STATE_SQL_PAUSED     "4"
#define STATE_SQL_RETIRED    "5"
#define STATE_SQL_ENDANGERED "2"

/* A CA to be asked next: the parameter when the lineage has it, else the present one, else the first. */
#define STATE_SQL_CA(parameter)                                                                \
	"ca = CASE WHEN instr(' ' || cas || ' ', ' ' || " parameter " || ' ') THEN " parameter \
	" WHEN instr(' ' || cas || ' ', ' ' || ca || ' ') THEN ca "                            \
	"ELSE substr(cas, 1, instr(cas || ' ', ' ') - 1) END"

/*
 * From a row: the texts are the row's, the lists are the lineage's.  state_lineage_done() frees them.
 * 0 or -ENOMEM: nothing is left to free.
 */
int state_lineage_fill(struct state_lineage *lineage, struct sqlite3_stmt *row);

/* Within state_enter().  -ENOENT: there is no such lineage. */
int state_certificate_write(struct state *state, int64_t id,
			    const struct state_certificate *certificate);

#endif
