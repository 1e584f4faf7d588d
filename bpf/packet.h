/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From a tc ingress skb to what the rules ask about: addresses, ports, flags,
 * sequence numbers, and where the payload is.  IPv4 and IPv6.  What cannot be
 * read with certainty is not a packet for us: packet_parse() says no, and the
 * caller passes it on.
 */
#ifndef BPF_PACKET_H
#define BPF_PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/steer_abi.h"

#define PACKET_INLINE static __attribute__((always_inline)) inline

/* Headers up to here are read in place: the longest IPv4 and TCP headers, or what IPv6 needs. */
#define PACKET_HEADERS_MAX 134
/* IPv6 extension headers walked at most; no host in use sends more before TCP. */
#define PACKET_IPV6_EXTENSIONS_MAX 4

#define IPV4_FRAGMENT_MASK        0x3fff /* more fragments, or an offset: RFC 791 section 3.1 */
#define TCP_SEQUENCE_OFFSET       4
#define TCP_FLAGS_OFFSET          13 /* RFC 9293 section 3.1 */
#define TCP_CHECKSUM_OFFSET       16
#define TCP_FLAG_BYTE_RST         0x04
#define TCP_OPTION_END            0
#define TCP_OPTION_NOP            1
#define TCP_OPTION_TIMESTAMP      8 /* RFC 7323 section 3.2 */
#define TCP_OPTION_TIMESTAMP_SIZE 10
#define TCP_OPTIONS_MAX           40
#define TCP_OPTIONS_MAX_MASK      63
/* Room to read a whole option behind the mask. */
#define TCP_OPTIONS_BUFFER_SIZE (TCP_OPTIONS_MAX_MASK + 1 + TCP_OPTION_TIMESTAMP_SIZE)
/* A data segment carries timestamps, SACK and padding: no more than this. */
#define TCP_OPTIONS_WALKED_MAX 16

/* Remote and local end as bpf_skc_lookup_tcp() takes them, in network order; the rest is zero. */
struct packet_flow {
	struct bpf_sock_tuple tuple;
	__u32 family; /* enum steer_family */
};

struct packet {
	struct packet_flow flow;
	__u32 tcp_offset; /* from skb->data, as all offsets here */
	__u32 payload_offset;
	__u32 payload_size;
	__u32 sequence; /* host order */
	__u32 acknowledgment; /* host order */
	bool syn, ack, rst, fin, urg;
};

#define VLAN_ID_MASK 0xfff

enum packet_read {
	PACKET_READ, /* a whole TCP segment */
	PACKET_NOT_LINEAR, /* pull its headers, and read again */
	PACKET_FOREIGN, /* anything else */
};

PACKET_INLINE bool packet_is_ipv6_extension(__u8 next_header)
{
	return next_header == IPPROTO_HOPOPTS || next_header == IPPROTO_ROUTING ||
	       next_header == IPPROTO_DSTOPTS;
}

/* IPv4: RFC 791 section 3.1.  Sets tcp_offset, and where IP ends. */
PACKET_INLINE enum packet_read packet_read_ipv4(const struct __sk_buff *skb, __u32 ip_offset,
						struct packet *ret, __u32 *ret_ip_end)
{
	const struct iphdr *ip = (void *)(long)skb->data + ip_offset;
	__u32 header_size;

	if ((void *)(ip + 1) > (void *)(long)skb->data_end)
		return PACKET_NOT_LINEAR;
	header_size = ip->ihl * 4;
	if (ip->version != 4 || header_size < sizeof(*ip) || ip->protocol != IPPROTO_TCP ||
	    ip->frag_off & bpf_htons(IPV4_FRAGMENT_MASK))
		return PACKET_FOREIGN;
	ret->flow.family = STEER_V4;
	ret->flow.tuple.ipv4.saddr = ip->saddr;
	ret->flow.tuple.ipv4.daddr = ip->daddr;
	ret->tcp_offset = ip_offset + header_size;
	*ret_ip_end = ip_offset + bpf_ntohs(ip->tot_len);
	return PACKET_READ;
}

