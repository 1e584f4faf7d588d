/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rebuilds the state from the certificates in live/ when the database is lost. */
#ifndef ACME_RENEWAL_REBUILD_H
#define ACME_RENEWAL_REBUILD_H

struct failure;
struct paths;
struct state;

/*
 * Adds every certificate on the disk to an empty state, as its origin.json says that it is wanted, or to be
 * renewed at the CA that issued it; warns about those whose CA is unknown, and leaves them out.  Does nothing to a state that has any.  0, or -1 with `failure` filled in.
 */
int rebuild(struct state *state, const struct paths *paths, struct failure *failure);

#endif
