/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How connections to the responder ended, each with its reason, counted since it started.  It
 * writes them into a small file of its own every now and then; `sidestep status` reads that.
 */
#ifndef CONN_STATS_H
#define CONN_STATS_H

#include <stdint.h>
#include <sys/types.h>

enum conn_stat {
	CONN_STAT_ANSWERED, /* handshake complete, with the certificate of a pending challenge */
	CONN_STAT_NOT_PENDING, /* the server name was not pending */
	CONN_STAT_NO_ALPN, /* acme-tls/1 was not the one and only protocol offered */
	CONN_STAT_HANDSHAKE_FAILED, /* any other TLS failure, the client's alert included */
	CONN_STAT_CLIENT_LEFT, /* closed or reset before the handshake was complete */
	CONN_STAT_DEADLINE, /* not complete in time */
	CONN_STAT_MADE_ROOM, /* ended before its handshake was complete, for others to come */
	CONN_STAT_SOURCE_LIMIT, /* not let in: its source has as many as one may have */
	CONN_STAT_OVERLOAD, /* not let in: too many shake hands already */
	CONN_STAT_REFUSED, /* not let in: no descriptor or no memory */
	CONN_STATS,
};

/* A stable key for logs and JSON: "answered", "not_pending", ... */
const char *conn_stat_name(enum conn_stat stat);

/* The same in words. */
const char *conn_stat_text(enum conn_stat stat);

/*
 * Create the file again, all zero, with mode 0640 and group `group`.  A process that writes to an
 * earlier file keeps that file.  Its descriptor, the caller's, or -errno.
 */
int conn_stats_create(const char *path, gid_t group);

/* 0 or -errno. */
int conn_stats_write(int fd, const uint64_t counts[CONN_STATS]);

/* 0, -ENOENT: there is none, -EPROTO: of another version, or -errno. */
int conn_stats_read(const char *path, uint64_t ret_counts[CONN_STATS]);

#endif
