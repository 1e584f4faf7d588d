/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the first data of a connection is: the ClientHello, and whether its name is pending. */
#ifndef BPF_CLASSIFY_H
#define BPF_CLASSIFY_H

#include "bpf/checksum.h"
#include "bpf/client_hello.h"
#include "bpf/known.h"
#include "bpf/name_hash.h"
#include "bpf/segment.h"

_Static_assert(STEER_KNOWN_BYTES == CLIENT_HELLO_WINDOW, "the parser reads what is known");
_Static_assert(offsetof(struct scratch, behind) ==
		       offsetof(struct scratch, adoption.known.bytes) + STEER_KNOWN_BYTES,
	       "the parser may read some bytes behind it");

/* What a segment makes of its connection. */
enum verdict {
	VERDICT_NONE, /* the stack will drop the segment, which so decides nothing */
	VERDICT_STEER, /* an acme-tls/1 ClientHello for a pending name */
	VERDICT_WATCH, /* it may still become one */
	/* It is production's, and why. */
	VERDICT_OTHER,
	VERDICT_MALFORMED,
	VERDICT_NOT_PENDING,
	VERDICT_UNDECIDED,
	VERDICT_FAILED,
};

/* The counter of connections that pass for this reason. */
INLINE enum steer_counter verdict_counter(enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_OTHER:
		return STEER_PASSED_OTHER;
	case VERDICT_MALFORMED:
		return STEER_PASSED_MALFORMED;
	case VERDICT_NOT_PENDING:
		return STEER_PASSED_NOT_PENDING;
	case VERDICT_UNDECIDED:
		return STEER_PASSED_UNDECIDED;
	default:
		return STEER_PASSED_FAILED;
	}
}

/* The key of the server name in the map of challenges; false when it is no name. */
INLINE bool server_name_key(struct scratch *scratch, __u64 *ret_key)
{
	const struct client_hello *hello = &scratch->hello;
	const __u8 *bytes = scratch->adoption.known.bytes;
	__u32 length = hello->server_name_length, zero = 0;
	__u32 offset = hello->server_name_offset & (CLIENT_HELLO_WINDOW - 1);
	__u32 last = (offset + length - 1) & (CLIENT_HELLO_WINDOW - 1);
	struct steer_control *control = bpf_map_lookup_elem(&control_map, &zero);

	if (bytes[last] == '.')
		length--;
	__builtin_memset(scratch->name, 0, sizeof(scratch->name));
	if (!control || !bytes[last] || !length || length > NAME_LENGTH_MAX)
		return false;
	asm volatile(""
		     : "+r"(length)); /* else the compiler, knowing better, leaves the mask out */
	if (bpf_probe_read_kernel(scratch->name, length & (NAME_BUFFER_SIZE - 1), bytes + offset))
		return false;
	name_to_lower(scratch->name);
	*ret_key = name_hash(control->hash_key, scratch->name);
	return true;
}

/* Does the first TLS record end within these bytes, or beyond what is ever looked at? */
INLINE bool is_all(const __u8 *bytes, __u32 size)
{
	__u32 record = (__u32)bytes[3] << 8 | bytes[4];

	return size >= CLIENT_HELLO_WINDOW ||
	       (size >= TLS_RECORD_HEADER_SIZE && size >= TLS_RECORD_HEADER_SIZE + record);
}

/*
 * The enum verdict of a stream whose first `size` bytes are known.  A function of its own to the
 * verifier, which so looks at it once.
 */
__noinline int classify(__u32 size)
{
	struct steer_challenge *challenge;
	enum client_hello_verdict hello;
	struct scratch *scratch;
	int undecided;
	__u32 zero = 0;
	__u64 key;

	scratch = bpf_map_lookup_elem(&scratches, &zero);
	if (!scratch)
		return VERDICT_FAILED;
	hello = client_hello_parse(scratch->adoption.known.bytes, size, &scratch->hello);
	if (hello == CLIENT_HELLO_OTHER)
		return VERDICT_OTHER;
	if (hello == CLIENT_HELLO_MALFORMED)
		return VERDICT_MALFORMED;
	undecided = is_all(scratch->adoption.known.bytes, size) ? VERDICT_UNDECIDED : VERDICT_WATCH;
	if (!scratch->hello.server_name_length)
		return undecided;
	if (!server_name_key(scratch, &key))
		return VERDICT_NOT_PENDING;
	challenge = bpf_map_lookup_elem(&challenges, &key);
	if (!challenge || challenge->expires_ns <= bpf_ktime_get_boot_ns())
		return VERDICT_NOT_PENDING;
	return hello == CLIENT_HELLO_ACME ? VERDICT_STEER : undecided;
}

/*
 * The same for the segment's stream, of which `client_isn` is the initial sequence number.  What
 * may become a challenge is kept.
 */
INLINE enum verdict consider(struct segment *segment, __u32 client_isn)
{
	enum verdict verdict = VERDICT_WATCH;

	if (!segment_is_sound(segment))
		return VERDICT_NONE;
	/* No validator sends urgent data, or ends what it begins. */
	if (segment->packet.urg || segment->packet.fin)
		return VERDICT_OTHER;
	if (!known_learn(segment, client_isn))
		return VERDICT_UNDECIDED;
	if (known_of(segment)->size)
		verdict = classify(known_of(segment)->size);
	/* On PREEMPT_RT another run may have come in between. */
	if (*(volatile __u32 *)&segment->scratch->owner != segment->run)
		return VERDICT_NONE;
	if (verdict == VERDICT_WATCH)
		return known_keep(segment) ? VERDICT_WATCH : VERDICT_FAILED;
	known_forget(segment);
	return verdict;
}

#endif
