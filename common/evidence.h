/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What came for each pending name, by which `sidestep status NAME` tells a CA that
 * never arrived from a handshake that failed and from one that was answered: a
 * file in shared memory (tmpfs), written by the responder's threads and by a
 * successor's at the same time, and read by the agent without a lock.
 *
 * It is bounded, and a stranger cannot fill it: only what comes for a pending name
 * is kept; of one name EVIDENCE_RECORDS_MAX records, one an address and outcome,
 * however often it comes; of one network (IPv4 /24, IPv6 /48)
 * EVIDENCE_NETWORK_MAX.  The first half of a name's records stays until the name is
 * armed again; in the second half a record gives way after EVIDENCE_REST_US.  What
 * gets no record is counted.
 */
#ifndef EVIDENCE_H
#define EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct evidence;

/* Names kept at most; then the one of its bucket that was visited least recently goes. */
#define EVIDENCE_NAMES_MAX   16384
#define EVIDENCE_RECORDS_MAX 16
#define EVIDENCE_NETWORK_MAX 4
#define EVIDENCE_REST_US     1000000

enum evidence_result {
	EVIDENCE_ANSWERED, /* handshake complete, with the challenge's certificate */
	EVIDENCE_ALERT, /* the client broke off by a TLS alert */
	EVIDENCE_FAILED, /* we did: by an alert, or because it sent too much */
	EVIDENCE_LEFT, /* the client closed or reset the connection half way */
	EVIDENCE_DEADLINE, /* not complete in time */
	EVIDENCE_RESULTS,
};

enum evidence_via {
	EVIDENCE_STEERED, /* the kernel moved the connection (bpf_sk_assign) */
	EVIDENCE_ADOPTED, /* it was taken over by TCP_REPAIR */
	EVIDENCE_STANDALONE, /* no production: the responder listens on the port itself */
	EVIDENCE_VIAS,
};

/* What the ClientHello was like. */
enum evidence_feature {
	EVIDENCE_GROUP_X25519MLKEM768 = 1 << 0, /* in supported_groups */
	EVIDENCE_GROUP_X25519 = 1 << 1,
	EVIDENCE_GROUP_P256 = 1 << 2,
	EVIDENCE_SHARE_X25519MLKEM768 = 1 << 3, /* in key_share */
	EVIDENCE_SHARE_X25519 = 1 << 4,
	EVIDENCE_SHARE_P256 = 1 << 5,
	EVIDENCE_RETRIED = 1 << 6, /* no usable key share: it took a HelloRetryRequest */
	EVIDENCE_UPPER_CASE = 1 << 7, /* in the server name */
	EVIDENCE_TRAILING_DOT = 1 << 8, /* the same */
};

#define EVIDENCE_NO_ALERT 0xff

/* The last connection of one address with one outcome: answered, or not. */
struct evidence_record {
	uint64_t at_us; /* when it came, Unix time in microseconds */
	uint32_t duration_us; /* until its outcome was known */
	uint32_t count; /* of such connections since the name was armed; set by evidence_add() */
	uint8_t address[16]; /* as on the wire; IPv4 is the first four bytes, the rest 0 */
	uint16_t features; /* enum evidence_feature */
	uint16_t hello_size; /* the ClientHello's bytes, with its record headers */
	uint16_t tls_version; /* agreed: 0x0303, 0x0304; 0: none */
	uint8_t hello_pieces; /* in so many pieces it was received */
	uint8_t ipv6; /* 0 or 1 */
	uint8_t result; /* enum evidence_result */
	uint8_t via; /* enum evidence_via */
	uint8_t alert_received, alert_sent; /* RFC 8446 section 6, or EVIDENCE_NO_ALERT */
};

/* All that is kept of one name. */
struct evidence_of_name {
	uint64_t armed_ns; /* CLOCK_BOOTTIME of the publishing that all of this came after */
	uint32_t counts[EVIDENCE_RESULTS];
	uint32_t unrecorded; /* of these, the connections that no record tells of */
	uint32_t record_count;
	struct evidence_record records[EVIDENCE_RECORDS_MAX]; /* in no order */
};

/*
 * Make the file at `path`, or keep the one that is there when it is of this
 * layout.  It gets mode 0640 and group `group`.  `alone`: no other process writes it,
 * so that what a killed one left half-written is thrown away.  Called by the
 * responder before it drops its privileges.  0, or -errno of the failing call.
 */
int evidence_create(const char *path, gid_t group, bool alone);

/* Would that keep the file?  0: yes, -ENOENT or -EPROTO: no; or -errno.  Changes nothing. */
int evidence_check(const char *path);

/*
 * Open the file; a writer may be used by all threads at once.  -ENOENT: there is
 * none; -EACCES: not in the group; -EPROTO: of another version or damaged; or -errno.
 */
int evidence_open(struct evidence **ret_evidence, const char *path, bool writable);
void evidence_free(struct evidence *evidence);

/*
 * Keep what came for `server_name`, of `length` bytes, any case, with or without the
 * trailing dot, which was published at `armed_ns` (struct challenge).  No system call,
 * no allocation, and no long waiting: where another writer stays in the way,
 * nothing is kept.
 */
void evidence_add(struct evidence *evidence, const char *server_name, size_t length,
		  uint64_t armed_ns, const struct evidence_record *record);

/*
 * Read what is kept of a server name, spelled as above.  0; -ENOENT: nothing is;
 * -EAGAIN: it kept changing, or a writer died at work; -EBADMSG: it is damaged.
 */
int evidence_find(const struct evidence *evidence, const char *server_name, size_t length,
		  struct evidence_of_name *ret_found);

/* Has the file lost its memory under us, so that what is added goes nowhere? */
bool evidence_is_lost(const struct evidence *evidence);

#endif
