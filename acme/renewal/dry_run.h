/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * --dry-run: a trial of everything, at Let's Encrypt's staging environment instead of its production
 * (at other CAs, at the CA itself), in a state directory of its own that keeps only the account.  No
 * hook runs.
 */
#ifndef ACME_RENEWAL_DRY_RUN_H
#define ACME_RENEWAL_DRY_RUN_H

struct certificate_spec;
struct settings;
struct failure;
struct state;
struct string_list;

/* Makes the trial's state directory, settings->paths->state.  0, or -1 with `failure` filled in. */
int dry_run_begin(const struct settings *settings, struct failure *failure);

/*
 * Makes what a dry run orders of what `spec` wants: at CAs for trials in place of `cas`, with no hook,
 * by an account of its own.  spec->cas becomes a new list.  0 or -ENOMEM.
 */
int dry_run_make_spec(struct certificate_spec *spec, const struct string_list *cas);

/* Copies what the real state wants into the dry run's; all but what the configuration names: reconcile().
 *  0, or -1 with `failure` filled in. */
int dry_run_copy_specs(struct state *state, const struct settings *settings,
		       struct failure *failure);

/* Says that it is a dry run, and at which of the CAs in `state` its orders are real ones. */
void dry_run_announce(struct state *state);

/* Removes the trial's certificates and state. */
void dry_run_end(const struct settings *settings);

#endif
