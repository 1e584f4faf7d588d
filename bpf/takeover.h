/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Taking a connection from production, once the rules have decided it: the interface that the
 * rules use, and the two takeovers that stand behind it.
 */
#ifndef TAKEOVER_H
#define TAKEOVER_H

#include "bpf/segment.h"

/* Does a live responder wait for connections of this segment's family? */
INLINE bool takeover_is_open(const struct segment *segment);

/* The same, for a connection that is taken already: it goes on without the heartbeat. */
INLINE bool takeover_goes_on(const struct segment *segment);

/* The socket that gets this segment of a taken connection.  To release. */
INLINE struct bpf_sock *takeover_look_up(struct segment *segment);

/* Take a connection away from production's request socket.  An action. */
INLINE int takeover_take_request(struct segment *segment, const struct steer_flow *flow);

/* The end of rule 10: there is no request socket to remove.  An action. */
INLINE int takeover_take_cookie(struct segment *segment, const struct steer_flow *flow);

/* Rule 5: production's request socket still stands, although the connection is taken.  An action. */
INLINE int takeover_on_taken_request(struct segment *segment, struct steer_flow *flow);

/* Was the RST in vain, so that the connection is production's still? */
INLINE bool takeover_has_failed(const struct steer_flow *flow);

/* Rule 9: production's request socket is gone.  An action. */
INLINE int takeover_on_taken_listener(struct segment *segment, struct bpf_sock *found,
				      struct steer_flow *flow);

/* Rule 4: is an established socket of a taken connection still being made? */
INLINE bool takeover_is_in_the_making(void);

#ifdef STEER_BY_REPAIR
#include "bpf/takeover_repair.h"
#else
#include "bpf/takeover_assign.h"
#endif

#endif
