/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The first takeover, for Linux 6.9 and newer: the kernel makes the connection on the responder's listener. */
#ifndef BPF_TAKEOVER_ASSIGN_H
#define BPF_TAKEOVER_ASSIGN_H

#include "bpf/segment.h"
#include "bpf/sockets.h"

#define LOOPBACK_IFINDEX 1
/* What bpf_sk_assign_tcp_reqsk() takes at least: the smallest IPv4 and IPv6 MTU, without headers. */
#define ASSIGN_MSS_V4 536
#define ASSIGN_MSS_V6 1220

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, STEER_FAMILIES);
	__type(key, __u32);
	__type(value, __u64);
} listeners SEC(".maps");

/* Since 6.9.  Source: net/core/filter.c. */
extern int bpf_sk_assign_tcp_reqsk(struct __sk_buff *skb, struct sock *sk,
				   struct bpf_tcp_req_attrs *attrs, int attrs__sz) __ksym;

/* The responder's listener for this family, or NULL.  To release. */
INLINE struct bpf_sock *listener_of_map(const struct segment *segment)
{
	__u32 key = segment->packet.flow.family;

	return bpf_map_lookup_elem(&listeners, &key);
}

/* The sysctl of the segment's network namespace, without which the kernel refuses what is assigned. */
INLINE bool has_syncookies(const struct segment *segment)
{
	const struct sk_buff *skb = (const struct sk_buff *)segment->skb;

	return BPF_CORE_READ(skb, dev, nd_net.net, ipv4.sysctl_tcp_syncookies);
}

/*
 * Would the kernel make the connection?  Asked before production's request socket is removed.
 * On loopback a segment cannot be sent through the classifier again, as it would lose its route.
 */
INLINE bool assign_is_possible(const struct segment *segment,
			       const struct bpf_tcp_req_attrs *negotiated)
{
	__u16 least = segment->packet.flow.family == STEER_V4 ? ASSIGN_MSS_V4 : ASSIGN_MSS_V6;
	struct bpf_sock *listener;

	if (negotiated->mss < least || segment->skb->ifindex == LOOPBACK_IFINDEX ||
	    !has_syncookies(segment))
		return false;
	listener = listener_of_map(segment);
	if (!listener)
		return false;
	bpf_sk_release(listener);
	return true;
}

/*
 * Take production's request socket away by a RST that only the stack sees, and
 * send the segment through the classifier again, behind it.
 */
INLINE int assign_behind_rst(struct segment *segment)
{
	__u32 ifindex = segment->skb->ifindex;

	/* What is half-written is dropped: the client's retransmission tries again. */
	if (write_rst(segment, true) || bpf_clone_redirect(segment->skb, ifindex, BPF_F_INGRESS) ||
	    write_rst(segment, false))
		return DROP;
	count(STEER_REENTERED);
	return bpf_redirect(ifindex, BPF_F_INGRESS);
}

/*
 * The kernel leaves the remote port of what it assigns as it was in that memory, and where
 * there is any rule of address translation, the segment loses a socket with another port
 * than its own (nf_nat_ipv4_local_in()).
 */
INLINE bool has_right_port(const struct segment *segment)
{
	struct bpf_sock *assigned = segment->skb->sk;

	return assigned && assigned->state == BPF_TCP_NEW_SYN_RECV &&
	       assigned->dst_port == packet_remote_port(&segment->packet);
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
	if (!sk || bpf_sk_assign_tcp_reqsk(segment->skb, (struct sock *)sk, &attrs, sizeof(attrs)))
		return -1;
	return has_right_port(segment) ? 0 : -1;
}

/*
 * The same with the responder's listener.  On an error the segment is to be dropped: it may
 * carry a connection that nobody must get.
 */
INLINE int assign_now(struct segment *segment, const struct bpf_tcp_req_attrs *negotiated)
{
	struct bpf_sock *listener;
	int err;

	/* A bridge's port and the bridge both see the segment, and the port's choice may not last. */
	if (has_right_port(segment))
		return 0;
	listener = listener_of_map(segment);
	if (!listener)
		return -1;
	err = assign(segment, listener, negotiated);
	bpf_sk_release(listener);
	return err;
}

#endif
