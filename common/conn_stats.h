/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How connections to the responder ended: a count for each reason, since the responder started. The
 * responder writes them regularly into a small file of their own; `sidestep status` reads that
 * file.
 */
#ifndef CONN_STATS_H
#define CONN_STATS_H

#include <stdint.h>
#include <sys/types.h>

enum conn_stat {
	CONN_STAT_ANSWERED, /* handshake complete, with the certificate of a pending challenge */
	CONN_STAT_NOT_PENDING, /* the server name was not pending */
	CONN_STAT_NO_ALPN, /* the client did not offer acme-tls/1 alone */
	CONN_STAT_HANDSHAKE_FAILED, /* any other TLS failure, the client's alert included */
	CONN_STAT_CLIENT_LEFT, /* closed or reset before the handshake was complete */
	CONN_STAT_DEADLINE, /* not complete in time */
	CONN_STAT_MADE_ROOM, /* ended before its handshake was complete, to make room for others */
	CONN_STAT_SOURCE_LIMIT, /* refused: its source has reached its limit */
	CONN_STAT_OVERLOAD, /* refused: too many handshakes are in progress */
	CONN_STAT_REFUSED, /* refused: no descriptor or no memory */
	CONN_STATS,
};

/* A stable key for logs and JSON: "answered", "not_pending", ... */
const char *conn_stat_name(enum conn_stat stat);

/* The same in words. */
const char *conn_stat_text(enum conn_stat stat);

/*
 * Create a new file of zeros, with mode 0640 and group `group`, in place of the existing one. A
 * process that has the old file open keeps writing to that. Returns the descriptor, which the
 * caller owns, or -errno.
 */
int conn_stats_create(const char *path, gid_t group);

/* 0 or -errno. */
int conn_stats_write(int fd, const uint64_t counts[CONN_STATS]);

/* 0; -ENOENT: there is no file; -EPROTO: it is of another version; or -errno. */
int conn_stats_read(const char *path, uint64_t ret_counts[CONN_STATS]);

#endif
