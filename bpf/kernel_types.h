/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The few members of kernel structures that the classifier reads.  libbpf
 * finds their real places in the running kernel's BTF when it loads (CO-RE), so
 * that one build fits all kernels and none is needed to build.
 */
#ifndef BPF_KERNEL_TYPES_H
#define BPF_KERNEL_TYPES_H

#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* include/net/sock.h; never read, but a kfunc's arguments must be whole types. */
struct sock {
	__u16 sk_type;
};

struct sock_common {
	__u32 skc_rcv_wnd; /* of a request socket: the window that its SYN-ACK announced */
};

/* include/net/request_sock.h */
struct request_sock {
	struct sock_common __req_common;
	__u16 mss;
	__u8 syncookie : 1;
	__u8 num_timeout : 7;
	__u32 ts_recent; /* the timestamp of the client's SYN; 0: none */
};

/* include/net/inet_sock.h */
struct inet_request_sock {
	struct request_sock req;
	__u16 snd_wscale : 4;
	__u16 rcv_wscale : 4;
	__u16 tstamp_ok : 1;
	__u16 sack_ok : 1;
	__u16 wscale_ok : 1;
	__u16 ecn_ok : 1;
};

/* include/linux/tcp.h */
struct tcp_request_sock {
	struct inet_request_sock req;
	_Bool is_mptcp; /* the listener is MPTCP's; only with CONFIG_MPTCP */
	_Bool req_usec_ts; /* since 6.7 */
	__u32 rcv_isn;
	__u32 snt_isn;
	__u32 ts_off;
};

struct tcp_options_received {
	__u32 ts_recent; /* the client's last; 0: none */
	__u16 tstamp_ok : 1;
	__u16 wscale_ok : 1;
	__u16 sack_ok : 3;
	__u16 snd_wscale : 4;
	__u16 rcv_wscale : 4;
	__u16 mss_clamp;
};

struct tcp_sock {
	struct tcp_options_received rx_opt;
	__u32 rcv_nxt, snd_nxt, rcv_wnd;
	__u32 tsoffset;
	__u32 data_segs_out;
	__u64 bytes_received;
	_Bool is_mptcp; /* only with CONFIG_MPTCP */
	__u8 tcp_usec_ts : 1; /* since 6.7 */
};

/* net/mptcp/protocol.h: each request of an MPTCP listener is one */
struct mptcp_subflow_request_sock {
	struct tcp_request_sock sk;
	__u32 mp_capable : 1;
	__u32 mp_join : 1;
};

/* include/net/netns/ipv4.h */
struct netns_ipv4 {
	__u8 sysctl_tcp_syncookies;
};

/* include/net/net_namespace.h */
struct net {
	struct netns_ipv4 ipv4;
};

typedef struct {
	struct net *net;
} possible_net_t;

/* include/linux/netdevice.h */
struct net_device {
	possible_net_t nd_net;
};

/* include/linux/skbuff.h */
struct sk_buff {
	struct net_device *dev;
	__u8 ip_summed : 2;
};

#pragma clang attribute pop

/* include/linux/tcp.h, since 6.9: what bpf_sk_assign_tcp_reqsk() takes, as it is. */
struct bpf_tcp_req_attrs {
	__u32 rcv_tsval;
	__u32 rcv_tsecr;
	__u16 mss;
	__u8 rcv_wscale;
	__u8 snd_wscale;
	__u8 ecn_ok;
	__u8 wscale_ok;
	__u8 sack_ok;
	__u8 tstamp_ok;
	__u8 usec_ts_ok;
	__u8 reserved[3];
};

#endif
