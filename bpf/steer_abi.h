/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the BPF programs and user space share: map names, keys, values, limits
 * and counters.  Included by bpf/, common/ and responder/.
 */
#ifndef BPF_STEER_ABI_H
#define BPF_STEER_ABI_H

#include <linux/types.h>

/*
 * Maps outlive the programs and the processes that use them: whoever changes a
 * structure here, or a map's value in maps.h, counts this up.
 */
#define STEER_ABI_VERSION 9

/* Names armed at once, at most.  Memory is taken as names are armed. */
#define STEER_CHALLENGES_MAX (1u << 20)

/* File names of the maps in the instance's bpffs directory (common/paths.h). */
#define STEER_PIN_CHALLENGES "challenges"
#define STEER_PIN_ARMED      "armed"
#define STEER_PIN_COUNTERS   "counters"
#define STEER_PIN_CONTROL    "control"
#define STEER_PIN_HEARTBEAT  "heartbeat"

/* Watched at once, at most. */
#define STEER_PORTS_MAX     4
#define STEER_ADDRESSES_MAX 1024

/*
 * Map "challenges", a hash: the index of what is pending.  An entry arms its
 * name, for the classifier and for the responder at once.
 * Key: name_hash() of the TLS server name.  Written by whoever publishes.
 */
struct steer_challenge {
	__u64 expires_ns; /* CLOCK_BOOTTIME; from then on the name is not pending */
	__u32 slot; /* in the challenge table */
	__u32 generation; /* of that slot */
};

/*
 * Map "armed", an array of one: nothing is pending from `until_ns` on.  Written by whoever
 * publishes, with `spent_ns` 0.  The classifier, once it sees that the moment is past, repeats
 * it there: while both are alike nobody has to look at a clock.
 */
struct steer_armed {
	__u64 until_ns; /* CLOCK_BOOTTIME; 0: nothing is pending */
	__u64 spent_ns;
};

enum steer_family { STEER_V4, STEER_V6, STEER_FAMILIES };

/*
 * Map "heartbeat", an array of one __u64, mapped into the responder's memory: the responder is
 * taken for hung from this moment of CLOCK_BOOTTIME (ns) on.  The one map that it can write.
 */

/*
 * Map "control", an array of one: written when a responder starts, and frozen before the
 * programs run.
 */
struct steer_control {
	__u32 abi_version; /* STEER_ABI_VERSION */
	__u32 address_count; /* of the map "addresses"; 0: all are watched */
	__u64 hash_key[2]; /* of name_hash(); the challenge table's */
	__u64 netns; /* inode of the network namespace that is steered */
	__u16 responder_port[STEER_FAMILIES]; /* host order, of the responder's listeners */
	__u16 watched_port[STEER_PORTS_MAX]; /* host order; unused ones repeat the first */
	__u16 reserved[2];
};

/*
 * Map "addresses", a hash: the local addresses that are watched.  The value, one
 * byte, says nothing.
 */
struct steer_address {
	__u8 bytes[16]; /* IPv6, or IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2) */
};

/* What is known of the beginning of the stream that a client sends. */
#define STEER_KNOWN_BYTES 4096

struct steer_known {
	__u32 client_isn;
	__u32 size; /* of bytes, from the first on */
	__u32 later, later_end; /* and these, behind a gap; equal: none */
	__u8 bytes[STEER_KNOWN_BYTES];
};

/* Map "flows": the size of its keys. */
#define STEER_FLOW_KEY_SIZE 40

/* The first member of what map "flows" has of a connection. */
enum steer_adoption_state {
	STEER_NOT_ADOPTED,
	STEER_ADOPTING, /* user space makes the connection: its segments are dropped meanwhile */
	STEER_STANDS, /* it has made it: what its client sends is the new socket's */
};

/* Of the map's values, at most. */
#define STEER_FLOW_SIZE_MAX 128

/*
 * Ring buffer "adoptions": a connection that production has lost, with all that is needed to
 * go on with it in user space.
 */
struct steer_adoption {
	__u8 flow_key[STEER_FLOW_KEY_SIZE]; /* in the map "flows" */
	__u32 family; /* enum steer_family */
	__u32 ifindex;
	__u32 remote_address[4], local_address[4]; /* network order; IPv4 in the first word */
	__u16 remote_port, local_port; /* network order */
	__u32 server_isn;
	__u32 clock; /* what the next timestamp is, at least: production's went so far */
	__u32 client_window, server_window; /* bytes */
	__u16 mss;
	__u8 client_wscale, server_wscale; /* shifts, when wscale_ok */
	__u8 wscale_ok, sack_ok, timestamps_ok;
	__u8 usec_timestamps; /* production's clock counts microseconds */
	struct steer_known known; /* what the client has sent */
};

/*
 * Map "held", an LRU hash by flow: bare third ACKs that are held back.  The monitor sends those
 * through the classifier again, by the program release, for which no data has come in time.
 */
#define STEER_FRAME_MAX 128

struct steer_held {
	__u64 held_ns; /* CLOCK_BOOTTIME */
	__u32 client_isn, server_isn;
	__u32 ifindex;
	__u16 link_size; /* of the frame's link-layer header */
	__u16 frame_size; /* 0: cannot be sent again */
	__u8 frame[STEER_FRAME_MAX]; /* from the link layer on, up to the end of TCP's header */
};

/* Map "listeners", a SOCKMAP: the responder's listener of each enum steer_family. */

/*
 * Map "counters", a per-CPU array of __u64.  The comment is the text that
 * `sidestep status` shows; keep steer_counter_text() in common/counters.c alike.
 */
enum steer_counter {
	STEER_SYN_MARKED, /* SYNs marked while a name was pending */
	STEER_BARE_ACK_HELD, /* bare third ACKs held back until the first data */
	STEER_BARE_ACK_PASSED, /* bare third ACKs passed: FIN, silent client, SYN cookie or MPTCP */
	STEER_PASSED_OTHER, /* first data passed: not an acme-tls/1 ClientHello */
	STEER_PASSED_MALFORMED, /* first data passed: neither TLS nor understood */
	STEER_PASSED_NOT_PENDING, /* acme-tls/1 passed: the name is not pending */
	STEER_PASSED_UNDECIDED, /* first data passed: server name or ALPN not among the first bytes */
	STEER_PASSED_NO_RESPONDER, /* pending name passed: no responder listens, or it is hung */
	STEER_PASSED_MPTCP, /* first data passed: the connection is MPTCP */
	STEER_PASSED_FAILED, /* acme-tls/1 for a pending name passed: the kernel refused a step */
	STEER_STEERED, /* connections taken to the responder */
	STEER_WATCHED, /* data passed, and looked at on: it may become a challenge */
	STEER_REENTERED, /* segments sent once more through the classifier, behind a RST */
	STEER_DROPPED, /* segments of a steered connection dropped, to be retransmitted */
	STEER_COOKIE_STEERED, /* of the steered: production was answering with SYN cookies */
	STEER_ADOPTED, /* of the steered: taken over by TCP_REPAIR */
	STEER_PASSED_OTHER_SYNACK, /* first data passed: it answers a SYN-ACK that is not production's, as with SYNPROXY */
	STEER_PASSED_NO_SOCKET, /* segments passed: no socket here has the connection (address translation, forwarding) */
	STEER_LATE, /* of the steered: production had accepted the connection, and sees it reset */
	STEER_COUNTERS,
};

#endif
