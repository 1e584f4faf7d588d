/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How certificates are shown, in text and as JSON. */
#ifndef ACME_CMD_SHOW_H
#define ACME_CMD_SHOW_H

#include <stdint.h>

struct json_t;
struct stored;

/* A new object; NULL when out of memory. */
struct json_t *show_json(const struct stored *stored);

/* Some lines of text. */
void show_text(const struct stored *stored, int64_t now_s);

#endif
