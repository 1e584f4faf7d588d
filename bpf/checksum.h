/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Has this segment arrived as it was sent?  The stack finds out only after the classifier, and
 * drops what has not.  Nothing that a segment says may count before that is known.
 */
#ifndef BPF_CHECKSUM_H
#define BPF_CHECKSUM_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#include "bpf/segment.h"

/* skb->ip_summed: include/linux/skbuff.h */
#define CHECKSUM_UNNECESSARY 1 /* the network card has verified it */
#define CHECKSUM_PARTIAL     3 /* it never left this machine, or receive offload has verified it */

/* Segments up to the largest common MTU are summed; larger ones come from offloads, which verify. */
#define SUM_CHUNKS_MAX 18

INLINE __u32 sum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* The sum over one chunk of scratch memory, after reading `size` bytes into it. */
INLINE int chunk_sum(struct __sk_buff *skb, __u8 *chunk, __u32 offset, __u32 size, __u64 *sum)
{
	if (load_bytes(skb, offset, chunk, size, SUM_CHUNK_SIZE))
		return -1;
	*sum += (__u32)bpf_csum_diff(NULL, 0, (__be32 *)chunk, SUM_CHUNK_SIZE, 0);
	return 0;
}

/*
 * Is the checksum of a TCP segment at `offset` right, or need it not be?  `pseudo_sum` is the
 * sum of its pseudo header.  A function of its own to the verifier, which so looks at it once.
 */
__noinline int is_sound(struct __sk_buff *skb, __u32 offset, __u32 size, __u32 pseudo_sum)
{
	__u32 summed = BPF_CORE_READ_BITFIELD_PROBED((struct sk_buff *)skb, ip_summed), zero = 0;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);
	__u64 sum = pseudo_sum;
	int i;

	if (summed == CHECKSUM_UNNECESSARY || summed == CHECKSUM_PARTIAL)
		return true;
	if (!scratch)
		return false;
	for (i = 0; i < SUM_CHUNKS_MAX && size >= SUM_CHUNK_SIZE; i++) {
		if (chunk_sum(skb, scratch->chunk, offset, SUM_CHUNK_SIZE, &sum))
			return false;
		offset += SUM_CHUNK_SIZE;
		size -= SUM_CHUNK_SIZE;
	}
	if (size >= SUM_CHUNK_SIZE)
		return false;
	__builtin_memset(scratch->chunk, 0, sizeof(scratch->chunk));
	if (size && chunk_sum(skb, scratch->chunk, offset, size, &sum))
		return false;
	return sum_fold(sum) == 0xffff;
}

/* Pseudo header: RFC 9293 section 3.1, RFC 8200 section 8.1. */
INLINE bool segment_is_sound(const struct segment *segment)
{
	const struct bpf_sock_tuple *tuple = &segment->packet.flow.tuple;
	__u32 size = segment->packet.payload_offset + segment->packet.payload_size -
		     segment->packet.tcp_offset;
	__u64 sum = (__u64)bpf_htons((__u16)size) + bpf_htons(IPPROTO_TCP);

	if (segment->packet.flow.family == STEER_V4)
		sum += (__u64)tuple->ipv4.saddr + tuple->ipv4.daddr;
	else
		sum += (__u32)bpf_csum_diff(NULL, 0, (__be32 *)tuple->ipv6.saddr, 32, 0);
	return is_sound(segment->skb, segment->packet.tcp_offset, size, sum_fold(sum));
}

#endif
