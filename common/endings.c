/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "common/endings.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/shared_file.h"

/* Changed with the meaning of what follows it. */
#define MAGIC UINT64_C(0x3130656d6f637475)

struct content {
	uint64_t magic;
	uint64_t counts[ENDINGS];
};

static const struct {
	const char *name, *text;
} endings[ENDINGS] = {
	[ENDING_ANSWERED] = {"answered", "answered"},
	[ENDING_NOT_PENDING] = {"not_pending", "failed: the name was not armed any more"},
	[ENDING_NO_ALPN] = {"no_alpn", "failed: not acme-tls/1 alone"},
	[ENDING_HANDSHAKE_FAILED] = {"handshake_failed", "failed: the handshake, or an alert came"},
	[ENDING_CLIENT_LEFT] = {"client_left", "closed by the client half way"},
	[ENDING_DEADLINE] = {"deadline", "not complete in time"},
	[ENDING_MADE_ROOM] = {"made_room", "ended half way to make room for others"},
	[ENDING_SOURCE_LIMIT] = {"source_limit", "refused: too many of one source"},
	[ENDING_OVERLOAD] = {"overload", "refused: too many at once"},
	[ENDING_REFUSED] = {"refused", "refused: no descriptor or no memory"},
};

const char *ending_name(enum ending ending)
{
	return endings[ending].name;
}

const char *ending_text(enum ending ending)
{
	return endings[ending].text;
}

static int fill(int fd, void *context)
{
	static const uint64_t none[ENDINGS];

	(void)context;
	return endings_write(fd, none);
}

int endings_create(const char *path, gid_t group)
{
	return shared_file_make(path, group, 0640, fill, NULL);
}

int endings_write(int fd, const uint64_t counts[ENDINGS])
{
	struct content content = {.magic = MAGIC};
	ssize_t written;

	memcpy(content.counts, counts, sizeof(content.counts));
	written = pwrite(fd, &content, sizeof(content), 0);
	return written == sizeof(content) ? 0 : written < 0 ? -errno : -EIO;
}

int endings_read(const char *path, uint64_t ret_counts[ENDINGS])
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
