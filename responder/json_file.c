// SPDX-License-Identifier: GPL-3.0-or-later
#include "responder/json_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/paths.h"

void json_file_print_string(FILE *out, const char *text)
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

void json_file_print_now(FILE *out)
{
	char text[sizeof("2026-01-01T00:00:00Z")] = "";
	time_t now = clock_now_s();
	struct tm utc;

	if (gmtime_r(&now, &utc))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
	fprintf(out, "\"%s\"", text);
}

/* Write all to the new file `path`. */
static int write_new(const char *path, void (*print)(FILE *out, const void *context),
		     const void *context)
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
	print(out, context);
	if (fchmod(fd, 0644) || fflush(out))
		err = -errno;
	else if (ferror(out))
		err = -EIO;
	if (fclose(out) && !err)
		err = -errno;
	return err;
}

int json_file_write(const char *path, void (*print)(FILE *out, const void *context),
		    const void *context)
{
	char new_path[PATHS_MAX + sizeof(".new")];
	int err;

	snprintf(new_path, sizeof(new_path), "%s.new", path);
	/* One that a predecessor's end left behind. */
	if (unlink(new_path) && errno != ENOENT)
		return -errno;
	err = write_new(new_path, print, context);
	if (!err && rename(new_path, path))
		err = -errno;
	if (err)
		unlink(new_path);
	return err;
}
