/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How certificates are shown, in text and as JSON. */
#ifndef ACME_CMD_SHOW_H
#define ACME_CMD_SHOW_H

#include <stdint.h>

#define SHOW_DAY_S   86400
#define SHOW_CA_SIZE 64

struct json_t;
struct settings;
struct stored;

/* A moment, or a time, in a table. */
struct show_moment {
	char text[32];
};

/* "2026-11-26"; and as short as it is clear now: "11-26 12:00", a date, or "now" when it is past. */
struct show_moment show_date(int64_t moment_s);
struct show_moment show_when(int64_t moment_s, int64_t now_s);

/* "83 d", "5 h" or "EXPIRED". */
struct show_moment show_left(int64_t left_s);

/* A CA in short: its name in the configuration, or the host of its directory.  NULL: "-". */
void show_ca(char ret_text[SHOW_CA_SIZE], const struct settings *settings, const char *server);

/* A new object; NULL when out of memory. */
struct json_t *show_json(const struct stored *stored);

/* Some lines of text. */
void show_text(const struct stored *stored, int64_t now_s);

#endif
