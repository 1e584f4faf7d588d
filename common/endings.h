/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How connections to the responder ended, each with its reason, counted since it started.  It
 * writes them into a small file of its own every now and then; `sidestep status` reads that.
 */
#ifndef ENDINGS_H
#define ENDINGS_H

#include <stdint.h>
#include <sys/types.h>

enum ending {
	ENDING_ANSWERED, /* handshake complete, with the certificate of a pending challenge */
	ENDING_NOT_PENDING, /* the server name was not pending */
	ENDING_NO_ALPN, /* acme-tls/1 was not the one and only protocol offered */
	ENDING_HANDSHAKE_FAILED, /* any other TLS failure, the client's alert included */
	ENDING_CLIENT_LEFT, /* closed or reset before the handshake was complete */
	ENDING_DEADLINE, /* not complete in time */
	ENDING_MADE_ROOM, /* ended before its handshake was complete, for others to come */
	ENDING_SOURCE_LIMIT, /* not let in: its source has as many as one may have */
	ENDING_OVERLOAD, /* not let in: too many shake hands already */
	ENDING_REFUSED, /* not let in: no descriptor or no memory */
	ENDINGS,
};

/* A stable key for logs and JSON: "answered", "not_pending", ... */
const char *ending_name(enum ending ending);

/* The same in words. */
const char *ending_text(enum ending ending);

/*
 * Make the file anew, all zero, with mode 0640 and group `group`; another process that writes one of
 * before goes on with that.  Its descriptor, the caller's, or -errno.
 */
int endings_create(const char *path, gid_t group);

/* 0 or -errno. */
int endings_write(int fd, const uint64_t counts[ENDINGS]);

/* 0, -ENOENT: there is none, -EPROTO: of another version, or -errno. */
int endings_read(const char *path, uint64_t ret_counts[ENDINGS]);

#endif