/* IPv6: RFC 8200 sections 3 and 4.  A fragment header ends the walk: not for us. */
PACKET_INLINE enum packet_read packet_read_ipv6(const struct __sk_buff *skb, __u32 ip_offset,
						struct packet *ret, __u32 *ret_ip_end)
{
	const struct ipv6hdr *ip = (void *)(long)skb->data + ip_offset;
	const struct ipv6_opt_hdr *extension;
	__u32 offset = ip_offset + sizeof(*ip);
	__u8 next_header;
	int i;

	if ((void *)(ip + 1) > (void *)(long)skb->data_end)
		return PACKET_NOT_LINEAR;
	if (ip->version != 6)
		return PACKET_FOREIGN;
	next_header = ip->nexthdr;
	for (i = 0; i < PACKET_IPV6_EXTENSIONS_MAX && packet_is_ipv6_extension(next_header); i++) {
		extension = (void *)(long)skb->data + (offset & 0xff);
		if (offset > PACKET_HEADERS_MAX)
			return PACKET_FOREIGN;
		if ((void *)(extension + 1) > (void *)(long)skb->data_end)
			return PACKET_NOT_LINEAR;
		next_header = extension->nexthdr;
		offset += (extension->hdrlen + 1) * 8;
	}
	if (next_header != IPPROTO_TCP)
		return PACKET_FOREIGN;
	ret->flow.family = STEER_V6;
	__builtin_memcpy(ret->flow.tuple.ipv6.saddr, &ip->saddr, sizeof(ip->saddr));
	__builtin_memcpy(ret->flow.tuple.ipv6.daddr, &ip->daddr, sizeof(ip->daddr));
	ret->tcp_offset = offset;
	*ret_ip_end = ip_offset + sizeof(*ip) + bpf_ntohs(ip->payload_len);
	return PACKET_READ;
}

/* RFC 9293 section 3.1. */
PACKET_INLINE enum packet_read packet_read_tcp(const struct __sk_buff *skb, __u32 ip_end,
					       struct packet *ret)
{
	const struct tcphdr *tcp = (void *)(long)skb->data + (ret->tcp_offset & 0xff);

	if (ret->tcp_offset > PACKET_HEADERS_MAX)
		return PACKET_FOREIGN;
	if ((void *)(tcp + 1) > (void *)(long)skb->data_end)
		return PACKET_NOT_LINEAR;
	ret->payload_offset = ret->tcp_offset + tcp->doff * 4;
	if (tcp->doff * 4 < sizeof(*tcp) || ret->payload_offset > ip_end || ip_end > skb->len)
		return PACKET_FOREIGN;
	ret->payload_size = ip_end - ret->payload_offset;
	ret->sequence = bpf_ntohl(tcp->seq);
	ret->acknowledgment = bpf_ntohl(tcp->ack_seq);
	if (ret->flow.family == STEER_V4) {
		ret->flow.tuple.ipv4.sport = tcp->source;
		ret->flow.tuple.ipv4.dport = tcp->dest;
	} else {
		ret->flow.tuple.ipv6.sport = tcp->source;
		ret->flow.tuple.ipv6.dport = tcp->dest;
	}
	ret->syn = tcp->syn;
	ret->ack = tcp->ack;
	ret->rst = tcp->rst;
	ret->fin = tcp->fin;
	ret->urg = tcp->urg;
	return PACKET_READ;
}

/* Read what lies in the skb's linear part.  Its pointers live until a helper changes the skb. */
PACKET_INLINE enum packet_read packet_read(const struct __sk_buff *skb, __u32 ip_offset,
					   struct packet *ret)
{
	enum packet_read result = PACKET_FOREIGN;
	__u32 ip_end = 0;

	if (skb->protocol == bpf_htons(ETH_P_IP))
		result = packet_read_ipv4(skb, ip_offset, ret, &ip_end);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		result = packet_read_ipv6(skb, ip_offset, ret, &ip_end);
	return result == PACKET_READ ? packet_read_tcp(skb, ip_end, ret) : result;
}

