/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the first data of a connection is: the ClientHello, and whether its name is pending. */
#ifndef CLASSIFY_H
#define CLASSIFY_H

#include "bpf/client_hello.h"
#include "bpf/name_hash.h"
#include "bpf/segment.h"

/* The key of the server name in the map of challenges; false when it is no name. */
INLINE bool server_name_key(struct __sk_buff *skb, __u32 payload_offset, struct scratch *scratch,
			    __u64 *ret_key)
{
	const struct client_hello *hello = &scratch->hello;
	__u32 length = hello->server_name_length, zero = 0;
	__u32 last = (hello->server_name_offset + length - 1) & (CLIENT_HELLO_WINDOW - 1);
	struct steer_control *control = bpf_map_lookup_elem(&control_map, &zero);

	if (scratch->payload[last] == '.')
		length--;
	__builtin_memset(scratch->name, 0, sizeof(scratch->name));
	if (!control || !scratch->payload[last] || length > NAME_LENGTH_MAX ||
	    load_bytes(skb, payload_offset + hello->server_name_offset, scratch->name, length,
		       NAME_BUFFER_SIZE))
		return false;
	name_to_lower(scratch->name);
	*ret_key = name_hash(control->hash_key, scratch->name);
	return true;
}

/*
 * What this first data is: STEER_STEERED when it is an acme-tls/1 ClientHello
 * for a pending name, STEER_PASSED_UNDECIDED when it still may be one, else the
 * reason to pass it.  A function of its own to the verifier, which so looks at
 * it once.
 */
__noinline int classify(struct __sk_buff *skb, __u32 payload_offset, __u32 payload_size)
{
	struct steer_challenge *challenge;
	enum client_hello_verdict verdict;
	struct scratch *scratch;
	__u32 zero = 0;
	__u64 key;

	scratch = bpf_map_lookup_elem(&scratches, &zero);
	if (payload_size > CLIENT_HELLO_WINDOW)
		payload_size = CLIENT_HELLO_WINDOW;
	if (!scratch ||
	    load_bytes(skb, payload_offset, scratch->payload, payload_size, CLIENT_HELLO_WINDOW))
		return STEER_PASSED_FAILED;
	verdict = client_hello_parse(scratch->payload, payload_size, &scratch->hello);
	if (verdict == CLIENT_HELLO_OTHER)
		return STEER_PASSED_OTHER;
	if (verdict == CLIENT_HELLO_MALFORMED)
		return STEER_PASSED_MALFORMED;
	if (!scratch->hello.server_name_length)
		return STEER_PASSED_UNDECIDED;
	if (!server_name_key(skb, payload_offset, scratch, &key))
		return STEER_PASSED_NOT_PENDING;
	challenge = bpf_map_lookup_elem(&challenges, &key);
	if (!challenge || challenge->expires_ns <= bpf_ktime_get_boot_ns())
		return STEER_PASSED_NOT_PENDING;
	return verdict == CLIENT_HELLO_ACME ? STEER_STEERED : STEER_PASSED_UNDECIDED;
}

INLINE int classify_segment(const struct segment *segment)
{
	return classify(segment->skb, segment->packet.payload_offset, segment->packet.payload_size);
}

#endif
