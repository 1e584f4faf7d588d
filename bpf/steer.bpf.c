// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The classifier (tc ingress), which takes connections from production by takeover.h, and the
 * guard (sk_lookup) of the responder's listeners.
 *
 * Only while a name is pending, the classifier delays the moment at which the
 * kernel binds a new connection to production's listener: it holds the bare
 * third ACK back, and looks at the first data until they decide.  An acme-tls/1
 * ClientHello for a pending name goes to the responder; anything else goes on
 * untouched, and at once.  ARCHITECTURE.md tells why this is safe; the rules carry
 * its numbers.  Whenever in doubt: pass.
 */
#include <linux/bpf.h>
#include <stddef.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "bpf/classify.h"
#include "bpf/segment.h"
#include "bpf/sockets.h"
#include "bpf/takeover.h"

/* An ACK that comes again within this time is a double of the network's making. */
#define HOLD_NS 50000000u
/* A held one that is older has not come to the classifier again, and will not. */
#define RELEASE_FOR_NS 2000000000u

char LICENSE[] SEC("license") = "GPL"; /* the kernel's word for what it lets call its helpers */

/* A copy of this ACK, to be sent again later. */
INLINE int hold(struct segment *segment, const struct tcp_request_sock *request)
{
	struct steer_held *copy = &segment->scratch->held;
	__u32 size = segment->packet.payload_offset;

	copy->held_ns = bpf_ktime_get_boot_ns();
	copy->client_isn = request->rcv_isn;
	copy->server_isn = request->snt_isn;
	copy->ifindex = segment->skb->ifindex;
	copy->link_size = segment->ip_offset;
	copy->frame_size = size > STEER_FRAME_MAX ? 0 : size;
	if (load_bytes(segment->skb, 0, copy->frame, size, STEER_FRAME_MAX))
		return -1;
	return bpf_map_update_elem(&held, &segment->packet.flow, copy, BPF_ANY);
}

/*
 * Rule 6: the third ACK, without data.  The first one is held back, whatever has been lost and
 * sent again before; one that comes later is the monitor's, or the client's answer to another
 * SYN-ACK: the client says nothing, and is production's as long as it does.
 */
INLINE int on_bare_ack(struct segment *segment, const struct bpf_sock *sk,
		       const struct tcp_request_sock *request)
{
	const struct packet *packet = &segment->packet;
	const struct request_sock *req = &request->req.req;
	const struct steer_held *before = bpf_map_lookup_elem(&held, &packet->flow);
	bool is_held = before && before->client_isn == request->rcv_isn &&
		       before->server_isn == request->snt_isn;

	if (is_held && bpf_ktime_get_boot_ns() - before->held_ns < HOLD_NS) {
		count(STEER_BARE_ACK_HELD); /* the network has doubled it */
		return DROP;
	}
	if (!is_held && !packet->fin && BPF_CORE_READ_BITFIELD(req, num_timeout) < 2 &&
	    !is_mptcp(segment, sk, request) && packet->sequence == request->rcv_isn + 1 &&
	    packet->acknowledgment == request->snt_isn + 1 && !hold(segment, request)) {
		count(STEER_BARE_ACK_HELD);
		return DROP;
	}
	if (is_held)
		bpf_map_delete_elem(&held, &packet->flow);
	count(STEER_BARE_ACK_PASSED);
	return PASS;
}

/* What is neither a challenge nor may become one, or cannot be taken. */
INLINE int pass_considered(struct segment *segment, enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_NONE:
		return PASS;
	case VERDICT_WATCH:
		count(STEER_WATCHED);
		return PASS;
	case VERDICT_STEER:
		return pass_for_good(segment, STEER_PASSED_NO_RESPONDER);
	default:
		return pass_for_good(segment, verdict_counter(verdict));
	}
}