/*
 * Read the headers; `ip_offset` is the size of the link-layer header.  False
 * for all that is not a whole TCP segment.
 *
 * Headers are linear nearly always, and then nothing more is pulled there: payload in
 * the linear part would keep TCP from joining the segments that production is yet to read.
 */
PACKET_INLINE bool packet_parse(struct __sk_buff *skb, __u32 ip_offset, struct packet *ret)
{
	enum packet_read result;

	/* Comes by again on the VLAN's own device; without an id (IEEE 802.1Q) it is but a priority. */
	if (skb->vlan_tci & VLAN_ID_MASK)
		return false;
	__builtin_memset(&ret->flow, 0, sizeof(ret->flow));
	result = packet_read(skb, ip_offset, ret);
	if (result == PACKET_NOT_LINEAR &&
	    !bpf_skb_pull_data(skb, skb->len < PACKET_HEADERS_MAX ? skb->len : PACKET_HEADERS_MAX))
		result = packet_read(skb, ip_offset, ret);
	return result == PACKET_READ;
}

/* Host order. */
PACKET_INLINE __u16 packet_local_port(const struct packet *packet)
{
	return bpf_ntohs(packet->flow.family == STEER_V4 ? packet->flow.tuple.ipv4.dport
							 : packet->flow.tuple.ipv6.dport);
}

/* Network order. */
PACKET_INLINE __be16 packet_remote_port(const struct packet *packet)
{
	return packet->flow.family == STEER_V4 ? packet->flow.tuple.ipv4.sport
					       : packet->flow.tuple.ipv6.sport;
}

/* As IPv6, or IPv4 as ::ffff:a.b.c.d. */
PACKET_INLINE void packet_local_address(const struct packet *packet, __u8 ret_address[16])
{
	__u32 *words = (__u32 *)ret_address;

	if (packet->flow.family == STEER_V6) {
		__builtin_memcpy(ret_address, packet->flow.tuple.ipv6.daddr, 16);
		return;
	}
	words[0] = words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = packet->flow.tuple.ipv4.daddr;
}

/* A cheap, even hash of the remote end, for the SYN marks. */
PACKET_INLINE __u32 packet_remote_hash(const struct packet *packet)
{
	const struct bpf_sock_tuple *tuple = &packet->flow.tuple;
	__u64 mix;

	if (packet->flow.family == STEER_V4) {
		mix = tuple->ipv4.sport | (__u64)tuple->ipv4.saddr << 16;
	} else {
		mix = tuple->ipv6.sport | (__u64)tuple->ipv6.saddr[3] << 16;
		mix ^= ((__u64)tuple->ipv6.saddr[1] << 32 | tuple->ipv6.saddr[2]) *
		       0x9e3779b97f4a7c15ULL;
	}
	return mix * 0x9e3779b97f4a7c15ULL >> 32;
}

/*
 * The timestamp option (RFC 7323 section 3.2) among the `size` bytes of TCP
 * options, wherever it stands.  False when there is none; values in host order.
 */
PACKET_INLINE bool packet_timestamps(const __u8 options[TCP_OPTIONS_BUFFER_SIZE], __u32 size,
				     __u32 *ret_value, __u32 *ret_echo)
{
	__u32 at = 0;
	int i;

	for (i = 0; i < TCP_OPTIONS_WALKED_MAX; i++) {
		const __u8 *option = options + (at & (TCP_OPTIONS_MAX_MASK));
		__u32 step = option[1];

		if (at + TCP_OPTION_TIMESTAMP_SIZE > size || option[0] == TCP_OPTION_END)
			return false;
		if (option[0] == TCP_OPTION_TIMESTAMP && step == TCP_OPTION_TIMESTAMP_SIZE) {
			*ret_value = bpf_ntohl(*(__u32 *)(option + 2));
			*ret_echo = bpf_ntohl(*(__u32 *)(option + 6));
			return true;
		}
		if (option[0] == TCP_OPTION_NOP)
			step = 1;
		if (!step)
			return false;
		at += step;
	}
	return false;
}

#endif
