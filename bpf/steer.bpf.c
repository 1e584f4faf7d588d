// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The classifier (tc ingress), the same for both ways of taking a connection
 * from production: takeover_assign.h, with the dispatcher (sk_lookup), and takeover_repair.h.
 *
 * Only while a name is pending, the classifier delays the moment at which the
 * kernel binds a new connection to production's listener: it holds the bare
 * third ACK back, and looks at the first data segment.  An acme-tls/1
 * ClientHello for a pending name gets the responder's listener; anything else
 * goes on untouched.  ARCHITECTURE.md tells why this is safe; the rules carry
 * its numbers.  Whenever in doubt: pass.
 */
#include <linux/bpf.h>
#include <stddef.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/client_hello.h"
#include "bpf/kernel_types.h"
#include "bpf/name_hash.h"
#include "bpf/packet.h"
#include "bpf/steer_abi.h"

char LICENSE[] SEC("license") = "GPL"; /* the kernel's word for what it lets call its helpers */

#define PASS (-1) /* TCX_NEXT, TC_ACT_UNSPEC: other programs still run */
#define DROP 2 /* TC_ACT_SHOT */

#define CURRENT_NETNS ((__u64)-1) /* BPF_F_CURRENT_NETNS */
/* Connections steered and not yet established, at most; the oldest make room. */
#define FLOWS_MAX 16384
/* Undecided beginnings kept at once, at most; the oldest make room, 128 at a time. */
#define STASHES_MAX 1024
#define STASH_SIZE  4096 /* a power of two, one more than bpf_skb_adjust_room() can add */

/* Of struct tcp_request_sock, whatever the kernel's configuration; 312 bytes in 6.18. */
#define REQUEST_SIZE_MAX 512

/* Of a connection that began with a SYN cookie: what any client can take. */
#define COOKIE_MSS_V4     536
#define COOKIE_MSS_V6     1220
#define COOKIE_SND_WSCALE 14 /* the largest: RFC 7323 section 2.3 */
#define COOKIE_RCV_WSCALE 0
#define COOKIE_WINDOW     65535

/*
 * The SYN marks: for each bucket, by a hash of the remote end, a one-byte
 * tag of each of its last eight SYNs, the youngest in the lowest byte.  A full
 * 8 SYNs in one bucket within a handshake's time would make a challenge miss.
 */
#define SYN_MARK_BUCKETS (1u << 14)
#define EVERY_BYTE       0x0101010101010101ULL
__u64 syn_marks[SYN_MARK_BUCKETS];

/* A connection that is on its way to the responder. */
struct steer_flow {
	__u64 taken_ns; /* CLOCK_BOOTTIME */
	__u32 client_isn;
	__u32 server_isn;
	__u32 reentries;
	__u32 assignments; /* sk_lookup takeover */
	__u32 server_window; /* bytes, as production's SYN-ACK announced it */
	struct bpf_tcp_req_attrs attrs; /* what production's SYN-ACK negotiated */
};

/*
 * The beginning of a ClientHello that does not decide yet.  Its sum is the one
 * that the TCP checksums of its segments claim, not the sum of its bytes: so a
 * joined segment is valid if, and only if, all its parts were.
 */
struct steer_stash {
	__u32 client_isn;
	__u32 server_isn;
	__u32 size;
	__u32 claimed_sum;
	__u8 bytes[STASH_SIZE];
};

/* What is too large for the stack. */
struct scratch {
	__u8 payload[CLIENT_HELLO_BUFFER_SIZE];
	struct steer_stash stash;
	__u8 tcp_header[64]; /* zero behind its end: sums are taken over all of it */
	__u64 request[REQUEST_SIZE_MAX / 8]; /* a copy of struct tcp_request_sock, or MPTCP's */
	struct client_hello hello;
	__u64 name[NAME_BUFFER_SIZE / 8];
	__u8 tcp_options[TCP_OPTIONS_BUFFER_SIZE];
	__u32 timestamp, timestamp_echo;
	__u32 asking; /* sk_lookup takeover: this CPU's classifier asks the dispatcher for the responder */
#ifdef STEER_BY_REPAIR
	struct steer_adoption adoption;
#endif
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, STEER_CHALLENGES_MAX);
	__type(key, __u64);
	__type(value, struct steer_challenge);
} challenges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} armed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steer_control);
} control_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, STEER_ADDRESSES_MAX);
	__type(key, struct steer_address);
	__type(value, __u8);
} addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, STEER_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FLOWS_MAX);
	__type(key, struct packet_flow);
	__type(value, struct steer_flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, STASHES_MAX);
	__type(key, struct packet_flow);
	__type(value, struct steer_stash);
} stashes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* One segment of a marked connection on its way through the rules. */
struct segment {
	struct __sk_buff *skb;
	struct packet packet;
	__u32 ip_offset; /* the size of the link-layer header */
	struct steer_control *control;
	struct scratch *scratch;
	__u64 *bucket;
	__u8 tag;
};

#define INLINE static __always_inline

INLINE void count(enum steer_counter counter)
{
	__u32 key = counter;
	__u64 *value = bpf_map_lookup_elem(&counters, &key);

	if (value)
		++*value;
}

