/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The connections that came for each pending name. `sidestep status NAME` uses them to tell three
 * cases apart: no validator arrived, a handshake failed, or the responder answered. They are in a
 * file in shared memory (tmpfs). The threads of the responder and of its successor write it at the
 * same time; the agent reads it without a lock.
 *
 * The file is bounded, and a stranger cannot fill it. It records only connections for a pending
 * name: at most EVIDENCE_RECORDS_MAX records for a name, one for each address and outcome however
 * many connections there are, and at most EVIDENCE_NETWORK_MAX for a network (IPv4 /24, IPv6 /48).
 * The first half of a name's records stays until the name is armed again; in the second half a new
 * record may replace one older than EVIDENCE_REST_US. Connections without a record are counted.
 */
#ifndef EVIDENCE_H
#define EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct evidence;

/* At most this many names; a new one replaces the least recently visited of its bucket. */
#define EVIDENCE_NAMES_MAX   16384
#define EVIDENCE_RECORDS_MAX 16
#define EVIDENCE_NETWORK_MAX 4
#define EVIDENCE_REST_US     1000000

enum evidence_result {
	EVIDENCE_ANSWERED, /* handshake complete, with the challenge's certificate */
	EVIDENCE_ALERT, /* the client sent a TLS alert */
	EVIDENCE_FAILED, /* the responder sent an alert, or the client sent too much */
	EVIDENCE_LEFT, /* the client closed or reset the connection half way */
	EVIDENCE_DEADLINE, /* not complete in time */
	EVIDENCE_RESULTS,
};

enum evidence_via {
	EVIDENCE_STEERED, /* the kernel moved the connection (bpf_sk_assign) */
	EVIDENCE_ADOPTED, /* the responder took it over by TCP_REPAIR */
	EVIDENCE_STANDALONE, /* no production: the responder listens on the port itself */
	EVIDENCE_VIAS,
};

/* Properties of the ClientHello. */
enum evidence_feature {
	EVIDENCE_GROUP_X25519MLKEM768 = 1 << 0, /* in supported_groups */
	EVIDENCE_GROUP_X25519 = 1 << 1,
	EVIDENCE_GROUP_P256 = 1 << 2,
	EVIDENCE_SHARE_X25519MLKEM768 = 1 << 3, /* in key_share */
	EVIDENCE_SHARE_X25519 = 1 << 4,
	EVIDENCE_SHARE_P256 = 1 << 5,
	EVIDENCE_RETRIED = 1 << 6, /* no usable key share: the responder sent a HelloRetryRequest */
	EVIDENCE_UPPER_CASE = 1 << 7, /* in the server name */
	EVIDENCE_TRAILING_DOT = 1 << 8, /* in the server name */
};

#define EVIDENCE_NO_ALERT 0xff

/* The last connection from one address with one outcome: answered or not. */
struct evidence_record {
	uint64_t at_us; /* its arrival, Unix time in microseconds */
	uint32_t duration_us; /* until its outcome was known */
	uint32_t count; /* of such connections since the name was armed; set by evidence_add() */
	uint8_t address[16]; /* as on the wire; IPv4 is the first four bytes, the rest 0 */
	uint16_t features; /* enum evidence_feature */
	uint16_t hello_size; /* the ClientHello's bytes, with its record headers */
	uint16_t tls_version; /* agreed: 0x0303, 0x0304; 0: none */
	uint8_t hello_pieces; /* the number of pieces in which it arrived */
	uint8_t ipv6; /* 0 or 1 */
	uint8_t result; /* enum evidence_result */
	uint8_t via; /* enum evidence_via */
	uint8_t alert_received, alert_sent; /* RFC 8446 section 6, or EVIDENCE_NO_ALERT */
};

/* Everything recorded for one name. */
struct evidence_of_name {
	uint64_t armed_ns; /* CLOCK_BOOTTIME of the publishing; all records are later */
	uint32_t counts[EVIDENCE_RESULTS];
	uint32_t unrecorded; /* the connections among them that have no record */
	uint32_t record_count;
	struct evidence_record records[EVIDENCE_RECORDS_MAX]; /* in no order */
};

/*
 * Create the file at `path`, or keep an existing one of this layout. It gets mode 0640 and group
 * `group`. `alone`: no other process writes it, so discard what a killed writer left half-written.
 * The responder calls this before it drops its privileges. 0, or -errno of the failing call.
 */
int evidence_create(const char *path, gid_t group, bool alone);

/*
 * Would evidence_create() keep the file? 0: yes; -ENOENT or -EPROTO: no; or -errno. Changes
 * nothing.
 */
int evidence_check(const char *path);

/*
 * Open the file. All threads may use one writer at once. -ENOENT: there is no file; -EACCES: the
 * caller is not in the group; -EPROTO: another version, or damaged; or -errno.
 */
int evidence_open(struct evidence **ret_evidence, const char *path, bool writable);
void evidence_free(struct evidence *evidence);

/*
 * Add a connection for `server_name`, of `length` bytes, in any case, with or without the trailing
 * dot, which was published at `armed_ns` (struct challenge). Makes no system call and no
 * allocation, and does not wait long: when another writer keeps the bucket locked, it adds nothing.
 */
void evidence_add(struct evidence *evidence, const char *server_name, size_t length,
		  uint64_t armed_ns, const struct evidence_record *record);

/*
 * Read the records of a server name, spelled as above. 0; -ENOENT: there are none; -EAGAIN: the
 * bucket kept changing, or a writer died while it wrote; -EBADMSG: it is damaged.
 */
int evidence_find(const struct evidence *evidence, const char *server_name, size_t length,
		  struct evidence_of_name *ret_found);

/* Was the file truncated after it was opened? Then evidence_add() has no effect. */
bool evidence_is_lost(const struct evidence *evidence);

#endif
