/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Brings the certificates of the configuration into the state: writes every [certificate] and every
 * line of each [domains] file that is new or has changed, and retires what the configuration no longer
 * names.  Files that have not changed are not read again.
 *
 * It first reads everything and writes nothing.  When anything is wrong, each wrong line is reported
 * and the state stays as it was.  It also does when more than a tenth of the certificates (and more
 * than RECONCILE_FEW) would be retired, unless settings->retire_many consents: a file that is away for
 * a moment looks the same.  Then it writes, in small transactions; the next call completes what a
 * killed process has begun.
 *
 * All this happens in steps, so that a million certificates hold nothing else up.
 */
#ifndef ACME_RENEWAL_RECONCILE_H
#define ACME_RENEWAL_RECONCILE_H

#include <stddef.h>
#include <stdint.h>

struct settings;
struct failure;
struct reconcile;
struct state;

#define RECONCILE_SOURCE "config" /* certificate_spec.source */
#define RECONCILE_FEW    5 /* may be retired without a word */

/*
 * Begin.  The settings must outlive it.  *ret_reconcile is NULL when there is nothing to do, as no file
 * has changed.  0, or -1 with `failure` filled in.
 */
int reconcile_new(struct reconcile **ret_reconcile, struct state *state,
		  const struct settings *settings, struct failure *failure);

/*
 * Go on for about so long.  1: there is more to do; 0: the configuration is in the state; -1 with
 * `failure` filled in.
 */
int reconcile_step(struct reconcile *reconcile, uint32_t budget_ms, struct failure *failure);

/* What was done. */
struct reconcile_report {
	size_t certificates, changed, retired;
	uint32_t took_ms;
	uint32_t longest_step_ms;
};

void reconcile_report(const struct reconcile *reconcile, struct reconcile_report *ret_report);

/* At any time: the next one begins again. */
void reconcile_free(struct reconcile *reconcile);

/* All steps at once.  0, or -1 with `failure` filled in. */
int reconcile(struct state *state, const struct settings *settings, struct failure *failure);

#endif