/* --- what is watched -------------------------------------------------------- */

INLINE bool is_watched_port(const struct segment *segment)
{
	__u16 port = packet_local_port(&segment->packet);
	int i;

	for (i = 0; i < STEER_PORTS_MAX; i++)
		if (segment->control->watched_port[i] == port)
			return true;
	return false;
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

/* --- the ClientHello -------------------------------------------------------- */

/* Load `size` bytes, at most `limit`, a power of two, in the form that old verifiers accept. */
INLINE int load_bytes(struct __sk_buff *skb, __u32 offset, void *to, __u32 size, __u32 limit)
{
	if (!size)
		return -1;
	size = (size > limit ? limit : size) - 1;
	asm volatile("" : "+r"(size)); /* else the compiler, knowing better, leaves the mask out */
	return bpf_skb_load_bytes(skb, offset, to, (size & (limit - 1)) + 1);
}

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

/* --- joining segments --------------------------------------------------------- */

INLINE __u32 sum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

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

/* --- sockets ---------------------------------------------------------------- */

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

/* --- steering --------------------------------------------------------------- */

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

#ifdef STEER_BY_REPAIR
#include "bpf/takeover_repair.h"
#else
#include "bpf/takeover_assign.h"
#endif

/* --- the rules -------------------------------------------------------------- */

/* Rule 6: the third ACK, without data. */
INLINE int on_bare_ack(struct segment *segment, const struct bpf_sock *sk,
		       const struct tcp_request_sock *request)
{
	const struct packet *packet = &segment->packet;
	const struct request_sock *req = &request->req.req;

	/* A client that says nothing for a second is production's: so is one that says goodbye. */
	if (packet->fin || BPF_CORE_READ_BITFIELD(req, num_timeout) ||
	    is_mptcp(segment, sk, request) || packet->sequence != request->rcv_isn + 1 ||
	    packet->acknowledgment != request->snt_isn + 1) {
		count(STEER_BARE_ACK_PASSED);
		return PASS;
	}
	count(STEER_BARE_ACK_HELD);
	return DROP;
}

/* Rules 7 and 8: data of a connection that has not been decided. */
INLINE int on_first_data(struct segment *segment, const struct bpf_sock *sk,
			 const struct tcp_request_sock *request)
{
	struct steer_flow flow = {
		.client_isn = request->rcv_isn,
		.server_isn = request->snt_isn,
	};
	struct steer_stash *kept = find_stash(segment, request);
	__u32 offset = segment->packet.sequence - flow.client_isn - 1;
	enum steer_counter reason;

	if (is_mptcp(segment, sk, request))
		return pass_for_good(segment, STEER_PASSED_MPTCP);
	if (segment->packet.acknowledgment != flow.server_isn + 1 ||
	    (offset && (!kept || offset > kept->size)))
		return pass_for_good(segment, STEER_PASSED_UNDECIDED);
	/* What is kept already and comes again, or what cannot be joined, is not needed. */
	if (offset && (offset != kept->size || join(segment, kept))) {
		count(STEER_DROPPED);
		return DROP;
	}
	if (offset)
		bpf_map_delete_elem(&stashes, &segment->packet.flow);
	reason = classify_segment(segment);
	/* A beginning that comes again was kept in vain once: no client waits twice. */
	if (reason == STEER_PASSED_UNDECIDED && (offset || !kept) && !stash(segment, request)) {
		count(STEER_JOINED);
		return DROP;
	}
	if (reason != STEER_STEERED)
		return pass_for_good(segment, reason);
	if (!takeover_is_open(segment))
		return pass_for_good(segment, STEER_PASSED_NO_RESPONDER);
	attrs_from_request(&flow.attrs, request);
	flow.server_window = request->req.req.__req_common.skc_rcv_wnd;
	flow.taken_ns = bpf_ktime_get_boot_ns();
	if (bpf_map_update_elem(&flows, &segment->packet.flow, &flow, BPF_ANY))
		return pass_for_good(segment, STEER_PASSED_FAILED);
	return takeover_take_request(segment, &flow);
}

/* Rules 5 to 8: production's request socket waits for the rest of the handshake. */
INLINE int on_request(struct segment *segment, struct bpf_sock *sk, struct steer_flow *flow)
{
	const struct tcp_request_sock *request = read_request(segment, sk);

	if (!request)
		return PASS;
	if (!segment->packet.payload_size)
		return on_bare_ack(segment, sk, request);
	if (!flow || flow->client_isn != request->rcv_isn || flow->server_isn != request->snt_isn ||
	    (segment->packet.sequence == flow->client_isn + 1 && takeover_has_failed(flow)))
		return on_first_data(segment, sk, request);
	return takeover_on_taken_request(segment, flow);
}

/* Does production's listener answer with SYN cookies, and is this segment's one of them? */
INLINE bool has_valid_cookie(struct segment *segment, struct bpf_sock *sk)
{
	__u32 ip_size = segment->packet.flow.family == STEER_V4 ? sizeof(struct iphdr)
								: sizeof(struct ipv6hdr);
	struct {
		__u8 ip[sizeof(struct ipv6hdr)];
		struct tcphdr tcp;
	} headers = {};

	if (bpf_skb_load_bytes(segment->skb, segment->ip_offset, headers.ip, ip_size) ||
	    bpf_skb_load_bytes(segment->skb, segment->packet.tcp_offset, &headers.tcp,
			       sizeof(headers.tcp)))
		return false;
	return !bpf_tcp_check_syncookie(sk, headers.ip, ip_size, &headers.tcp, sizeof(headers.tcp));
}

/*
 * Rule 10: production answers with SYN cookies, so that there is no request
 * socket.  The third ACK carries the cookie, and so does the first data.
 */
INLINE int on_listener(struct segment *segment, struct bpf_sock *sk)
{
	struct steer_flow flow = {
		.client_isn = segment->packet.sequence - 1,
		.server_isn = segment->packet.acknowledgment - 1,
		.server_window = COOKIE_WINDOW,
	};
	enum steer_counter reason;

	if (segment->packet.fin || !has_valid_cookie(segment, sk))
		return PASS;
	if (!segment->packet.payload_size) {
		count(STEER_BARE_ACK_HELD);
		return DROP;
	}
	reason = classify_segment(segment);
	if (reason != STEER_STEERED)
		return pass_for_good(segment, reason);
	if (!takeover_is_open(segment))
		return pass_for_good(segment, STEER_PASSED_NO_RESPONDER);
	attrs_from_cookie(&flow.attrs, segment->packet.flow.family, segment_timestamps(segment));
	return takeover_take_cookie(segment, &flow);
}

/* Rule 4. */
INLINE int on_established(struct segment *segment, const struct steer_flow *flow)
{
	if (flow && takeover_is_in_the_making()) {
		count(STEER_DROPPED);
		return DROP;
	}
	syn_mark_clear(segment);
	return PASS;
}

/* Rules 4 to 10: a segment of a connection whose SYN came while a name was pending. */
INLINE int on_marked(struct segment *segment)
{
	struct steer_flow *flow;
	struct bpf_sock *sk;
	int action;

	flow = bpf_map_lookup_elem(&flows, &segment->packet.flow);
	if (flow && segment->packet.acknowledgment != flow->server_isn + 1)
		flow = NULL; /* of an earlier connection between the same ports */
	sk = flow ? takeover_look_up(segment) : look_up(segment);
	if (!sk)
		return PASS;
	if (sk->state == BPF_TCP_NEW_SYN_RECV)
		action = on_request(segment, sk, flow);
	else if (sk->state != BPF_TCP_LISTEN)
		action = on_established(segment, flow);
	else if (flow && takeover_goes_on(segment))
		action = takeover_on_taken_listener(segment, sk, flow);
	else
		action = on_listener(segment, sk);
	bpf_sk_release(sk);
	return action;
}

/* Rule 1. */
INLINE void on_syn(struct segment *segment, __u64 armed_until_ns)
{
	__u64 now_ns = bpf_ktime_get_boot_ns();

	if (armed_until_ns <= now_ns || segment->control->alive_until_ns <= now_ns)
		return;
	/* The same SYN comes by twice on a bridge, and takes one place. */
	if ((__u8)*segment->bucket != segment->tag)
		*segment->bucket = *segment->bucket << 8 | segment->tag;
	count(STEER_SYN_MARKED);
}

/* Rules 0 to 3: what every segment pays. */
INLINE int steer(struct __sk_buff *skb, __u32 ip_offset)
{
	struct segment segment = {.skb = skb};
	__u32 zero = 0, hash;
	__u64 *armed_until;

	armed_until = bpf_map_lookup_elem(&armed, &zero);
	if (!armed_until || !*armed_until)
		return PASS;
	segment.control = bpf_map_lookup_elem(&control_map, &zero);
	if (!segment.control || !packet_parse(skb, ip_offset, &segment.packet) ||
	    !is_watched_port(&segment))
		return PASS;

	segment.ip_offset = ip_offset;
	hash = packet_remote_hash(&segment.packet);
	segment.bucket = &syn_marks[hash & (SYN_MARK_BUCKETS - 1)];
	segment.tag = hash >> 24 | 1;
	if (!segment.packet.syn && !syn_mark_is_set(*segment.bucket, segment.tag))
		return PASS;
	if (segment.packet.rst || !is_watched_address(&segment))
		return PASS;
	if (segment.packet.syn) {
		on_syn(&segment, *armed_until);
		return PASS;
	}

	segment.scratch = bpf_map_lookup_elem(&scratches, &zero);
	if (!segment.scratch)
		return PASS;
	return on_marked(&segment);
}

/* For interfaces with an Ethernet header, loopback too. */
SEC("tc")
int steer_ethernet(struct __sk_buff *skb)
{
	return steer(skb, ETH_HLEN);
}

/* For interfaces without any link-layer header: tun, WireGuard, point-to-point tunnels. */
SEC("tc")
int steer_bare_ip(struct __sk_buff *skb)
{
	return steer(skb, 0);
}
