// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/status_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/paths.h"
#include "common/version.h"
#include "responder/options.h"
#include "responder/steer.h"

/* A JSON string (RFC 8259 section 7); `text` is UTF-8, or what the system's names are. */
static void print_string(FILE *out, const char *text)
{
	putc('"', out);
	for (const char *s = text; *s; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(out, "\\%c", *s);
		else if ((unsigned char)*s < ' ')
			fprintf(out, "\\u%04x", (unsigned char)*s);
		else
			putc(*s, out);
	}
	putc('"', out);
}

static void print_status(FILE *out, const struct options *options, const struct steer *steer)
{
	time_t now = time(NULL);
	char started_at[sizeof("2026-01-01T00:00:00Z")] = "";
	struct tm utc;

	if (gmtime_r(&now, &utc))
		strftime(started_at, sizeof(started_at), "%Y-%m-%dT%H:%M:%SZ", &utc);
	fprintf(out, "{\"pid\": %d, \"version\": \"%s\", \"started_at\": \"%s\", ", (int)getpid(),
		SIDESTEP_VERSION, started_at);
	fprintf(out, "\"port\": %u, \"standalone\": %s, \"threads\": %u, \"user\": ", options->port,
		options->standalone ? "true" : "false", options->threads);
	print_string(out, options->user);
	fputs(", ", out);
	steer_describe(steer, out);
	fputs("}\n", out);
}

/* Write all to the new file `path`. */
static int write_new(const char *path, const struct options *options, const struct steer *steer)
{
	int err = 0, fd;
	FILE *out;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	out = fdopen(fd, "w");
	if (!out) {
		err = -errno;
		close(fd);
		return err;
	}
	print_status(out, options, steer);
	if (fchmod(fd, 0644) || fflush(out))
		err = -errno;
	else if (ferror(out))
		err = -EIO;
	if (fclose(out) && !err)
		err = -errno;
	return err;
}

int status_file_write(const struct paths *paths, const struct options *options,
		      const struct steer *steer)
{
	char path[PATHS_MAX + sizeof(".new")];
	int err;

	snprintf(path, sizeof(path), "%s.new", paths->status);
	/* One that a predecessor's end left behind. */
	if (unlink(path) && errno != ENOENT)
		return -errno;
	err = write_new(path, options, steer);
	if (!err && rename(path, paths->status))
		err = -errno;
	if (err)
		unlink(path);
	return err;
}
