/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Brings the certificates of the configuration into the state. */
#ifndef ACME_RENEWAL_RECONCILE_H
#define ACME_RENEWAL_RECONCILE_H

struct settings;
struct failure;
struct state;

/*
 * Writes every [certificate] and every line of each [domains] file into the state, and retires what
 * the configuration no longer names.  All or nothing: when anything is wrong, each wrong line is
 * reported and the state stays as it was.  Files that have not changed are not read again.  0, or -1 with `failure` filled in.
 */
int reconcile(struct state *state, const struct settings *settings, struct failure *failure);

#endif
