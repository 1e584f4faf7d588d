/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keeping the undecided beginning of a ClientHello, and joining it with what follows (rule 8). */
#ifndef JOIN_H
#define JOIN_H

#include <stddef.h>
#include <bpf/bpf_endian.h>

#include "bpf/checksum.h"
#include "bpf/segment.h"

/* The sum of bytes that move to an odd place. */
INLINE __u32 sum_swap(__u32 sum)
{
	return (sum & 0xff) << 8 | (sum >> 8 & 0xff);
}

/* Pseudo header (RFC 9293 section 3.1, RFC 8200 section 8.1) and TCP header, in network order. */
INLINE __u32 headers_sum(const struct segment *segment, __u32 tcp_size)
{
	const struct bpf_sock_tuple *tuple = &segment->packet.flow.tuple;
	__u64 sum = (__u64)bpf_htons(tcp_size) + bpf_htons(IPPROTO_TCP);

	if (segment->packet.flow.family == STEER_V4)
		sum += (__u64)tuple->ipv4.saddr + tuple->ipv4.daddr;
	else
		sum += (__u32)bpf_csum_diff(NULL, 0, (__be32 *)tuple->ipv6.saddr, 32, 0);
	sum += (__u32)bpf_csum_diff(NULL, 0, (__be32 *)segment->scratch->tcp_header,
				    sizeof(segment->scratch->tcp_header), 0);
	return sum_fold(sum);
}

INLINE __u32 tcp_header_size(const struct segment *segment)
{
	return segment->packet.payload_offset - segment->packet.tcp_offset;
}

/* Load the TCP header; returns the sum that its checksum claims for the payload. */
INLINE int load_header(const struct segment *segment, __u32 *ret_claimed_sum)
{
	__u32 size = tcp_header_size(segment);

	__builtin_memset(segment->scratch->tcp_header, 0, sizeof(segment->scratch->tcp_header));
	if (load_bytes(segment->skb, segment->packet.tcp_offset, segment->scratch->tcp_header, size,
		       sizeof(segment->scratch->tcp_header)))
		return -1;
	*ret_claimed_sum = ~headers_sum(segment, size + segment->packet.payload_size) & 0xffff;
	return 0;
}

/* Room is made behind the plain IP header; there must be no options or extensions. */
INLINE bool is_joinable(const struct segment *segment)
{
	return segment->packet.tcp_offset - segment->ip_offset ==
	       (segment->packet.flow.family == STEER_V4 ? sizeof(struct iphdr)
							: sizeof(struct ipv6hdr));
}

/* Keep this undecided beginning, to be joined with the segment that follows it. */
INLINE int stash(struct segment *segment, const struct tcp_request_sock *request)
{
	struct steer_stash *stash = &segment->scratch->stash;
	__u32 size = segment->packet.payload_size;

	if (!is_joinable(segment) || size >= STASH_SIZE ||
	    load_header(segment, &stash->claimed_sum) ||
	    load_bytes(segment->skb, segment->packet.payload_offset, stash->bytes, size,
		       STASH_SIZE))
		return -1;
	stash->client_isn = request->rcv_isn;
	stash->server_isn = request->snt_isn;
	stash->size = size;
	return bpf_map_update_elem(&stashes, &segment->packet.flow, stash, BPF_ANY);
}

/* The beginning kept for this very connection. */
INLINE struct steer_stash *find_stash(const struct segment *segment,
				      const struct tcp_request_sock *request)
{
	struct steer_stash *stash = bpf_map_lookup_elem(&stashes, &segment->packet.flow);

	if (!stash || stash->client_isn != request->rcv_isn ||
	    stash->server_isn != request->snt_isn)
		return NULL;
	return stash;
}

/* Add `size` to the IP header's length. */
INLINE int grow_ip(const struct segment *segment, __u16 size)
{
	bool v4 = segment->packet.flow.family == STEER_V4;
	__u32 offset = segment->ip_offset + (v4 ? offsetof(struct iphdr, tot_len)
						: offsetof(struct ipv6hdr, payload_len));
	__be16 before, after;

	if (bpf_skb_load_bytes(segment->skb, offset, &before, sizeof(before)))
		return -1;
	after = bpf_htons(bpf_ntohs(before) + size);
	if (v4 &&
	    bpf_l3_csum_replace(segment->skb, segment->ip_offset + offsetof(struct iphdr, check),
				before, after, sizeof(after)))
		return -1;
	return bpf_skb_store_bytes(segment->skb, offset, &after, sizeof(after), 0);
}

/*
 * Put the kept beginning in front of this segment's payload, as the network
 * card would have done had both come a little closer together.  On an error the
 * segment is half-made: to be dropped.
 */
INLINE int join(struct segment *segment, const struct steer_stash *stash)
{
	struct tcphdr *tcp = (struct tcphdr *)segment->scratch->tcp_header;
	__u32 header_size = tcp_header_size(segment), size = stash->size, bounded, sum, claimed;

	if (!is_joinable(segment) || load_header(segment, &claimed))
		return -1;
	sum = stash->claimed_sum + (size & 1 ? sum_swap(claimed) : claimed);
	tcp->seq = bpf_htonl(segment->packet.sequence - size);
	tcp->check = 0;
	sum += headers_sum(segment, header_size + size + segment->packet.payload_size);
	tcp->check = ~sum_fold(sum);

	bounded = size - 1;
	asm volatile("" : "+r"(bounded));
	bounded = (bounded & (STASH_SIZE - 1)) + 1;
	header_size--;
	asm volatile("" : "+r"(header_size));
	header_size = (header_size & 63) + 1;
	if (bpf_skb_adjust_room(segment->skb, size, BPF_ADJ_ROOM_NET, 0) ||
	    bpf_skb_store_bytes(segment->skb, segment->packet.tcp_offset, tcp, header_size, 0) ||
	    bpf_skb_store_bytes(segment->skb, segment->packet.payload_offset, stash->bytes, bounded,
				0) ||
	    grow_ip(segment, size))
		return -1;
	/* A driver's sum over the whole packet: IPv6's length grew against the pseudo header's. */
	if (segment->packet.flow.family == STEER_V4)
		bpf_csum_update(segment->skb, ~(__u32)bpf_htons(size));
	segment->packet.sequence -= size;
	segment->packet.payload_size += size;
	return 0;
}

#endif
