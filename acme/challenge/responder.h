/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opens the responder's challenge table, and explains what to do when that fails. */
#ifndef ACME_CHALLENGE_RESPONDER_H
#define ACME_CHALLENGE_RESPONDER_H

#include <stdint.h>

struct challenge_table;
struct failure;
struct identifier;
struct paths;

/*
 * Check that a responder runs, and open its table for publishing.  0, or -1 with `failure` filled
 * in.
 */
int responder_open(struct challenge_table **ret_table, const struct paths *paths,
		   struct failure *failure);

/* 0: a responder runs; -1: it does not, or that is not known, with `failure` filled in. */
int responder_check(const struct paths *paths, struct failure *failure);

/*
 * Publish as challenge_table_publish() does.  When the responder has created a new table since
 * *table was opened, this opens the new one in its place.  0 or -errno of either.
 */
int responder_publish(struct challenge_table **table, const struct paths *paths,
		      const struct identifier *identifier, const uint8_t *digest, uint32_t ttl_s);

/* Explain an error of challenge_table_open(). */
void responder_explain_open(struct failure *failure, int err, const struct paths *paths);

/* Explain an error of responder_publish() or challenge_table_withdraw() for `name`. */
void responder_explain_publish(struct failure *failure, int err, const char *name);

#endif
