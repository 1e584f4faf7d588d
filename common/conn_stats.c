// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/conn_stats.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/shared_file.h"

/* Changes whenever the meaning of the fields behind it changes. */
#define MAGIC UINT64_C(0x3130656d6f637475)

struct content {
	uint64_t magic;
	uint64_t counts[CONN_STATS];
};

static const struct {
	const char *name, *text;
} conn_stats[CONN_STATS] = {
	[CONN_STAT_ANSWERED] = {"answered", "answered"},
	[CONN_STAT_NOT_PENDING] = {"not_pending", "failed: the name was not armed any more"},
	[CONN_STAT_NO_ALPN] = {"no_alpn", "failed: not acme-tls/1 alone"},
	[CONN_STAT_HANDSHAKE_FAILED] = {"handshake_failed",
					"failed: the handshake, or an alert came"},
	[CONN_STAT_CLIENT_LEFT] = {"client_left", "closed by the client half way"},
	[CONN_STAT_DEADLINE] = {"deadline", "not complete in time"},
	[CONN_STAT_MADE_ROOM] = {"made_room", "ended half way to make room for others"},
	[CONN_STAT_SOURCE_LIMIT] = {"source_limit", "refused: too many of one source"},
	[CONN_STAT_OVERLOAD] = {"overload", "refused: too many at once"},
	[CONN_STAT_REFUSED] = {"refused", "refused: no descriptor or no memory"},
};

const char *conn_stat_name(enum conn_stat stat)
{
	return conn_stats[stat].name;
}

const char *conn_stat_text(enum conn_stat stat)
{
	return conn_stats[stat].text;
}

static int fill(int fd, void *context)
{
	static const uint64_t none[CONN_STATS];

	(void)context;
	return conn_stats_write(fd, none);
}

int conn_stats_create(const char *path, gid_t group)
{
	return shared_file_make(path, group, 0640, fill, NULL);
}

int conn_stats_write(int fd, const uint64_t counts[CONN_STATS])
{
	struct content content = {.magic = MAGIC};
	ssize_t written;

	memcpy(content.counts, counts, sizeof(content.counts));
	written = pwrite(fd, &content, sizeof(content), 0);
	return written == sizeof(content) ? 0 : written < 0 ? -errno : -EIO;
}

int conn_stats_read(const char *path, uint64_t ret_counts[CONN_STATS])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct content content;
	ssize_t size;

	if (fd < 0)
		return -errno;
	size = pread(fd, &content, sizeof(content), 0);
	close(fd);
	if (size != sizeof(content) || content.magic != MAGIC)
		return -EPROTO;
	memcpy(ret_counts, content.counts, sizeof(content.counts));
	return 0;
}
