/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The way to the responder: its challenge table, opened with what to do when it cannot be. */
#ifndef FEED_H
#define FEED_H

struct challenge_table;
struct failure;
struct paths;

/*
 * Open the table for publishing, which makes sense only while a responder
 * runs.  0, or -1 with `failure` filled in.
 */
int feed_open(struct challenge_table **ret_table, const struct paths *paths,
	      struct failure *failure);

/* Whether a responder runs; if not, or if that cannot be known, `failure` says more. */
int feed_check_responder(const struct paths *paths, struct failure *failure);

/* Why the table could not be opened: `error` as challenge_table_open() gave it. */
void feed_explain_open(struct failure *failure, int error, const struct paths *paths);

/* Why `name` could not be armed or disarmed: `error` as the table gave it. */
void feed_explain_publish(struct failure *failure, int error, const char *name);

#endif
