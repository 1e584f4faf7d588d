/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Base64url without padding (RFC 4648 section 5), as RFC 8555 section 6.1 requires. */
#ifndef ACME_UTIL_BASE64URL_H
#define ACME_UTIL_BASE64URL_H

#include <stdbool.h>
#include <stddef.h>

/* How many characters encode `size` bytes, without the closing zero. */
#define BASE64URL_LENGTH(size) (((size)*4 + 2) / 3)

/* Write BASE64URL_LENGTH(size) characters and a zero. */
void base64url_encode(char *ret_text, const void *bytes, size_t size);

/* Encode into a new string; NULL when out of memory. */
char *base64url_new(const void *bytes, size_t size);

/* Decode a text to at most `max` bytes.  0; -EBADMSG: it is not valid; -EFBIG: it is longer. */
int base64url_decode(void *ret_bytes, size_t max, size_t *ret_size, const char *text);

/* Whether `text` is not empty and has only characters of the alphabet. */
bool base64url_is_valid(const char *text);

#endif
