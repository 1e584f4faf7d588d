/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Probes this host's own port 443 when a name is armed, before the CA knows of it.  The probe takes
 * the way of a CA's connection through the BPF programs.  A failed probe stops nothing, as
 * production may listen on another address, but it explains a later failure.  All authorizations of
 * a process share one selfcheck, which bounds the cost: a few probes at a time, and a pause after a
 * probe that did not find the responder.
 */
#ifndef ACME_CHALLENGE_SELFCHECK_H
#define ACME_CHALLENGE_SELFCHECK_H

#include <stdint.h>

struct selfcheck;
struct selfcheck_run;
struct dns_address;
struct identifier;
struct loop;
struct probe_result;

#define SELFCHECK_PROBES_MAX 32

/* `loop` must outlive it.  0, -ENOTSUP or -errno. */
int selfcheck_new(struct selfcheck **ret_selfcheck, struct loop *loop);

/* All runs must have ended or be cancelled. */
void selfcheck_free(struct selfcheck *selfcheck);

/*
 * Probe `identifier`, which must outlive the run and is armed with `digest` (copied).
 * `done` is called once, later, from the loop, unless the run is cancelled before; the run is freed
 * then.  Its result is NULL when there was no probe.  Returns NULL when out of memory.
 */
struct selfcheck_run *
selfcheck_start(struct selfcheck *selfcheck, const struct identifier *identifier,
		const uint8_t *digest,
		void (*done)(void *context, const struct probe_result *result), void *context);
void selfcheck_cancel(struct selfcheck_run *run);

/* The address of this host that probes go to, which is also their source. */
const struct dns_address *selfcheck_address(const struct selfcheck *selfcheck);

#endif
