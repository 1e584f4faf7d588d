/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records the outcome of a connection in the evidence (common/evidence.h). */
#ifndef RESPONDER_EVIDENCE_RECORD_H
#define RESPONDER_EVIDENCE_RECORD_H

#include <stdint.h>

#include "common/evidence.h"

struct conn;

/*
 * Tell of a connection whose handshake has ended, in whatever way: nothing, if it was for no
 * pending name.  It was opened at `opened_ns`, and it is now `now_ns`, of clock_monotonic_ns().
 */
void evidence_record_tell(struct evidence *evidence, const struct conn *conn, enum evidence_via via,
			  uint64_t opened_ns, uint64_t now_ns);

#endif
