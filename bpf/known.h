/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is known of the beginning of a client's stream, whatever order its segments come in.
 * The classifier copies what it lets pass, as long as that may become a challenge.
 */
#ifndef BPF_KNOWN_H
#define BPF_KNOWN_H

#include "bpf/segment.h"

INLINE struct steer_known *known_of(const struct segment *segment)
{
	return &segment->scratch->adoption.known;
}

/* Bytes begin to end have come, too.  False for a second gap, which nobody keeps account of. */
INLINE bool known_add(struct steer_known *known, __u32 begin, __u32 end)
{
	if (begin <= known->size) {
		if (known->size < end)
			known->size = end;
	} else if (known->later == known->later_end) {
		known->later = begin;
		known->later_end = end;
	} else if (begin <= known->later_end && known->later <= end) {
		if (begin < known->later)
			known->later = begin;
		if (known->later_end < end)
			known->later_end = end;
	} else {
		return false;
	}
	if (known->later <= known->size && known->size < known->later_end)
		known->size = known->later_end;
	if (known->later <= known->size)
		known->later = known->later_end = 0;
	return true;
}

/* Put the segment among what is known of its stream, in the scratch memory. */
INLINE bool known_learn(struct segment *segment, __u32 client_isn)
{
	struct steer_known *known = known_of(segment);
	const struct steer_known *before = bpf_map_lookup_elem(&streams, &segment->packet.flow);
	__u32 begin = segment->packet.sequence - client_isn - 1, size, end;

	known->size = known->later = known->later_end = 0;
	if (before && before->client_isn == client_isn &&
	    bpf_probe_read_kernel(known, sizeof(*known), before))
		return false;
	known->client_isn = client_isn;
	segment->has_known = before;
	segment->passed = known->size;

	size = segment->packet.payload_size;
	if (begin >= STEER_KNOWN_BYTES)
		return false;
	asm volatile("" : "+r"(begin)); /* else the compiler, knowing better, leaves the mask out */
	begin &= STEER_KNOWN_BYTES - 1;
	if (load_bytes(segment->skb, segment->packet.payload_offset, known->bytes + begin, size,
		       STEER_KNOWN_BYTES))
		return false;
	end = begin + size;
	return known_add(known, begin, end < STEER_KNOWN_BYTES ? end : STEER_KNOWN_BYTES);
}

/* Keep what is known for the segments to come. */
INLINE bool known_keep(struct segment *segment)
{
	return !bpf_map_update_elem(&streams, &segment->packet.flow, known_of(segment), BPF_ANY);
}

INLINE void known_forget(struct segment *segment)
{
	if (segment->has_known)
		bpf_map_delete_elem(&streams, &segment->packet.flow);
}

#endif
