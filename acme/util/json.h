/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading JSON from untrusted sources, with jansson: a member of the wrong type counts as missing,
 * and URLs are checked.
 */
#ifndef ACME_UTIL_JSON_H
#define ACME_UTIL_JSON_H

#include <stdbool.h>
#include <stddef.h>

struct json_t;

/* Parse one object of `size` bytes.  NULL: not JSON, not an object, or out of memory. */
struct json_t *json_read(const char *text, size_t size);

/*
 * The same for the reason of an error, which a person reads: bytes that are no UTF-8 count as
 * Latin-1, and zeros and other control characters as blanks.
 */
struct json_t *json_read_damaged(const char *text, size_t size);

/* The member's string, which the object owns; NULL when missing or of another type. */
const char *json_read_string(const struct json_t *object, const char *member);

/* The same for a URL; NULL also when url_is_usable() refuses it. */
const char *json_read_url(const struct json_t *object, const char *member);

/* Whether the member exists and is true. */
bool json_read_true(const struct json_t *object, const char *member);

/*
 * A new JSON string.  Bytes of the text that are not UTF-8 are dropped.  NULL when out of memory.
 */
struct json_t *json_new_text(const char *text);

/* Only https (RFC 8555 section 6.1), printable ASCII, no user, no fragment, at most 2,000 bytes. */
bool url_is_usable(const char *url);

#endif
