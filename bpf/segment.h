/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One segment on its way through the rules: what is read of it, counted, marked and written. */
#ifndef BPF_SEGMENT_H
#define BPF_SEGMENT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bpf/maps.h"
#include "bpf/packet.h"

#define PASS (-1) /* TCX_NEXT, TC_ACT_UNSPEC: other programs still run */
#define DROP 2 /* TC_ACT_SHOT */

/* One segment of a marked connection on its way through the rules. */
struct segment {
	struct __sk_buff *skb;
	struct packet packet;
	__u32 ip_offset; /* the size of the link-layer header */
	struct steer_control *control;
	struct scratch *scratch;
	__u64 *bucket;
	__u8 tag;
	bool has_known; /* something is kept of its stream */
	__u32 run; /* in scratch->owner as long as no other run has used the scratch memory */
	__u32 passed; /* so many bytes of it, from the first on, have passed already */
};

#define INLINE static __always_inline

INLINE void count(enum steer_counter counter)
{
	__u32 key = counter;
	__u64 *value = bpf_map_lookup_elem(&counters, &key);

	if (value)
		++*value;
}

/* Load `size` bytes, at most `limit`, a power of two, in the form that old verifiers accept. */
INLINE int load_bytes(struct __sk_buff *skb, __u32 offset, void *to, __u32 size, __u32 limit)
{
	if (!size)
		return -1;
	size = (size > limit ? limit : size) - 1;
	asm volatile("" : "+r"(size)); /* else the compiler, knowing better, leaves the mask out */
	return bpf_skb_load_bytes(skb, offset, to, (size & (limit - 1)) + 1);
}

/*
 * The timestamps of a segment with these offsets, left in the scratch.  Returns
 * whether it carries any.  Another function that the verifier looks at once.
 */
__noinline int read_timestamps(struct __sk_buff *skb, __u32 tcp_offset, __u32 payload_offset)
{
	__u32 offset = tcp_offset + sizeof(struct tcphdr), size = payload_offset - offset, zero = 0;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);

	if (!scratch || size > TCP_OPTIONS_MAX ||
	    load_bytes(skb, offset, scratch->tcp_options, size, TCP_OPTIONS_MAX_MASK + 1))
		return false;
	return packet_timestamps(scratch->tcp_options, size, &scratch->timestamp,
				 &scratch->timestamp_echo);
}

INLINE bool segment_timestamps(const struct segment *segment)
{
	return read_timestamps(segment->skb, segment->packet.tcp_offset,
			       segment->packet.payload_offset);
}

/* Set or clear the RST flag, and keep the checksum right for drivers that left it to us. */
INLINE int write_rst(struct segment *segment, bool rst)
{
	__u32 tcp_offset = segment->packet.tcp_offset;
	__u8 before[2], after[2]; /* data offset and flags: the checksum sums 16-bit words */
	int err;

	err = bpf_skb_load_bytes(segment->skb, tcp_offset + TCP_FLAGS_OFFSET - 1, before, 2);
	if (err)
		return err;
	after[0] = before[0];
	after[1] = rst ? before[1] | TCP_FLAG_BYTE_RST : before[1] & ~TCP_FLAG_BYTE_RST;
	err = bpf_l4_csum_replace(segment->skb, tcp_offset + TCP_CHECKSUM_OFFSET, *(__u16 *)before,
				  *(__u16 *)after, 2);
	if (err)
		return err;
	return bpf_skb_store_bytes(segment->skb, tcp_offset + TCP_FLAGS_OFFSET - 1, after, 2, 0);
}

/* Give it another sequence number, and keep the checksum right likewise. */
INLINE int write_sequence(struct segment *segment, __u32 sequence)
{
	__u32 tcp_offset = segment->packet.tcp_offset;
	__be32 before = bpf_htonl(segment->packet.sequence), after = bpf_htonl(sequence);
	int err;

	err = bpf_l4_csum_replace(segment->skb, tcp_offset + TCP_CHECKSUM_OFFSET, before, after, 4);
	if (err)
		return err;
	return bpf_skb_store_bytes(segment->skb, tcp_offset + TCP_SEQUENCE_OFFSET, &after,
				   sizeof(after), 0);
}

/* Has the responder given a sign of life lately? */
INLINE bool responder_is_alive(__u64 now_ns)
{
	__u32 zero = 0;
	__u64 *alive_until_ns = bpf_map_lookup_elem(&heartbeat, &zero);

	return alive_until_ns && *alive_until_ns > now_ns;
}

/* --- what is watched -------------------------------------------------------- */

INLINE bool is_watched(const struct steer_control *control, __u16 port)
{
	int i;

	for (i = 0; i < STEER_PORTS_MAX; i++)
		if (control->watched_port[i] == port)
			return true;
	return false;
}

INLINE bool is_watched_port(const struct segment *segment)
{
	return is_watched(segment->control, packet_local_port(&segment->packet));
}

INLINE bool is_watched_address(const struct segment *segment)
{
	struct steer_address address;

	if (!segment->control->address_count)
		return true;
	packet_local_address(&segment->packet, address.bytes);
	return bpf_map_lookup_elem(&addresses, &address);
}

/* --- SYN marks ---------------------------------------------------------- */

INLINE bool syn_mark_is_set(__u64 bucket, __u8 tag)
{
	__u64 difference = bucket ^ tag * EVERY_BYTE;

	return (difference - EVERY_BYTE) & ~difference & (EVERY_BYTE << 7);
}

INLINE void syn_mark_clear(struct segment *segment)
{
	__u64 bucket = *segment->bucket;
	int i;

	for (i = 0; i < 64; i += 8)
		if ((__u8)(bucket >> i) == segment->tag)
			bucket &= ~(0xffULL << i);
	*segment->bucket = bucket;
}

/* The connection is production's from here on: its later segments pay one array read. */
INLINE int pass_for_good(struct segment *segment, enum steer_counter reason)
{
	count(reason);
	syn_mark_clear(segment);
	return PASS;
}

#endif
