/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The maps of steering, and what is in them.  steer_abi.h has what user space shares. */
#ifndef BPF_MAPS_H
#define BPF_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bpf/client_hello.h"
#include "bpf/kernel_types.h"
#include "bpf/name_hash.h"
#include "bpf/packet.h"
#include "bpf/steer_abi.h"

/* Connections steered and not yet established, at most; the oldest make room. */
#define FLOWS_MAX 16384
/* Undecided connections at once, at most; the oldest make room, 128 at a time. */
#define STREAMS_MAX 1024
/* Bare ACKs held at once, at most. */
#define HELD_MAX 16384

/* Of struct tcp_request_sock, whatever the kernel's configuration; 312 bytes in 6.18. */
#define REQUEST_SIZE_MAX 512

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
	__u32 adoption_state; /* enum steer_adoption_state */
	__u32 has_clock_offset;
	__u64 taken_ns; /* CLOCK_BOOTTIME */
	__u32 client_isn;
	__u32 server_isn;
	__u32 clock_offset; /* of production's timestamps, if has_clock_offset */
	__u32 reentries, assignments; /* else */
	__u32 server_window; /* bytes, as production's SYN-ACK announced it */
	struct bpf_tcp_req_attrs attrs; /* what production's SYN-ACK negotiated */
};

#define SUM_CHUNK_SIZE 512 /* what bpf_csum_diff() takes on all kernels; a power of two */

/* What is too large for the stack. */
struct scratch {
	struct steer_adoption adoption;
	/* Behind its last member's bytes: where a segment may end that begins among them. */
	__u8 behind[CLIENT_HELLO_BUFFER_SIZE];
	struct steer_held held;
	__u32 owner; /* the run that uses it */
	__u8 chunk[SUM_CHUNK_SIZE];
	__u64 request[REQUEST_SIZE_MAX / 8]; /* a copy of struct tcp_request_sock, or MPTCP's */
	struct client_hello hello;
	__u64 name[NAME_BUFFER_SIZE / 8];
	__u8 tcp_options[TCP_OPTIONS_BUFFER_SIZE];
	__u32 timestamp, timestamp_echo;
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
	__type(value, struct steer_armed);
} armed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steer_control);
} control_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} heartbeat SEC(".maps");

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
	__uint(max_entries, STREAMS_MAX);
	__type(key, struct packet_flow);
	__type(value, struct steer_known);
} streams SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, HELD_MAX);
	__type(key, struct packet_flow);
	__type(value, struct steer_held);
} held SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

#endif
