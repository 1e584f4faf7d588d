/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Log lines of both programs: one line for each event on standard error, with the name of the
 * program in front. When JOURNAL_STREAM shows that standard error is the journal, a "<N>" priority
 * comes first (sd-daemon(3)). Control characters are escaped, so that text from a stranger cannot
 * forge a line.
 */
#ifndef LOG_H
#define LOG_H

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

/* `program` must outlive all logging.  Lines above `level` are not written. */
void log_init(const char *program, enum log_level level);

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
