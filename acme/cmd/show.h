/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How certificates are shown, in text and as JSON. */
#ifndef DESCRIBE_H
#define DESCRIBE_H

#include <stdint.h>

struct json_t;
struct stored;

/* A new object; NULL when out of memory. */
struct json_t *describe_json(const struct stored *stored);

/* Some lines of text. */
void describe_text(const struct stored *stored, int64_t now_s);

#endif
