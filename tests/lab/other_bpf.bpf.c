// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What other software may have attached beside Sidestep: a tc program that
 * counts, marks and drops, a pair that rewrites ports, and an sk_lookup program
 * that redirects.  Loaded and told what to do by other_bpf.py.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define TCX_NEXT    (-1) /* TC_ACT_UNSPEC */
#define TC_ACT_SHOT 2
#define AF_INET     2

/* Ports in host order; other_bpf.py knows these numbers by their place. */
enum setting {
	SETTING_PORT, /* of the segments that are looked at */
	SETTING_REFUSED_PORT, /* segments from this port are dropped */
	SETTING_MARK, /* given to all others */
	SETTING_VERDICT, /* on all others */
	SETTING_TO_PORT, /* what `rewrite_in` makes of SETTING_PORT */
	SETTING_ASSIGN_FLAGS, /* of bpf_sk_assign() */
	SETTINGS,
};

enum counter { COUNTER_DONE, COUNTER_DROPPED, COUNTERS };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SETTINGS);
	__type(key, __u32);
	__type(value, __u32);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* Whom `redirect` chooses: for IPv4, for IPv6. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} listeners SEC(".maps");

static __always_inline __u32 setting(__u32 which)
{
	__u32 *value = bpf_map_lookup_elem(&settings, &which);

	return value ? *value : 0;
}

static __always_inline void count(__u32 which)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &which);

	if (value)
		__sync_fetch_and_add(value, 1);
}

/* Where the TCP header begins, behind Ethernet and an IP header without extras; 0: it is no TCP. */
static __always_inline __u32 find_tcp(struct __sk_buff *skb)
{
	bool v4 = skb->protocol == bpf_htons(ETH_P_IP);
	__u8 protocol;

	if (!v4 && skb->protocol != bpf_htons(ETH_P_IPV6))
		return 0;
	if (bpf_skb_load_bytes(skb,
			       ETH_HLEN + (v4 ? offsetof(struct iphdr, protocol)
					      : offsetof(struct ipv6hdr, nexthdr)),
			       &protocol, sizeof(protocol)) ||
	    protocol != IPPROTO_TCP)
		return 0;
	return ETH_HLEN + (v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
}

/* Count, mark and drop what comes to a port. */
SEC("tc")
int police(struct __sk_buff *skb)
{
	__u32 tcp_offset = find_tcp(skb);
	struct tcphdr tcp;

	if (!tcp_offset || bpf_skb_load_bytes(skb, tcp_offset, &tcp, sizeof(tcp)) ||
	    bpf_ntohs(tcp.dest) != setting(SETTING_PORT))
		return TCX_NEXT;
	if (bpf_ntohs(tcp.source) == setting(SETTING_REFUSED_PORT)) {
		count(COUNTER_DROPPED);
		return TC_ACT_SHOT;
	}
	count(COUNTER_DONE);
	skb->mark = setting(SETTING_MARK);
	return (int)setting(SETTING_VERDICT);
}

/* Replace one of a segment's ports, if it is `from`. */
static __always_inline void rewrite(struct __sk_buff *skb, __u32 port_offset, __u32 from, __u32 to)
{
	__u32 tcp_offset = find_tcp(skb);
	__be16 before, after = bpf_htons(to);

	if (!tcp_offset ||
	    bpf_skb_load_bytes(skb, tcp_offset + port_offset, &before, sizeof(before)) ||
	    bpf_ntohs(before) != from)
		return;
	bpf_l4_csum_replace(skb, tcp_offset + offsetof(struct tcphdr, check), before, after,
			    sizeof(after));
	bpf_skb_store_bytes(skb, tcp_offset + port_offset, &after, sizeof(after), 0);
	count(COUNTER_DONE);
}

/* To clients, production is at SETTING_PORT. */
SEC("tc")
int rewrite_in(struct __sk_buff *skb)
{
	rewrite(skb, offsetof(struct tcphdr, dest), setting(SETTING_PORT),
		setting(SETTING_TO_PORT));
	return TCX_NEXT;
}

SEC("tc")
int rewrite_out(struct __sk_buff *skb)
{
	rewrite(skb, offsetof(struct tcphdr, source), setting(SETTING_TO_PORT),
		setting(SETTING_PORT));
	return TCX_NEXT;
}

/* All connections to a port go to the listeners of the map; a refusal is final, as is usual. */
SEC("sk_lookup")
int redirect(struct bpf_sk_lookup *ctx)
{
	__u32 family = ctx->family != AF_INET;
	struct bpf_sock *listener;
	long err;

	if (ctx->protocol != IPPROTO_TCP || ctx->local_port != setting(SETTING_PORT))
		return SK_PASS;
	listener = bpf_map_lookup_elem(&listeners, &family);
	if (!listener)
		return SK_DROP;
	err = bpf_sk_assign(ctx, listener, setting(SETTING_ASSIGN_FLAGS));
	bpf_sk_release(listener);
	if (err)
		return SK_DROP;
	count(COUNTER_DONE);
	return SK_PASS;
}