/* Rules 7 and 8: data of a connection that production has not accepted yet. */
INLINE int on_first_data(struct segment *segment, const struct bpf_sock *sk,
			 const struct tcp_request_sock *request)
{
	struct steer_flow flow = {
		.client_isn = request->rcv_isn,
		.server_isn = request->snt_isn,
		.clock_offset = request->ts_off,
		.has_clock_offset = 1,
	};
	enum verdict verdict;

	if (is_mptcp(segment, sk, request))
		return pass_for_good(segment, STEER_PASSED_MPTCP);
	if (segment->packet.acknowledgment != flow.server_isn + 1) {
		count(STEER_PASSED_OTHER_SYNACK); /* the stack refuses it */
		return PASS;
	}
	if (is_outdated(segment, request->req.req.ts_recent))
		return PASS; /* likewise */
	bpf_map_delete_elem(&held, &segment->packet.flow);
	verdict = consider(segment, flow.client_isn);
	if (verdict != VERDICT_STEER || !takeover_is_open())
		return pass_considered(segment, verdict);
	attrs_from_request(&flow.attrs, request);
	flow.server_window = request->req.req.__req_common.skc_rcv_wnd;
	flow.taken_ns = bpf_ktime_get_boot_ns();
	return takeover_take_request(segment, &flow);
}

