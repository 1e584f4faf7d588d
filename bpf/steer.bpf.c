// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The classifier (tc ingress), which takes connections from production by takeover.h, and the
 * guard (sk_lookup) of the responder's listeners.
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
#include <bpf/bpf_helpers.h>

#include "bpf/checksum.h"
#include "bpf/classify.h"
#include "bpf/join.h"
#include "bpf/segment.h"
#include "bpf/sockets.h"
#include "bpf/takeover.h"

char LICENSE[] SEC("license") = "GPL"; /* the kernel's word for what it lets call its helpers */

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
	if (segment->packet.acknowledgment != flow.server_isn + 1)
		return pass_for_good(segment, STEER_PASSED_OTHER_SYNACK);
	if (offset && (!kept || offset > kept->size))
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
	if (!segment_is_sound(segment))
		return PASS; /* to the stack, which drops it */
	if (!takeover_is_open(segment))
		return pass_for_good(segment, STEER_PASSED_NO_RESPONDER);
	attrs_from_request(&flow.attrs, request);
	flow.server_window = request->req.req.__req_common.skc_rcv_wnd;
	flow.taken_ns = bpf_ktime_get_boot_ns();
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
	if (!segment_is_sound(segment))
		return PASS;
	if (!takeover_is_open(segment))
		return pass_for_good(segment, STEER_PASSED_NO_RESPONDER);
	attrs_from_cookie(&flow.attrs, segment->packet.flow.family, segment_timestamps(segment));
	return takeover_take_cookie(segment, &flow);
}

/* Rule 4. */
INLINE int on_established(struct segment *segment, const struct steer_flow *flow)
{
	if (flow && flow->is_adopted) { /* it still is being made */
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
	sk = look_up(segment);
	if (!sk && flow) /* where a packet filter names the listener, there is none to be found */
		return takeover_on_taken_listener(segment, flow);
	if (!sk) {
		count(STEER_PASSED_NO_SOCKET);
		return PASS;
	}
	if (sk->state == BPF_TCP_NEW_SYN_RECV)
		action = on_request(segment, sk, flow);
	else if (sk->state != BPF_TCP_LISTEN)
		action = on_established(segment, flow);
	else if (flow)
		action = takeover_on_taken_listener(segment, flow);
	else
		action = on_listener(segment, sk);
	bpf_sk_release(sk);
	return action;
}

/* Rule 1. */
INLINE void on_syn(struct segment *segment, __u64 armed_until_ns)
{
	__u64 now_ns = bpf_ktime_get_boot_ns();

	if (armed_until_ns <= now_ns || !responder_is_alive(now_ns))
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

/*
 * Whoever connects to the responder's own listeners, which are for assigned connections alone,
 * finds nobody there: it could ask them which names are pending.
 */
SEC("sk_lookup")
int guard(struct bpf_sk_lookup *ctx)
{
	__u32 zero = 0, family = ctx->family == 2 /* AF_INET */ ? STEER_V4 : STEER_V6;
	const struct steer_control *control = bpf_map_lookup_elem(&control_map, &zero);

	if (control && ctx->protocol == IPPROTO_TCP &&
	    ctx->local_port == control->responder_port[family])
		return SK_DROP;
	return SK_PASS;
}

/* For interfaces without any link-layer header: tun, WireGuard, point-to-point tunnels. */
SEC("tc")
int steer_bare_ip(struct __sk_buff *skb)
{
	return steer(skb, 0);
}
