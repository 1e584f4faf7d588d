/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sockets that the stack has for a segment, and what production's SYN-ACK negotiated. */
#ifndef BPF_SOCKETS_H
#define BPF_SOCKETS_H

#include <bpf/bpf_core_read.h>

#include "bpf/kernel_types.h"
#include "bpf/segment.h"

#define CURRENT_NETNS ((__u64)-1) /* BPF_F_CURRENT_NETNS */

/* Of a connection that began with a SYN cookie: what any client can take. */
#define COOKIE_MSS_V4     536
#define COOKIE_MSS_V6     1220
#define COOKIE_SND_WSCALE 14 /* the largest: RFC 7323 section 2.3 */
#define COOKIE_RCV_WSCALE 0
#define COOKIE_WINDOW     65535

/* Whoever gets this segment: a request socket, a listener, or what is established.  To release. */
INLINE struct bpf_sock *look_up(struct segment *segment)
{
	if (segment->packet.flow.family == STEER_V4)
		return bpf_skc_lookup_tcp(segment->skb, &segment->packet.flow.tuple,
					  sizeof(segment->packet.flow.tuple.ipv4), CURRENT_NETNS,
					  0);
	return bpf_skc_lookup_tcp(segment->skb, &segment->packet.flow.tuple,
				  sizeof(segment->packet.flow.tuple.ipv6), CURRENT_NETNS, 0);
}

/*
 * A copy of a request socket.  bpf_skc_to_tcp_request_sock() would refuse those of
 * a listener that another program keeps in a SOCKMAP, for they inherit its protocol.
 */
INLINE const struct tcp_request_sock *read_request(const struct segment *segment,
						   const struct bpf_sock *sk)
{
	__u64 *copy = segment->scratch->request;
	__u32 size = bpf_core_type_size(struct tcp_request_sock);

	if (size > REQUEST_SIZE_MAX || bpf_probe_read_kernel(copy, size, sk))
		return NULL;
	return (const struct tcp_request_sock *)copy;
}

/*
 * Whether the client speaks MPTCP, too.  A listener of MPTCP's (Go's are, by default) takes
 * plain TCP as well, and makes requests of the same kind for it.
 */
INLINE bool is_mptcp(struct segment *segment, const struct bpf_sock *sk,
		     const struct tcp_request_sock *request)
{
	struct mptcp_subflow_request_sock *copy = (void *)segment->scratch->request;
	__u32 size = bpf_core_type_size(struct mptcp_subflow_request_sock);

	if (!bpf_core_field_exists(request->is_mptcp) || !request->is_mptcp)
		return false;
	if (!bpf_core_type_exists(struct mptcp_subflow_request_sock) || size > REQUEST_SIZE_MAX ||
	    bpf_probe_read_kernel(copy, size, sk))
		return true;
	return BPF_CORE_READ_BITFIELD(copy, mp_capable) || BPF_CORE_READ_BITFIELD(copy, mp_join);
}

/*
 * Will the stack refuse the segment because its timestamp is older than the client's last one (PAWS, RFC
 * 7323 section 5)?  It refuses a RST with that timestamp, too.
 */
INLINE bool is_outdated(const struct segment *segment, __u32 last)
{
	return last && segment_timestamps(segment) &&
	       (__s32)(segment->scratch->timestamp - last) < 0;
}

/* What production's SYN-ACK negotiated, from its request socket. */
INLINE void attrs_from_request(struct bpf_tcp_req_attrs *ret_attrs,
			       const struct tcp_request_sock *request)
{
	const struct inet_request_sock *inet = &request->req;

	__builtin_memset(ret_attrs, 0, sizeof(*ret_attrs));
	ret_attrs->mss = inet->req.mss;
	ret_attrs->snd_wscale = BPF_CORE_READ_BITFIELD(inet, snd_wscale);
	ret_attrs->rcv_wscale = BPF_CORE_READ_BITFIELD(inet, rcv_wscale);
	ret_attrs->wscale_ok = BPF_CORE_READ_BITFIELD(inet, wscale_ok);
	ret_attrs->sack_ok = BPF_CORE_READ_BITFIELD(inet, sack_ok);
	ret_attrs->tstamp_ok = BPF_CORE_READ_BITFIELD(inet, tstamp_ok);
	ret_attrs->ecn_ok = BPF_CORE_READ_BITFIELD(inet, ecn_ok);
	if (bpf_core_field_exists(request->req_usec_ts))
		ret_attrs->usec_ts_ok = request->req_usec_ts;
}

/* The same from production's established socket. */
INLINE bool attrs_from_established(const struct segment *segment, const struct tcp_sock *tcp,
				   struct bpf_tcp_req_attrs *ret_attrs)
{
	struct tcp_options_received *options = (void *)segment->scratch->request;
	__u32 size = bpf_core_type_size(struct tcp_options_received);

	if (size > REQUEST_SIZE_MAX || bpf_probe_read_kernel(options, size, &tcp->rx_opt))
		return false;
	__builtin_memset(ret_attrs, 0, sizeof(*ret_attrs));
	ret_attrs->mss = options->mss_clamp;
	ret_attrs->snd_wscale = BPF_CORE_READ_BITFIELD(options, snd_wscale);
	ret_attrs->rcv_wscale = BPF_CORE_READ_BITFIELD(options, rcv_wscale);
	ret_attrs->wscale_ok = BPF_CORE_READ_BITFIELD(options, wscale_ok);
	ret_attrs->sack_ok = !!BPF_CORE_READ_BITFIELD(options, sack_ok);
	ret_attrs->tstamp_ok = BPF_CORE_READ_BITFIELD(options, tstamp_ok);
	if (bpf_core_field_exists(tcp->tcp_usec_ts))
		ret_attrs->usec_ts_ok = BPF_CORE_READ_BITFIELD_PROBED(tcp, tcp_usec_ts);
	return true;
}

/*
 * What was negotiated beside the MSS is in the timestamp that the client echoes, but
 * behind an offset that is the kernel's secret (net/ipv4/syncookies.c).  So: no SACK,
 * no ECN; the client's window as large as it may be, and ours as small, for both would
 * only matter to more than the few kilobytes of a handshake.
 */
INLINE void attrs_from_cookie(struct bpf_tcp_req_attrs *ret_attrs, enum steer_family family,
			      bool has_timestamps)
{
	__builtin_memset(ret_attrs, 0, sizeof(*ret_attrs));
	ret_attrs->mss = family == STEER_V4 ? COOKIE_MSS_V4 : COOKIE_MSS_V6;
	if (!has_timestamps) /* then that was all */
		return;
	ret_attrs->tstamp_ok = 1;
	ret_attrs->wscale_ok = 1;
	ret_attrs->snd_wscale = COOKIE_SND_WSCALE;
	ret_attrs->rcv_wscale = COOKIE_RCV_WSCALE;
}

#endif
