/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Readers over jansson for documents that strangers wrote: a member of the
 * wrong type is as good as a missing one, and URLs are checked.
 */
#ifndef ACME_UTIL_JSON_H
#define ACME_UTIL_JSON_H

#include <stdbool.h>
#include <stddef.h>

struct json_t;

/* Parse one object of `size` bytes.  NULL: not JSON, no object, or out of memory. */
struct json_t *json_read(const char *text, size_t size);

/* The member's string, the object's own; NULL when missing or of another type. */
const char *json_read_string(const struct json_t *object, const char *member);

/* The same, of a URL that may be used and printed: see url_is_usable(). */
const char *json_read_url(const struct json_t *object, const char *member);

/* Whether the member is there and true. */
bool json_read_true(const struct json_t *object, const char *member);

/*
 * A new string; a text that is not UTF-8, as a user's may be, loses its odd bytes.
 * NULL when out of memory.
 */
struct json_t *json_new_text(const char *text);

/* https only (RFC 8555 section 6.1), printable ASCII, no user, no fragment, at most 2,000 bytes. */
bool url_is_usable(const char *url);

#endif
