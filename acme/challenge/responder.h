/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opens the responder's challenge table, and explains what to do when that fails. */
#ifndef ACME_CHALLENGE_RESPONDER_H
#define ACME_CHALLENGE_RESPONDER_H

struct challenge_table;
struct failure;
struct paths;

/*
 * Check that a responder runs, and open its table for publishing.  0, or -1 with `failure` filled
 * in.
 */
int responder_open(struct challenge_table **ret_table, const struct paths *paths,
		   struct failure *failure);

/* 0: a responder runs; -1: it does not, or that is not known, with `failure` filled in. */
int responder_check(const struct paths *paths, struct failure *failure);

/* Explain an error of challenge_table_open(). */
void responder_explain_open(struct failure *failure, int err, const struct paths *paths);

/* Explain an error of challenge_table_publish() or challenge_table_withdraw() for `name`. */
void responder_explain_publish(struct failure *failure, int err, const char *name);

#endif
