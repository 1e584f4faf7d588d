/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The last look before the CA is told that a name is armed: a probe of this host's own port
 * 443, through the same programs that a CA's connection goes through.  It keeps nobody from
 * going on, as production may listen elsewhere, but what it saw explains a failure.  All
 * authorizations of a process share one, which is what bounds its cost: some probes at a
 * time, and after one that did not find the responder none for a while.
 */
#ifndef BARRIER_H
#define BARRIER_H

#include <stdint.h>

struct barrier;
struct barrier_ticket;
struct dns_address;
struct identifier;
struct loop;
struct probe_result;

#define BARRIER_PROBES_MAX 32

/* `loop` must outlive it.  0, -ENOTSUP or -errno. */
int barrier_new(struct barrier **ret_barrier, struct loop *loop);

/* All tickets must be gone. */
void barrier_free(struct barrier *barrier);

/*
 * Probe `identifier`, which must outlive the ticket and is armed with `digest` (copied).
 * `done` is called once, later, from the loop, unless the ticket is given back before; it is
 * gone then.  The result is NULL when there was no probe.  NULL: out of memory.
 */
struct barrier_ticket *barrier_enter(struct barrier *barrier, const struct identifier *identifier,
				     const uint8_t *digest,
				     void (*done)(void *context, const struct probe_result *result),
				     void *context);
void barrier_leave(struct barrier_ticket *ticket);

/* Where probes go to, and so come from. */
const struct dns_address *barrier_address(const struct barrier *barrier);

#endif
