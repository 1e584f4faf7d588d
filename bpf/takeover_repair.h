/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The repair takeover: user space hears of the connection and makes a socket of it by
 * TCP_REPAIR (responder/tcp_repair.c).  It takes whatever takeover_assign.h cannot.
 *
 * From the moment when production's request socket goes until the new socket
 * stands, the client's segments are dropped, and the client sends them again: the
 * stack would answer them with a RST, and a socket that is still being made would
 * take them for later than they are.  User space ends that: it marks the flow STEER_STANDS.
 */
#ifndef BPF_TAKEOVER_REPAIR_H
#define BPF_TAKEOVER_REPAIR_H

#include <stddef.h>
#include <bpf/bpf_endian.h>

#include "bpf/segment.h"
#include "bpf/sockets.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 21); /* 500 connections on their way, of 4 KiB each */
} adoptions SEC(".maps");

/* The kernel's clock of timestamps, before any connection's offset. */
INLINE __u32 clock_now(bool usec)
{
	return bpf_ktime_get_ns() / (usec ? 1000 : 1000000);
}

/* Describe the connection for user space. */
INLINE void describe(struct segment *segment, const struct steer_flow *flow, __u16 window)
{
	struct steer_adoption *adoption = &segment->scratch->adoption;
	const struct bpf_sock_tuple *tuple = &segment->packet.flow.tuple;

	_Static_assert(sizeof(segment->packet.flow) == STEER_FLOW_KEY_SIZE, "it is the map's key");
	_Static_assert(sizeof(*flow) <= STEER_FLOW_SIZE_MAX, "user space reads it");
	__builtin_memcpy(adoption->flow_key, &segment->packet.flow, STEER_FLOW_KEY_SIZE);
	adoption->family = segment->packet.flow.family;
	adoption->ifindex = segment->skb->ifindex;
	if (segment->packet.flow.family == STEER_V4) {
		adoption->remote_address[0] = tuple->ipv4.saddr;
		adoption->local_address[0] = tuple->ipv4.daddr;
		adoption->remote_port = tuple->ipv4.sport;
		adoption->local_port = tuple->ipv4.dport;
	} else {
		__builtin_memcpy(adoption->remote_address, tuple->ipv6.saddr, 16);
		__builtin_memcpy(adoption->local_address, tuple->ipv6.daddr, 16);
		adoption->remote_port = tuple->ipv6.sport;
		adoption->local_port = tuple->ipv6.dport;
	}
	adoption->server_isn = flow->server_isn;
	adoption->mss = flow->attrs.mss;
	adoption->client_wscale = flow->attrs.snd_wscale;
	adoption->server_wscale = flow->attrs.rcv_wscale;
	adoption->wscale_ok = flow->attrs.wscale_ok;
	adoption->sack_ok = flow->attrs.sack_ok;
	adoption->timestamps_ok = flow->attrs.tstamp_ok && segment_timestamps(segment);
	adoption->usec_timestamps = flow->attrs.usec_ts_ok;
	adoption->clock = flow->has_clock_offset
				  ? clock_now(flow->attrs.usec_ts_ok) + flow->clock_offset
				  : segment->scratch->timestamp_echo;
	adoption->client_window = (__u32)window
				  << (flow->attrs.wscale_ok ? flow->attrs.snd_wscale : 0);
	adoption->server_window = flow->server_window;
}

/* Tell user space of the connection, with what is known of its stream in the scratch memory. */
INLINE int tell(struct segment *segment, const struct steer_flow *flow)
{
	struct steer_adoption *adoption = &segment->scratch->adoption;
	__be16 window;

	if (bpf_skb_load_bytes(segment->skb,
			       segment->packet.tcp_offset + offsetof(struct tcphdr, window),
			       &window, sizeof(window)))
		return -1;
	describe(segment, flow, bpf_ntohs(window));
	return bpf_ringbuf_output(&adoptions, adoption, sizeof(*adoption), 0);
}

/*
 * Have user space make the connection, and drop its segments meanwhile.  On an error nothing
 * has happened.
 */
INLINE int repair_tell(struct segment *segment, struct steer_flow *flow)
{
	flow->adoption_state = STEER_ADOPTING;
	if (bpf_map_update_elem(&flows, &segment->packet.flow, flow, BPF_ANY) ||
	    tell(segment, flow)) {
		bpf_map_delete_elem(&flows, &segment->packet.flow);
		return -1;
	}
	count(STEER_ADOPTED);
	if (!flow->assignments)
		count(STEER_STEERED);
	return 0;
}

/*
 * The same, and the segment itself becomes the RST that removes production's socket.  That
 * expects `sequence` next, where it is an established one.
 */
INLINE int repair_take(struct segment *segment, struct steer_flow *flow, __u32 sequence)
{
	if (repair_tell(segment, flow))
		return pass_for_good(segment, STEER_PASSED_FAILED);
	if (sequence != segment->packet.sequence && write_sequence(segment, sequence))
		return DROP;
	return write_rst(segment, true) ? DROP : PASS;
}

#endif
