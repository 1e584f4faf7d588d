/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Probes this host's own port 443 when a name is armed, before the CA knows of it.  The probe takes
 * the way of a CA's connection through the BPF programs.  A failed probe stops nothing, as
 * production may listen on another address, but it explains a later failure.
 *
 * The way is the same for all names, and a probe costs a TLS handshake, so one name is probed for
 * many: after a right answer the others pass for SELFCHECK_TRUST_S, after a wrong one for
 * SELFCHECK_REST_S.  Once the CA could not validate a name, each name is probed for SELFCHECK_REST_S.
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
#define SELFCHECK_TRUST_S    10
#define SELFCHECK_REST_S     60

/* `loop` must outlive it.  0, -ENOTSUP or -errno. */
int selfcheck_new(struct selfcheck **ret_selfcheck, struct loop *loop);

/* All runs must have ended or be cancelled. */
void selfcheck_free(struct selfcheck *selfcheck);

/*
 * Probe `identifier`, which must outlive the run and is armed with `digest` (copied).
 * `done` is called once, later, from the loop, unless the run is cancelled before; the run is freed
 * then.  Its result is NULL when another name's probe had to do.  Returns NULL when there is nothing
 * to wait for: this name passes, or memory is short.
 */
struct selfcheck_run *
selfcheck_start(struct selfcheck *selfcheck, const struct identifier *identifier,
		const uint8_t *digest,
		void (*done)(void *context, const struct probe_result *result), void *context);
void selfcheck_cancel(struct selfcheck_run *run);

/* The CA could not validate a name.  NULL: no selfcheck. */
void selfcheck_note_failure(struct selfcheck *selfcheck);

/* The address of this host that probes go to, which is also their source. */
const struct dns_address *selfcheck_address(const struct selfcheck *selfcheck);

#endif
