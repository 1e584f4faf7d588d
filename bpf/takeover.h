/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Taking a connection from production, once the rules have decided it.  Two takeovers stand
 * behind this interface, side by side: the kernel makes the connection on the responder's
 * listener (takeover_assign.h, Linux 6.9 and newer), or user space makes a socket of it by
 * TCP_REPAIR (takeover_repair.h).  The second one serves whatever the first one cannot.
 */
#ifndef BPF_TAKEOVER_H
#define BPF_TAKEOVER_H

#include "bpf/known.h"
#include "bpf/segment.h"
#include "bpf/takeover_repair.h"

/* A segment waits this often for the RST before it, then for its retransmission. */
#define REENTRIES_MAX 8
/* All of that is over by then, and no client has sent anything again yet (RFC 6298, RTO). */
#define REENTRIES_NS 20000000u

#ifdef STEER_BY_REPAIR
#include "bpf/takeover_no_assign.h"
#else
#include "bpf/takeover_assign.h"
#endif

/* Does a live responder wait for connections? */
INLINE bool takeover_is_open(void)
{
	return responder_is_alive(bpf_ktime_get_boot_ns());
}

/*
 * Take a connection away from production's request socket.  Only what lies in this segment as
 * a whole is assigned: no part of it has passed before.  An action.
 */
INLINE int takeover_take_request(struct segment *segment, struct steer_flow *flow)
{
	/*
	 * What passed before this segment makes an established socket of the request, for it may
	 * be of the same burst, which passes here before the stack sees any of it.
	 */
	if (segment->has_known || !assign_is_possible(segment, &flow->attrs))
		return repair_take(segment, flow, flow->client_isn + 1 + segment->passed);
	if (bpf_map_update_elem(&flows, &segment->packet.flow, flow, BPF_ANY))
		return pass_for_good(segment, STEER_PASSED_FAILED);
	return assign_behind_rst(segment);
}

/* Take it away from production's established socket, which expects `sequence` next.  An action. */
INLINE int takeover_take_established(struct segment *segment, struct steer_flow *flow,
				     __u32 sequence)
{
	count(STEER_LATE);
	return repair_take(segment, flow, sequence);
}

/* The end of rule 10: there is no request socket to remove.  An action. */
INLINE int takeover_take_cookie(struct segment *segment, struct steer_flow *flow)
{
	if (assign_is_possible(segment, &flow->attrs) && !assign_now(segment, &flow->attrs))
		count(STEER_STEERED);
	else if (repair_tell(segment, flow))
		return pass_for_good(segment, STEER_PASSED_FAILED);
	count(STEER_COOKIE_STEERED);
	return flow->adoption_state == STEER_ADOPTING ? DROP : PASS;
}

/* Rule 5: production's request socket still stands, although the connection is taken.  An action. */
INLINE int takeover_on_taken_request(struct segment *segment, struct steer_flow *flow)
{
	if (flow->adoption_state == STEER_NOT_ADOPTED && flow->reentries++ < REENTRIES_MAX) {
		count(STEER_REENTERED);
		return bpf_redirect(segment->skb->ifindex, BPF_F_INGRESS);
	}
	/* What comes behind such a beginning must wait until that comes again. */
	count(STEER_DROPPED);
	return DROP;
}

/*
 * Was the RST in vain, so that the connection is production's still?  The stack may refuse a
 * RST, and a firewall drop it.  It may be on its way, too: what has come in one burst passes the
 * classifier before the stack sees any of it.
 */
INLINE bool takeover_has_failed(const struct steer_flow *flow)
{
	return (flow->adoption_state == STEER_ADOPTING || flow->reentries >= REENTRIES_MAX) &&
	       bpf_ktime_get_boot_ns() - flow->taken_ns > REENTRIES_NS;
}

/* Rule 9: production's request socket is gone.  An action. */
INLINE int takeover_on_taken_listener(struct segment *segment, struct steer_flow *flow)
{
	const struct packet *packet = &segment->packet;

	if (flow->adoption_state == STEER_ADOPTING || !packet->payload_size ||
	    packet->sequence != flow->client_isn + 1) {
		count(STEER_DROPPED);
		return DROP;
	}
	if (assign_now(segment, &flow->attrs)) {
		if (!known_learn(segment, flow->client_isn) || repair_tell(segment, flow))
			count(STEER_DROPPED);
		return DROP;
	}
	if (!flow->assignments++)
		count(STEER_STEERED);
	return PASS;
}

#endif
