// SPDX-License-Identifier: GPL-3.0-or-later
#include "common/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A message has at most 1,000 bytes. If every byte is escaped, a line has at most 4,096: PIPE_BUF,
 * so that one write(2) keeps it in one piece.
 */
#define MESSAGE_SIZE 1001
#define LINE_SIZE    4096

static struct {
	const char *program;
	enum log_level level;
	bool journal;
} logging = {.program = "sidestep", .level = LOG_LEVEL_INFO};

/*
 * JOURNAL_STREAM holds the device and inode of the journal's socket. A process inherits it even
 * when its standard error goes elsewhere (systemd.exec(5)).
 */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat status;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device &&
	       status.st_ino == inode;
}

void log_init(const char *program, enum log_level level)
{
	assert(strlen(program) <= 32);
	logging.program = program;
	logging.level = level;
	logging.journal = stderr_is_journal();
}

/* Length of the printable UTF-8 character (RFC 3629) at `s`; 0: there is none. */
static size_t printable_length(const unsigned char *s)
{
	uint32_t code;
	size_t length, i;

	if (s[0] < 0x80)
		return s[0] >= ' ' && s[0] != 0x7f && s[0] != '\\';
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		length = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		length = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		length = 4;
	else
		return 0;
	code = s[0] & (0x7f >> length);
	for (i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	/* C1 controls, overlong forms, surrogates, and values above U+10FFFF. */
	if (code < 0xa0 || (length == 3 && code < 0x800) || (code >= 0xd800 && code <= 0xdfff) ||
	    (length == 4 && code < 0x10000) || code > 0x10ffff)
		return 0;
	/* Characters that separate lines or change the direction of the text. */
	if (code == 0x2028 || code == 0x2029 || (code >= 0x202a && code <= 0x202e) ||
	    (code >= 0x2066 && code <= 0x2069))
		return 0;
	return length;
}

/* Append `message`, escaped; `line` has room for four bytes for each of its bytes. */
static size_t escape(char *line, const char *message)
{
	size_t used = 0, length;

	while (*message) {
		length = printable_length((const unsigned char *)message);
		if (length) {
			memcpy(line + used, message, length);
			used += length;
			message += length;
		} else {
			used += (size_t)sprintf(line + used, "\\x%02x", (unsigned char)*message++);
		}
	}
	return used;
}

void log_line(enum log_level level, const char *format, ...)
{
	/* The numbers of syslog(3), without its LOG_INFO and LOG_DEBUG macros' company. */
	static const char priorities[] = {[LOG_LEVEL_ERROR] = '3',
					  [LOG_LEVEL_WARNING] = '4',
					  [LOG_LEVEL_NOTICE] = '5',
					  [LOG_LEVEL_INFO] = '6',
					  [LOG_LEVEL_DEBUG] = '7'};
	char message[MESSAGE_SIZE], line[LINE_SIZE];
	int saved_errno = errno;
	size_t used = 0;
	ssize_t written;
	va_list arguments;

	if (level > logging.level)
		return;
	va_start(arguments, format);
	if (vsnprintf(message, sizeof(message), format, arguments) >= (int)sizeof(message))
		memcpy(message + sizeof(message) - 4, "...", 4);
	va_end(arguments);

	if (logging.journal)
		used = (size_t)sprintf(line, "<%c>", priorities[level]);
	used += (size_t)sprintf(line + used, "%s: ", logging.program);
	used += escape(line + used, message);
	line[used++] = '\n';

	/* If standard error fails, there is no other place to report it. */
	do
		written = write(STDERR_FILENO, line, used);
	while (written < 0 && errno == EINTR);
	errno = saved_errno;
}
