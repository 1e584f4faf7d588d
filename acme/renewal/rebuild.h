/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is in live/ and the state does not know: after an update, or when the state was lost. */
#ifndef INVENTORY_H
#define INVENTORY_H

struct failure;
struct paths;
struct state;

/*
 * Let an empty state know every certificate that is on the disk, to be renewed at the CA that
 * issued it; those whose CA is unknown are named and left.  A state that knows any is left as it
 * is.  0, or -1 with `failure` filled in.
 */
int inventory_take(struct state *state, const struct paths *paths, struct failure *failure);

#endif
