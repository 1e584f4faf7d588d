/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * --dry-run: everything as it would be, at Let's Encrypt's staging environment instead of its
 * production (other CAs have one too, or not: there the CA is the same), and below a state directory
 * of its own, which keeps nothing but the account there.  No hook is run.
 */
#ifndef REHEARSAL_H
#define REHEARSAL_H

struct arguments;
struct failure;
struct state;

/* From here on `arguments` means the rehearsal's state and CAs.  0, or -1 with `failure` filled in. */
int rehearsal_begin(struct arguments *arguments, struct failure *failure);

/* Let the rehearsal's state want all that the real one does.  0, or -1 with `failure` filled in. */
int rehearsal_take_wishes(struct state *state, const struct arguments *arguments,
			  struct failure *failure);

/* Throw away what was got. */
void rehearsal_end(const struct arguments *arguments);

#endif