/* Rules 5 to 8: production's request socket waits for the rest of the handshake. */
INLINE int on_request(struct segment *segment, struct bpf_sock *sk, struct steer_flow *flow)
{
	const struct tcp_request_sock *request = read_request(segment, sk);
	bool is_taken;

	if (!request)
		return PASS;
	is_taken = flow && flow->client_isn == request->rcv_isn &&
		   flow->server_isn == request->snt_isn;
	if (!segment->packet.payload_size && is_taken && !takeover_has_failed(flow)) {
		/* An ACK of a second SYN-ACK, which has come while the RST is on its way. */
		count(STEER_DROPPED);
		return DROP;
	}
	if (!segment->packet.payload_size)
		return on_bare_ack(segment, sk, request);
	if (!is_taken ||
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
	enum verdict verdict;

	if (segment->packet.fin || !has_valid_cookie(segment, sk))
		return PASS;
	if (!segment->packet.payload_size) {
		/* Nobody would send it again. */
		count(STEER_BARE_ACK_PASSED);
		return PASS;
	}
	verdict = consider(segment, flow.client_isn);
	if (verdict != VERDICT_STEER || !takeover_is_open())
		return pass_considered(segment, verdict);
	attrs_from_cookie(&flow.attrs, segment->packet.flow.family, segment_timestamps(segment));
	return takeover_take_cookie(segment, &flow);
}

/*
 * Rule 4: production has accepted the connection.  As long as it has sent nothing, and the
 * client nothing that decides, it may still turn out to be a challenge.
 */
INLINE int on_established(struct segment *segment, struct bpf_sock *sk,
			  const struct steer_flow *taken)
{
	const struct packet *packet = &segment->packet;
	struct steer_flow flow = {.server_isn = packet->acknowledgment - 1};
	struct tcp_sock *tcp;
	__u32 received, next;
	enum verdict verdict;

	if (taken && taken->adoption_state == STEER_ADOPTING) { /* it still is being made */
		count(STEER_DROPPED);
		return DROP;
	}
	if (!packet->payload_size && !packet->fin && !taken)
		return PASS;
	tcp = taken || sk->state != BPF_TCP_ESTABLISHED ? NULL : bpf_skc_to_tcp_sock(sk);
	if (!tcp || tcp->data_segs_out || (bpf_core_field_exists(tcp->is_mptcp) && tcp->is_mptcp)) {
		syn_mark_clear(segment);
		return PASS;
	}
	if (tcp->snd_nxt != packet->acknowledgment)
		return PASS; /* corrupt, or from somebody else: it decides nothing */
	if (is_outdated(segment, tcp->rx_opt.ts_recent))
		return PASS; /* the stack refuses it */
	next = tcp->rcv_nxt;
	received = (__u32)tcp->bytes_received;
	flow.client_isn = next - received - 1;
	verdict = consider(segment, flow.client_isn);
	if (verdict != VERDICT_STEER || !takeover_is_open())
		return pass_considered(segment, verdict);
	if (!attrs_from_established(segment, tcp, &flow.attrs))
		return pass_for_good(segment, STEER_PASSED_FAILED);
	/* What passed before this segment may be of the same burst, and not in the socket yet. */
	if ((__s32)(flow.client_isn + 1 + segment->passed - next) > 0)
		next = flow.client_isn + 1 + segment->passed;
	flow.server_window = tcp->rcv_wnd;
	flow.clock_offset = tcp->tsoffset;
	flow.has_clock_offset = 1;
	flow.taken_ns = bpf_ktime_get_boot_ns();
	return takeover_take_established(segment, &flow, next);
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
	if (flow && flow->adoption_state == STEER_STANDS) {
		syn_mark_clear(segment);
		return PASS;
	}
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
		action = on_established(segment, sk, flow);
	else if (flow)
		action = takeover_on_taken_listener(segment, flow);
	else
		action = on_listener(segment, sk);
	bpf_sk_release(sk);
	return action;
}

/*
 * Rule 1.  The SYN of a connection that is being taken has been sent twice: the listener must not
 * begin another one with it.
 */
INLINE int on_syn(struct segment *segment, struct steer_armed *armed_until)
{
	__u64 now_ns = bpf_ktime_get_boot_ns(), until_ns = armed_until->until_ns;
	const struct steer_flow *taken;

	if (until_ns <= now_ns) {
		armed_until->spent_ns = until_ns; /* rule 0 for the segments to come */
		return PASS;
	}
	if (!responder_is_alive(now_ns))
		return PASS;
	taken = bpf_map_lookup_elem(&flows, &segment->packet.flow);
	if (taken && taken->client_isn == segment->packet.sequence &&
	    taken->adoption_state != STEER_STANDS) {
		count(STEER_DROPPED);
		return DROP;
	}
	/* The same SYN comes by twice on a bridge, and takes one place. */
	if ((__u8)*segment->bucket != segment->tag)
		*segment->bucket = *segment->bucket << 8 | segment->tag;
	count(STEER_SYN_MARKED);
	return PASS;
}

/* Rules 0 to 3: what every segment pays. */
INLINE int steer(struct __sk_buff *skb, __u32 ip_offset)
{
	struct segment segment = {.skb = skb};
	__u32 zero = 0, hash;
	struct steer_armed *armed_until;

	armed_until = bpf_map_lookup_elem(&armed, &zero);
	if (!armed_until || armed_until->until_ns == armed_until->spent_ns)
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
	if (segment.packet.syn)
		return on_syn(&segment, armed_until);

	segment.scratch = bpf_map_lookup_elem(&scratches, &zero);
	if (!segment.scratch)
		return PASS;
	segment.run = bpf_get_prandom_u32();
	segment.scratch->owner = segment.run;
	return on_marked(&segment);
}

/* For interfaces with an Ethernet header, loopback too. */
SEC("tc")
int steer_ethernet(struct __sk_buff *skb)
{
	return steer(skb, ETH_HLEN);
}

/* Does production's request socket still wait for this held ACK? */
INLINE bool is_awaited(struct segment *segment, const struct steer_held *copy)
{
	const struct tcp_request_sock *request;
	struct bpf_sock *sk = look_up(segment);
	bool is;

	if (!sk)
		return false;
	request = sk->state == BPF_TCP_NEW_SYN_RECV ? read_request(segment, sk) : NULL;
	is = request && request->rcv_isn == copy->client_isn &&
	     request->snt_isn == copy->server_isn;
	bpf_sk_release(sk);
	return is;
}

/*
 * Run by the monitor, with a held ACK as the frame: has it come to the classifier again, unless
 * the client has said something meanwhile.  When it has reset the connection, or the ACK never
 * gets to the classifier, the copy goes.
 */
SEC("tc")
int release(struct __sk_buff *skb)
{
	struct segment segment = {.skb = skb};
	const struct packet *packet = &segment.packet;
	const struct steer_held *copy;
	__u32 zero = 0;

	segment.scratch = bpf_map_lookup_elem(&scratches, &zero);
	if (!segment.scratch || !packet_parse(skb, ETH_HLEN, &segment.packet))
		return DROP;
	copy = bpf_map_lookup_elem(&held, &packet->flow);
	if (!copy || packet->sequence != copy->client_isn + 1 ||
	    packet->acknowledgment != copy->server_isn + 1)
		return DROP;
	if (bpf_ktime_get_boot_ns() - copy->held_ns > RELEASE_FOR_NS ||
	    !is_awaited(&segment, copy)) {
		bpf_map_delete_elem(&held, &packet->flow);
		return DROP;
	}
	return bpf_clone_redirect(skb, copy->ifindex, BPF_F_INGRESS);
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
