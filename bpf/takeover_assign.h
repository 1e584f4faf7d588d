/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The sk_lookup takeover, for Linux 6.9 and newer: the kernel makes the connection on
 * the responder's listener.
 */
#ifndef TAKEOVER_ASSIGN_H
#define TAKEOVER_ASSIGN_H

#include "bpf/segment.h"
#include "bpf/sockets.h"

#define LOOPBACK_IFINDEX 1
/* A segment waits this often for the RST before it, then for its retransmission. */
#define REENTRIES_MAX 8
/* All of that is over by then, and no client has sent anything again yet (RFC 6298, RTO). */
#define REENTRIES_NS 20000000u

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, STEER_FAMILIES);
	__type(key, __u32);
	__type(value, __u64);
} listeners SEC(".maps");

/* Since 6.9.  Source: net/core/filter.c. */
extern int bpf_sk_assign_tcp_reqsk(struct __sk_buff *skb, struct sock *sk,
				   struct bpf_tcp_req_attrs *attrs, int attrs__sz) __ksym;

/* The same, where a search among the listeners ends at the responder's.  To release. */
INLINE struct bpf_sock *takeover_look_up(struct segment *segment)
{
	struct bpf_sock *sk;

	segment->scratch->asking = 1;
	sk = look_up(segment);
	segment->scratch->asking = 0;
	return sk;
}

INLINE bool is_ours(const struct segment *segment, const struct bpf_sock *sk)
{
	return sk->state == BPF_TCP_LISTEN &&
	       sk->src_port == segment->control->responder_port[segment->packet.flow.family & 1];
}

/* Does the responder listen for this family?  Its socket leaves the map when it closes. */
INLINE bool takeover_goes_on(const struct segment *segment)
{
	__u32 key = segment->packet.flow.family;
	struct bpf_sock *sk = bpf_map_lookup_elem(&listeners, &key);

	if (!sk)
		return false;
	bpf_sk_release(sk);
	return true;
}

/* And is it alive?  Asked before a connection is taken: one that was taken goes on anyway. */
INLINE bool takeover_is_open(const struct segment *segment)
{
	return responder_is_alive(bpf_ktime_get_boot_ns()) && takeover_goes_on(segment);
}

/*
 * Take production's request socket away by a RST that only the stack sees, and
 * send the segment through the classifier again, behind it.  On loopback a
 * redirected packet would lose its route: there the segment itself carries the
 * RST up, and the client's retransmission is the one that comes again.
 */
INLINE int takeover_take_request(struct segment *segment, const struct steer_flow *flow)
{
	__u32 ifindex = segment->skb->ifindex;

	if (write_rst(segment, true))
		return DROP; /* half-written: the client's retransmission tries again */
	if (ifindex == LOOPBACK_IFINDEX) {
		count(STEER_DROPPED);
		return PASS;
	}
	if (bpf_clone_redirect(segment->skb, ifindex, BPF_F_INGRESS) || write_rst(segment, false))
		return DROP;
	count(STEER_REENTERED);
	return bpf_redirect(ifindex, BPF_F_INGRESS);
}

/* Give the segment to the responder's listener, which makes a connection of it. */
INLINE int assign(struct segment *segment, struct bpf_sock *listener,
		  const struct bpf_tcp_req_attrs *negotiated)
{
	struct bpf_tcp_req_attrs attrs = *negotiated;
	struct tcp_sock *sk;

	if (attrs.tstamp_ok) {
		if (!segment_timestamps(segment))
			return -1;
		attrs.rcv_tsval = segment->scratch->timestamp;
		attrs.rcv_tsecr = segment->scratch->timestamp_echo;
	}
	sk = bpf_skc_to_tcp_sock(listener);
	if (!sk)
		return -1;
	return bpf_sk_assign_tcp_reqsk(segment->skb, (struct sock *)sk, &attrs, sizeof(attrs));
}

/*
 * The same with what takeover_look_up() found.  When that is not the responder's, another
 * sk_lookup program, attached after ours, has the last word: then to the one of the map.
 */
INLINE int assign_found(struct segment *segment, struct bpf_sock *found,
			const struct bpf_tcp_req_attrs *negotiated)
{
	__u32 key = segment->packet.flow.family;
	struct bpf_sock *listener;
	int err;

	if (is_ours(segment, found))
		return assign(segment, found, negotiated);
	listener = bpf_map_lookup_elem(&listeners, &key);
	if (!listener)
		return -1;
	err = assign(segment, listener, negotiated);
	bpf_sk_release(listener);
	return err;
}

/* What is established is finished. */
INLINE bool takeover_is_in_the_making(void)
{
	return false;
}

/* Was the RST in vain?  The stack refuses it when the client's segment was corrupt. */
INLINE bool takeover_has_failed(const struct steer_flow *flow)
{
	return flow->reentries >= REENTRIES_MAX &&
	       bpf_ktime_get_boot_ns() - flow->taken_ns > REENTRIES_NS;
}

/* Rule 5: the RST before this segment is still on its way up. */
INLINE int takeover_on_taken_request(struct segment *segment, struct steer_flow *flow)
{
	if (segment->skb->ifindex == LOOPBACK_IFINDEX || flow->reentries++ >= REENTRIES_MAX) {
		count(STEER_DROPPED);
		return DROP;
	}
	count(STEER_REENTERED);
	return bpf_redirect(segment->skb->ifindex, BPF_F_INGRESS);
}

/* Rule 9: production's request socket is gone, the responder's listener takes over. */
INLINE int takeover_on_taken_listener(struct segment *segment, struct bpf_sock *found,
				      struct steer_flow *flow)
{
	const struct packet *packet = &segment->packet;

	if (!packet->payload_size || packet->sequence != flow->client_isn + 1 ||
	    assign_found(segment, found, &flow->attrs)) {
		count(STEER_DROPPED);
		return DROP;
	}
	/* A bridge's port and the bridge both see the segment, and the port's choice may not last. */
	if (!flow->assignments++)
		count(STEER_STEERED);
	return PASS;
}

/* The end of rule 10: there is no request socket in the way. */
INLINE int takeover_take_cookie(struct segment *segment, const struct steer_flow *flow)
{
	struct bpf_sock *found = takeover_look_up(segment);
	int action = PASS;

	if (!found)
		return pass_for_good(segment, STEER_PASSED_NO_RESPONDER);
	if (assign_found(segment, found, &flow->attrs)) {
		action = pass_for_good(segment, STEER_PASSED_FAILED);
	} else {
		count(STEER_COOKIE_STEERED);
		count(STEER_STEERED);
	}
	bpf_sk_release(found);
	return action;
}

/*
 * The dispatcher: the responder's listener, but only for the classifier's own
 * question on this very CPU, which is about TCP to a watched port.  Every other
 * search, each SYN's too, finds what it would find without us.
 */
SEC("sk_lookup")
int choose(struct bpf_sk_lookup *ctx)
{
	__u32 zero = 0, family = ctx->family == 2 /* AF_INET */ ? STEER_V4 : STEER_V6;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);
	struct steer_control *control;
	struct bpf_sock *listener;

	if (!scratch || !scratch->asking)
		return SK_PASS;
	control = bpf_map_lookup_elem(&control_map, &zero);
	if (!control || ctx->protocol != IPPROTO_TCP || !is_watched(control, ctx->local_port))
		return SK_PASS;
	listener = bpf_map_lookup_elem(&listeners, &family);
	if (!listener)
		return SK_PASS;
	bpf_sk_assign(ctx, listener, BPF_SK_LOOKUP_F_REPLACE);
	bpf_sk_release(listener);
	return SK_PASS;
}

#endif
