/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reaches the responder: opens its challenge table, and says what to do when that fails. */
#ifndef ACME_CHALLENGE_RESPONDER_H
#define ACME_CHALLENGE_RESPONDER_H

struct challenge_table;
struct failure;
struct paths;

/*
 * Open the table for publishing, which makes sense only while a responder
 * runs.  0, or -1 with `failure` filled in.
 */
int responder_open(struct challenge_table **ret_table, const struct paths *paths,
		   struct failure *failure);

/* Whether a responder runs; if not, or if that cannot be known, `failure` says more. */
int responder_check(const struct paths *paths, struct failure *failure);

/* Why the table could not be opened: `error` as challenge_table_open() gave it. */
void responder_explain_open(struct failure *failure, int error, const struct paths *paths);

/* Why `name` could not be armed or disarmed: `error` as the table gave it. */
void responder_explain_publish(struct failure *failure, int error, const char *name);

#endif
